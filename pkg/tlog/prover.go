// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

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
	// flightTimeout bounds work that is shared between requests, whose own
	// deadlines it cannot follow.
	flightTimeout = 15 * time.Second
	// maxRaces bounds how often a lost compare-and-swap is tried again.
	maxRaces = 16
)

// Prover proves inclusion in one configured log: it verifies what a signature
// carries, asks the log for what is missing, and holds every checkpoint against
// the log's history. Safe for concurrent use.
type Prover struct {
	log     *Log
	client  *RekorV1
	history History

	// proofs holds what was proven, by leaf hash. Inclusion does not depend on
	// who asks or why, so policy has no part in the key, and it never ends: an
	// inconsistency that is found later is what stops it counting.
	proofs *lru.Cache[[32]byte, Proof]
	// prefixes holds checkpoints that were shown to be part of the history.
	prefixes *lru.Cache[prefix, struct{}]
	// largest is the largest checkpoint that this Prover held against the
	// history, for people to read.
	largest atomic.Pointer[Checkpoint]
	// stored holds the last stored notes that were verified, by their text, so
	// that reading the history costs no signature check each time.
	stored *lru.Cache[string, Checkpoint]
	// flights joins concurrent requests for one leaf, or one checkpoint.
	flights singleflight.Group
}

// prefix identifies a tree of one size.
type prefix struct {
	origin string
	size   uint64
	root   [32]byte
}

func prefixOf(c Checkpoint) prefix { return prefix{origin: c.origin, size: c.size, root: c.root} }

// NewProver returns a Prover for log, which asks client and keeps to history. A
// nil client works offline: what needs the log is then ErrUnavailable.
func NewProver(log *Log, client *RekorV1, history History) *Prover {
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
	return &Prover{log: log, client: client, history: history, proofs: proofs, prefixes: prefixes, stored: stored}
}

// Log returns the log that this proves inclusion in.
func (p *Prover) Log() *Log { return p.log }

// String says which log this is and how far it is known, for messages.
func (p *Prover) String() string {
	if c := p.largest.Load(); c != nil {
		return fmt.Sprintf("log %q (origin %s, size %d)", p.log.name, p.log.hostname, c.size)
	}
	return fmt.Sprintf("log %q (origin %s)", p.log.name, p.log.hostname)
}

// Prove returns the proof that the log holds an entry that says what claim says.
// entry is what came with the signature, or nil when nothing did: then the log is
// asked, if the claim determines the entry.
//
// What came with a signature must be right in every part that it has. Missing
// parts are fetched from the log by leaf hash, so that the answer can be about no
// other entry. Errors wrap one of the package's errors, and tell absent
// (ErrNotLogged, ErrUnknownLog), wrong, inconsistent and unavailable apart.
func (p *Prover) Prove(ctx context.Context, claim Claim, entry *Entry) (Proof, error) {
	body, err := p.checkEntry(claim, entry)
	if err != nil {
		return Proof{}, err
	}
	leaf := leafHash(body)
	// A proof that came along is always looked at, so that the verdict on the
	// same bytes is the same whatever was seen before: what is known makes
	// requests unnecessary, not checks.
	if entry != nil && entry.Inclusion != nil {
		return p.include(ctx, leaf, entry)
	}
	if known, ok := p.proofs.Get(leaf); ok && known.answers(entry) {
		// A log that was caught lying proves nothing any more, not even what
		// it proved before.
		if _, _, err := p.history.Latest(ctx, known.checkpoint.origin); err != nil {
			return Proof{}, historyError(err)
		}
		return known, nil
	}
	if _, derived := claim.body(); !derived && len(entry.SignedEntryTimestamp) == 0 {
		// The body has a part that anybody can choose. Without the log's promise
		// such entries would cost a request each, as many as somebody likes.
		return Proof{}, fmt.Errorf("%w: the entry carries neither a proof nor a signed entry timestamp", ErrInclusionProof)
	}
	fetched, err := p.fetch(ctx, leaf)
	if err != nil {
		return Proof{}, err
	}
	if err := checkFetched(p.log, claim, entry, fetched); err != nil {
		return Proof{}, err
	}
	return p.include(ctx, leaf, fetched)
}

// checkEntry checks offline all that entry says besides its inclusion proof, and
// returns the body that is to be proven.
func (p *Prover) checkEntry(claim Claim, entry *Entry) ([]byte, error) {
	if entry == nil {
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
// fields are compared, not signatures.
func checkFetched(l *Log, claim Claim, entry, fetched *Entry) error {
	if err := fetched.checkID(l); err != nil {
		return err
	}
	if err := claim.check(fetched.Body); err != nil {
		return err
	}
	if entry != nil && (!bytes.Equal(entry.Body, fetched.Body) || entry.LogIndex != fetched.LogIndex ||
		entry.IntegratedTime != fetched.IntegratedTime) {
		return fmt.Errorf("%w: the log holds the entry at another index or time than the signature says", ErrEntryMismatch)
	}
	return fetched.checkSignedEntryTimestamp(l)
}

// include verifies the inclusion proof of entry and that its checkpoint belongs to
// the log's history, and remembers the proof.
func (p *Prover) include(ctx context.Context, leaf [32]byte, entry *Entry) (Proof, error) {
	checkpoint, err := entry.Inclusion.verify(p.log, leaf)
	if err != nil {
		return Proof{}, err
	}
	if err := p.hold(ctx, checkpoint); err != nil {
		return Proof{}, err
	}
	proven := Proof{
		log:        p.log.name,
		logID:      p.log.id,
		leaf:       leaf,
		index:      entry.Inclusion.Index,
		checkpoint: checkpoint,
	}
	if len(entry.SignedEntryTimestamp) > 0 {
		proven.integratedTime = entry.IntegratedTime
	}
	if known, ok := p.proofs.Get(leaf); !ok || known.integratedTime == 0 || proven.integratedTime != 0 {
		// Who shows the proof alone does not make us forget when the log said
		// that it took the entry.
		p.proofs.Add(leaf, proven)
	}
	return proven, nil
}

// fetch asks the log for an entry, once for all that ask at the same time.
func (p *Prover) fetch(ctx context.Context, leaf [32]byte) (*Entry, error) {
	if p.client == nil {
		return nil, fmt.Errorf("%w: the signature carries no inclusion proof, and there is no log to ask", ErrUnavailable)
	}
	return join(ctx, &p.flights, "entry "+string(leaf[:]), func(ctx context.Context) (*Entry, error) {
		return p.client.entry(ctx, leaf)
	})
}

// Poll fetches the log's latest checkpoint, verifies it, holds it against the
// history and, if it is larger, stores it.
func (p *Prover) Poll(ctx context.Context) (Checkpoint, error) {
	if p.client == nil {
		return Checkpoint{}, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	signed, err := p.client.latest(ctx)
	if errors.Is(err, errRefused) {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return Checkpoint{}, err
	}
	checkpoint, err := p.log.open(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if checkpoint.size == 0 {
		return checkpoint, p.holdEmpty(ctx, checkpoint)
	}
	return checkpoint, p.hold(ctx, checkpoint)
}

// holdEmpty accepts a log that has no entries yet, and only if it never had any.
// There is nothing to store: an empty tree is a prefix of every tree.
func (p *Prover) holdEmpty(ctx context.Context, empty Checkpoint) error {
	stored, _, err := p.history.Latest(ctx, empty.origin)
	if err != nil {
		return historyError(err)
	}
	if stored != nil {
		return fmt.Errorf("%w: %q shows an empty log, and has had entries before", ErrInconsistent, empty.origin)
	}
	return nil
}

// hold returns nil when checkpoint belongs to the one history that this cluster
// has seen of the log, and stores it there if it is the largest so far.
func (p *Prover) hold(ctx context.Context, checkpoint Checkpoint) error {
	key := fmt.Sprintf("checkpoint %s %d %x", checkpoint.origin, checkpoint.size, checkpoint.root)
	_, err := join(ctx, &p.flights, key, func(ctx context.Context) (struct{}, error) {
		for range maxRaces {
			err := p.compareAndSwap(ctx, checkpoint)
			if err == nil {
				p.see(checkpoint)
			}
			if !errors.Is(err, ErrConflict) {
				return struct{}{}, err
			}
		}
		return struct{}{}, fmt.Errorf("%w: its stored checkpoint keeps changing", ErrUnavailable)
	})
	return err
}

// see remembers the largest checkpoint for String.
func (p *Prover) see(checkpoint Checkpoint) {
	for {
		largest := p.largest.Load()
		if largest != nil && largest.size >= checkpoint.size || p.largest.CompareAndSwap(largest, &checkpoint) {
			return
		}
	}
}

// compareAndSwap compares checkpoint with the stored one. A larger one replaces
// it, if the store still holds what was compared with; the size never goes down.
//
// Only what the store holds, or held, is remembered: a larger checkpoint that was
// shown to extend the stored one and then lost the race to be stored may be a
// fork of the one that won.
func (p *Prover) compareAndSwap(ctx context.Context, checkpoint Checkpoint) error {
	signed, version, err := p.history.Latest(ctx, checkpoint.origin)
	if err != nil {
		return historyError(err)
	}
	if signed == nil {
		// First contact: trusted, and stored, so that it is the last time.
		return p.advance(ctx, checkpoint, version)
	}
	stored, err := p.verifyStored(signed)
	if err != nil {
		return fmt.Errorf("%w: the stored checkpoint is not this log's, has its key or origin changed? %w", ErrInconsistent, err)
	}
	if stored.origin != checkpoint.origin {
		return fmt.Errorf("%w: the checkpoint stored for %q is of %q", ErrInconsistent, checkpoint.origin, stored.origin)
	}
	switch {
	case checkpoint.size == stored.size && checkpoint.root != stored.root:
		return p.accuse(ctx, &InconsistencyError{A: stored, B: checkpoint})
	case checkpoint.size > stored.size:
		if err := p.showPrefix(ctx, stored, checkpoint); err != nil {
			return err
		}
		return p.advance(ctx, checkpoint, version)
	case checkpoint.size < stored.size && !p.prefixes.Contains(prefixOf(checkpoint)):
		// What was shown once to be part of the history stays so as the
		// history grows.
		if err := p.showPrefix(ctx, checkpoint, stored); err != nil {
			return err
		}
	}
	p.prefixes.Add(prefixOf(checkpoint), struct{}{})
	return nil
}

// verifyStored is Log.VerifyCheckpoint, once for a note.
func (p *Prover) verifyStored(signed []byte) (Checkpoint, error) {
	if known, ok := p.stored.Get(string(signed)); ok {
		return known, nil
	}
	checkpoint, err := p.log.VerifyCheckpoint(signed)
	if err == nil {
		p.stored.Add(string(signed), checkpoint)
	}
	return checkpoint, err
}

// advance stores checkpoint and remembers that it was.
func (p *Prover) advance(ctx context.Context, checkpoint Checkpoint, version string) error {
	if err := p.history.Advance(ctx, checkpoint, version); err != nil {
		return historyError(err)
	}
	p.prefixes.Add(prefixOf(checkpoint), struct{}{})
	return nil
}

// showPrefix returns nil when the log shows that older is a prefix of newer, and
// accuses it when it shows the opposite.
func (p *Prover) showPrefix(ctx context.Context, older, newer Checkpoint) error {
	if p.client == nil {
		return fmt.Errorf("%w: nothing can show that size %d and size %d of %q are one history", ErrUnavailable, older.size, newer.size, newer.origin)
	}
	err := verifyPrefix(ctx, p.client, older, newer)
	if proven, ok := errors.AsType[*InconsistencyError](err); ok {
		return p.accuse(ctx, proven)
	}
	return err
}

// accuse records the evidence. That it could not be recorded changes nothing for
// this request, which is denied in any case.
func (p *Prover) accuse(ctx context.Context, evidence *InconsistencyError) error {
	if err := p.history.Accuse(ctx, evidence.A, evidence.B); err != nil {
		return fmt.Errorf("%w (and it could not be recorded: %w)", evidence, err)
	}
	return evidence
}

// historyError makes sure that a store that fails is told from a log that lies.
func historyError(err error) error {
	if err == nil || errors.Is(err, ErrInconsistent) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: its stored checkpoint cannot be read or written: %w", ErrUnavailable, err)
}

// join runs fn once for all concurrent callers with the same key. The run belongs
// to none of them: a caller that gives up leaves it to the others, and it ends by
// its own time limits.
func join[T any](ctx context.Context, group *singleflight.Group, key string, fn func(context.Context) (T, error)) (T, error) {
	done := group.DoChan(key, func() (result any, err error) {
		// Package singleflight turns a panic into the end of the process.
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: panic: %v", ErrUnavailable, r)
			}
		}()
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		return fn(detached)
	})
	var zero T
	select {
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case result := <-done:
		if result.Err != nil {
			return zero, result.Err
		}
		value, ok := result.Val.(T)
		if !ok { // two kinds of work under one key: a mistake in this file
			return zero, fmt.Errorf("%w: joined work of another kind", ErrUnavailable)
		}
		return value, nil
	}
}
