// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// maxKnownProofs and maxKnownPrefixes bound what a Prover remembers: about
	// 500 bytes an entry. Forgetting costs a request, never a wrong answer.
	maxKnownProofs   = 16384
	maxKnownPrefixes = 16384
	// maxStoredNotes is enough for the shards of a log.
	maxStoredNotes = 16
)

// Prover proves inclusion in one configured log: it verifies what a signature
// carries, asks the log for what is missing, and holds every checkpoint against
// the log's history. Safe for concurrent use.
type Prover struct {
	log     *Log
	client  Client
	history History

	// proofs holds what was proven, by leaf hash. Inclusion does not depend on
	// who asks or why, so policy has no part in the key, and it never ends: an
	// inconsistency that is found later is what stops it counting.
	proofs *lru.Cache[[32]byte, Proof]
	// prefixes holds checkpoints that were shown to be part of the history.
	prefixes *lru.Cache[prefix, struct{}]
	// seen is what the store held last, by origin.
	mu   sync.Mutex
	seen map[string]Checkpoint
	// witnessed is the size up to which witnesses have cosigned the history, by origin.
	witnessed map[string]uint64
	// anchored holds the origins whose stored checkpoint was shown to hold their pin.
	anchored map[string]bool
	// waiting is the largest checkpoint that is to be stored next, by origin.
	waiting map[string]Checkpoint
	// unasked holds the checkpoints that were taken on credit, see UnaskedError.
	unasked map[treeSize]Checkpoint
	// epoch counts how often all of this was given up.
	epoch uint64
	// largest is the largest checkpoint that this Prover held against the
	// history, for people to read.
	largest atomic.Pointer[Checkpoint]
	// stored holds the last stored notes that were verified, by their text, so
	// that reading the history costs no signature check each time.
	stored *lru.Cache[string, Checkpoint]
	// flights joins concurrent requests for one leaf, or one checkpoint.
	flights singleflight.Group
}

// NewProver returns a Prover for log, which asks client and keeps to history. A
// nil client works offline: what needs the log is then ErrUnavailable.
func NewProver(log *Log, client Client, history History) *Prover {
	proofs, err := lru.New[[32]byte, Proof](maxKnownProofs)
	if err != nil {
		panic(err) // the size is positive
	}
	prefixes, err := lru.New[prefix, struct{}](maxKnownPrefixes)
	if err != nil {
		panic(err) // the size is positive
	}
	stored, err := lru.New[string, Checkpoint](maxStoredNotes)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Prover{
		log: log, client: client, history: history, proofs: proofs, prefixes: prefixes, stored: stored,
		seen: map[string]Checkpoint{}, witnessed: map[string]uint64{}, anchored: map[string]bool{},
		waiting: map[string]Checkpoint{}, unasked: map[treeSize]Checkpoint{},
	}
}

// Log returns the log that this proves inclusion in.
func (p *Prover) Log() *Log { return p.log }

// String says which log this is and how far it is known, for messages.
func (p *Prover) String() string {
	if c := p.largest.Load(); c != nil {
		return fmt.Sprintf("log %q (origin %s, size %d)", p.log.name, p.log.origin, c.size)
	}
	return fmt.Sprintf("log %q (origin %s)", p.log.name, p.log.origin)
}

// Prove returns the proof that the log holds an entry that says what claim says.
// entry is what came with the signature, or nil when nothing did: then the log is
// asked, if the claim determines the entry.
//
// What came with a signature must be right in every part that it has. Missing
// parts are fetched from the log by leaf hash, so that the answer can be about no
// other entry. Errors wrap one of the package's errors, and tell absent
// (ErrNotLogged, ErrUnknownLog), wrong, inconsistent, stale and unavailable apart.
func (p *Prover) Prove(ctx context.Context, claim Claim, entry *Entry) (Proof, error) {
	body, err := p.checkEntry(claim, entry)
	if err != nil {
		return Proof{}, err
	}
	if err := p.checkFresh(ctx); err != nil {
		return Proof{}, err
	}
	leaf := leafHash(body)
	// A proof that came along is always looked at, so that the verdict on the
	// same bytes is the same whatever was seen before: what is known makes
	// requests unnecessary, not checks.
	if entry != nil && entry.Inclusion != nil {
		proof, timed, err := p.checkInclusion(claim, leaf, entry)
		if err != nil {
			return Proof{}, err
		}
		if err := p.confirm(ctx, proof, timed); err != nil {
			return Proof{}, p.orUnasked(ctx, proof, err)
		}
		return proof, nil
	}
	if known, ok, err := p.known(ctx, leaf, entry); ok || err != nil {
		return known, err
	}
	if _, derived := claim.body(); !derived && len(entry.SignedEntryTimestamp) == 0 && p.log.version != RekorV2 {
		// The body has a part that anybody can choose. Without the log's promise
		// such entries would cost a request each, as many as somebody likes. Those of
		// Rekor v2 have no such part.
		return Proof{}, fmt.Errorf("%w: the entry carries neither a proof nor a signed entry timestamp", ErrInclusionProof)
	}
	return join(ctx, &p.flights, flightOf(claim, leaf, entry), func(ctx context.Context) (Proof, error) {
		// Who came too late for another one's question finds the answer here.
		if known, ok, err := p.known(ctx, leaf, entry); ok || err != nil {
			return known, err
		}
		return p.ask(ctx, claim, leaf, entry)
	})
}

// known returns what was proven of an entry before, if the log would say the same of this
// one.
func (p *Prover) known(ctx context.Context, leaf [32]byte, entry *Entry) (known Proof, ok bool, err error) {
	known, ok = p.proofs.Get(leaf)
	if !ok || !p.answers(known, entry) {
		return Proof{}, false, nil
	}
	// A log that was caught lying proves nothing any more, not even what it proved
	// before.
	if _, _, err := p.latest(ctx, known.checkpoint.origin); err != nil {
		return Proof{}, false, err
	}
	if !p.proofs.Contains(leaf) { // it was forgotten just now
		return Proof{}, false, nil
	}
	return known, true, nil
}

// flightOf names a question to the log by all on which its answer depends: the body of
// the entry, what else came of it, and when others saw the signature.
func flightOf(claim Claim, leaf [32]byte, entry *Entry) string {
	var key strings.Builder
	fmt.Fprintf(&key, "proof %x", leaf)
	if entry != nil {
		fmt.Fprintf(&key, " %d %d", entry.LogIndex, entry.IntegratedTime)
	}
	for _, at := range claim.stamped {
		fmt.Fprintf(&key, " %d", at.UnixNano())
	}
	return key.String()
}

// ask fetches the proof of an entry from the log, and verifies it.
func (p *Prover) ask(ctx context.Context, claim Claim, leaf [32]byte, entry *Entry) (Proof, error) {
	fetched, err := p.fetch(ctx, leaf, entry)
	if err != nil {
		return Proof{}, err
	}
	if err := checkFetched(p.log, entry, fetched); err != nil {
		return Proof{}, err
	}
	proof, timed, err := p.checkInclusion(claim, leaf, fetched)
	if err != nil {
		return Proof{}, err
	}
	if err := p.confirm(ctx, proof, timed); err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// checkEntry checks offline all that entry says besides its inclusion proof, and
// returns the body that is to be proven.
func (p *Prover) checkEntry(claim Claim, entry *Entry) ([]byte, error) {
	if entry == nil {
		if p.log.version == RekorV2 {
			return nil, fmt.Errorf("%w: the signature carries no entry, and a log of type %v cannot be searched for one", ErrNotLogged, p.log.version)
		}
		body, ok := claim.body()
		if !ok {
			return nil, fmt.Errorf("%w: the signature carries no entry, and its entry cannot be derived", ErrNotLogged)
		}
		return body, nil
	}
	if len(entry.Body) > maxBodyBytes {
		return nil, fmt.Errorf("%w: log entry is longer than %d bytes", ErrLimit, maxBodyBytes)
	}
	if err := entry.checkID(p.log); err != nil {
		return nil, err
	}
	if err := claim.check(entry.Body); err != nil {
		return nil, err
	}
	if err := entry.checkSignedEntryTimestamp(p.log); err != nil {
		return nil, err
	}
	return entry.Body, nil
}

// checkFetched checks that the log's answer is about the same entry as what came
// with the signature. The log signs a new timestamp each time it is asked, so
// fields are compared, not signatures. Rekor v2 answers with a proof alone, for the leaf
// hash that it was asked for. Of Rekor v1 that hash was found to be the body's (checkAnswer),
// and so the body is what checkEntry found to say what is claimed.
func checkFetched(l *Log, entry, fetched *Entry) error {
	if l.version == RekorV2 {
		return nil
	}
	if entry != nil && (entry.LogIndex != fetched.LogIndex || entry.IntegratedTime != fetched.IntegratedTime) {
		return fmt.Errorf("%w: the log holds the entry at another index or time than the signature says", ErrEntryMismatch)
	}
	return fetched.checkSignedEntryTimestamp(l)
}

// checkInclusion verifies, offline, the inclusion proof of entry and the checkpoint that
// it leads to. What it returns is no proof before confirm has agreed; timed is as in
// hold.
func (p *Prover) checkInclusion(claim Claim, leaf [32]byte, entry *Entry) (candidate Proof, timed bool, err error) {
	checkpoint, err := entry.Inclusion.verify(p.log, leaf)
	if err != nil {
		return Proof{}, false, err
	}
	if err := entry.checkIndex(p.log); err != nil {
		return Proof{}, false, err
	}
	timed, err = p.log.checkTimes(claim, entry)
	if err != nil {
		return Proof{}, false, err
	}
	candidate = Proof{
		log:        p.log.name,
		logID:      p.log.id,
		keyID:      p.log.keyID,
		leaf:       leaf,
		index:      entry.Inclusion.Index,
		checkpoint: checkpoint,
	}
	if len(entry.SignedEntryTimestamp) > 0 {
		candidate.integratedTime = entry.IntegratedTime
	}
	return candidate, timed, nil
}

// confirm makes sure that the checkpoint of a candidate belongs to the log's history and
// is witnessed, and remembers the proof that it has become.
func (p *Prover) confirm(ctx context.Context, candidate Proof, timed bool) error {
	if err := p.hold(ctx, candidate.checkpoint, timed); err != nil {
		return err
	}
	if err := p.requireQuorum(ctx, candidate.checkpoint, uint64(candidate.index)); err != nil { //nolint:gosec // the proof verified: it is not negative
		return err
	}
	if known, ok := p.proofs.Get(candidate.leaf); !ok || known.integratedTime == 0 || candidate.integratedTime != 0 {
		// Who shows the proof alone does not make us forget when the log said
		// that it took the entry.
		p.proofs.Add(candidate.leaf, candidate)
	}
	return nil
}

// answers reports whether the log would say of entry, or of a signature that carries none,
// what is known already. A proof of Rekor v1 that came without the log's promise says
// nothing of the time.
func (p *Prover) answers(known Proof, entry *Entry) bool {
	if p.log.version == RekorV2 {
		return entry != nil && entry.LogIndex == known.index
	}
	return known.integratedTime != 0 && (entry == nil || entry.IntegratedTime == known.integratedTime)
}

// fetch asks the log for an entry, once for all that ask the same at the same time.
func (p *Prover) fetch(ctx context.Context, leaf [32]byte, entry *Entry) (*Entry, error) {
	if p.client == nil {
		return nil, fmt.Errorf("%w: the signature carries no inclusion proof, and there is no log to ask", ErrUnavailable)
	}
	index := int64(-1)
	if entry != nil && p.log.version == RekorV2 {
		index = entry.LogIndex
	}
	key := fmt.Sprintf("entry %x %d", leaf, index)
	return join(ctx, &p.flights, key, func(ctx context.Context) (*Entry, error) {
		return p.client.entry(ctx, leaf, index, func(fetched *Entry) error { return p.checkAnswer(leaf, fetched) })
	})
}

// checkAnswer checks of a replica's answer what does not depend on who asks. One that
// answers wrongly does not stand in the way of others that do not.
func (p *Prover) checkAnswer(leaf [32]byte, fetched *Entry) error {
	if err := fetched.checkID(p.log); err != nil {
		return err
	}
	if p.log.version == RekorV1 && leafHash(fetched.Body) != leaf {
		return fmt.Errorf("%w: the log answered with another body", ErrEntryMismatch)
	}
	_, err := fetched.Inclusion.verify(p.log, leaf)
	return err
}
