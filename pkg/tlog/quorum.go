// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// requireQuorum returns nil when enough witnesses have cosigned a tree that holds the
// entry at index of checkpoint, which was held against the history. Its error wraps
// ErrWitnessQuorum when they have not, and ErrUnavailable when the log could not be
// asked whether they have by now.
//
// The checkpoint of a proof need not be the cosigned one: a log hands it out when it
// takes the entry, and its witnesses may come later. Let c be the proof's checkpoint
// and w a cosigned one of the same history. Both were shown to be prefixes of one tree,
// or to have one as their prefix, so below the smaller of their sizes they hold the same
// leaves. An entry of c whose index is below w's size is therefore an entry of w, at the
// same index, and w is what the witnesses have seen.
func (p *Prover) requireQuorum(ctx context.Context, checkpoint Checkpoint, index uint64) error {
	if p.log.witnesses == nil || p.isWitnessed(checkpoint.origin, index) {
		return nil
	}
	if err := p.recallWitnessed(ctx, checkpoint.origin); err != nil {
		return err
	}
	if p.isWitnessed(checkpoint.origin, index) {
		return nil
	}
	if p.client == nil {
		return quorumError(checkpoint)
	}
	latest, err := join(ctx, &p.flights, "latest "+checkpoint.origin, func(ctx context.Context) (Checkpoint, error) {
		return p.shown(ctx, checkpoint.origin)
	})
	if err == nil && latest.IsWitnessed() && index < latest.size {
		err = p.hold(ctx, latest, false)
	}
	switch {
	case err == nil && p.isWitnessed(checkpoint.origin, index):
		return nil
	case err == nil && latest.size >= checkpoint.size:
		return quorumError(latest)
	case err == nil, errors.Is(err, ErrKeyValidity): // what the log shows does not count
		return quorumError(checkpoint)
	case errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w (and the checkpoint that came along does not do: %s)", err, quorumError(checkpoint).Error())
	default:
		return err
	}
}

// quorumError says why a checkpoint does not do. One that has the quorum would, if its
// history had not been given up while it was looked at.
func quorumError(c Checkpoint) error {
	return cmp.Or(c.Quorum(), fmt.Errorf("%w: what was known of %q has just been given up", ErrUnavailable, c.origin))
}

// recallWitnessed takes from the store how far witnesses have cosigned a tree.
func (p *Prover) recallWitnessed(ctx context.Context, origin string) error {
	epoch := p.currentEpoch()
	note, err := p.history.Witnessed(ctx, origin)
	if err != nil {
		return historyError(err)
	}
	// A note that does not verify, or not under the policy of today, says nothing.
	if recalled, err := p.verifyStored(note); note != nil && err == nil && recalled.origin == origin {
		p.markWitnessed(epoch, recalled)
	}
	return nil
}

// isWitnessed reports whether a cosigned tree of that origin holds the index.
func (p *Prover) isWitnessed(origin string, index uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return index < p.witnessed[origin]
}

// markWitnessed remembers the size of a checkpoint that is part of the history and that
// enough witnesses have cosigned, unless the history was given up since epoch.
func (p *Prover) markWitnessed(epoch uint64, c Checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.IsWitnessed() && epoch == p.epoch && c.size > p.witnessed[c.origin] {
		p.witnessed[c.origin] = c.size
	}
}

// currentEpoch is the number of times that what was remembered was given up.
func (p *Prover) currentEpoch() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch
}
