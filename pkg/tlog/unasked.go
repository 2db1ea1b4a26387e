// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxUnasked bounds the checkpoints of one log that are taken on credit during an
// outage. Each costs a question when the log is back.
const maxUnasked = 1024

// errUnasked: the log did not answer the question whether two checkpoints belong to
// one history. It comes with ErrUnavailable.
var errUnasked = errors.New("the log could not be asked if they are one history")

// UnaskedError says that a proof that came with a signature holds in every part but
// one: the log does not answer at the moment, so nobody knows whether the checkpoint
// belongs to the history that this cluster has seen. It wraps ErrUnavailable: who does
// not look for it denies.
//
// It is made only for a tree of which history is stored, of a log that was verified
// within its limit and whose last answer was good; where the log needs witnesses they
// have cosigned this very checkpoint; no reset put it away; and nothing that is known
// contradicts it.
type UnaskedError struct {
	// Proof is the proof. Its Unasked is not empty.
	Proof Proof
	err   error
}

func (e *UnaskedError) Error() string { return e.err.Error() }

func (e *UnaskedError) Unwrap() error { return e.err }

// orUnasked returns err, or an *UnaskedError when what err says is all that proof lacks.
func (p *Prover) orUnasked(ctx context.Context, proof Proof, err error) error {
	if !errors.Is(err, errUnasked) {
		return err
	}
	known, failure := p.Freshness(ctx)
	switch {
	case failure != nil:
		return failure
	case known.Limit <= 0, known.VerifiedAt.IsZero(), known.Stale(time.Now()), known.Doubted:
		return err // nobody knows how long ago it was that the log was good
	case p.log.witnesses != nil && !proof.checkpoint.IsWitnessed():
		return err
	case p.isPutAway(proof.checkpoint):
		return err // it may be of the fork, or the end, that a reset put away
	}
	if contradicted, ok := p.credit(proof.checkpoint); contradicted != nil {
		return p.accuse(ctx, &InconsistencyError{A: *contradicted, B: proof.checkpoint})
	} else if !ok {
		return fmt.Errorf("%w (%d checkpoints wait to be shown already)", err, maxUnasked)
	}
	proof.unasked = err.Error()
	return &UnaskedError{Proof: proof, err: err}
}

// treeSize identifies what can have one root only.
type treeSize struct {
	origin string
	size   uint64
}

// credit remembers a checkpoint that could not be asked about, so that it is asked
// about later. It returns one that it contradicts, if there is one, and whether there
// was room.
func (p *Prover) credit(c Checkpoint) (contradicted *Checkpoint, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := treeSize{c.origin, c.size}
	if known, held := p.unasked[key]; held {
		if known.root != c.root {
			return &known, false
		}
		return nil, true
	}
	if len(p.unasked) >= maxUnasked {
		return nil, false
	}
	p.unasked[key] = c
	return nil, true
}

// Unasked is the number of checkpoints under which proofs were given out in an
// *UnaskedError, and which the log has not been asked about since.
func (p *Prover) Unasked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.unasked)
}

// Settle asks the log about the checkpoints that Unasked counts, and holds them against
// the history. What the log then contradicts is accused, like any other, and what it
// cannot show is in the error, which wraps ErrInconsistent. ErrUnavailable means that it
// still does not answer.
func (p *Prover) Settle(ctx context.Context) error {
	p.mu.Lock()
	open := make([]Checkpoint, 0, len(p.unasked))
	for _, c := range p.unasked {
		open = append(open, c)
	}
	p.mu.Unlock()
	if len(open) == 0 {
		return nil
	}
	// What the log shows of itself comes first: two signed trees are evidence, and a
	// proof that it does not have is none.
	if _, err := p.Poll(ctx); err != nil {
		return err
	}
	// The largest first: it is stored, and the others are its prefixes.
	slices.SortFunc(open, func(a, b Checkpoint) int { return cmp.Compare(b.size, a.size) })
	var wrong []error
	for _, c := range open {
		err := p.hold(ctx, c, false)
		if errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrInconsistent) {
			return errors.Join(append(wrong, err)...)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%v was believed while the log was away: %w", c, err))
		}
		p.mu.Lock()
		delete(p.unasked, treeSize{c.origin, c.size})
		p.mu.Unlock()
	}
	return errors.Join(wrong...)
}
