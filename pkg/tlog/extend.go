// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
)

// attempt is what became of one checkpoint that was to take the place of the stored
// one.
type attempt struct {
	checkpoint Checkpoint
	err        error
}

// extend has a checkpoint that is larger than the stored one take its place. Nil
// means that it did; ErrConflict that another one did, with which it is to be
// compared.
//
// Nothing is admitted under a checkpoint that is not stored: a log could show
// another continuation to whoever is asked after a crash. But a store is not to be
// written for every entry of a busy log. So of all that wait for their turn to
// write, the largest is stored, and the others are then shown to be its prefixes:
// one consistency proof for each, and one write for all. When others write, too, it
// is the log's latest, so that nobody anywhere waits for more than one write.
func (p *Prover) extend(ctx context.Context, checkpoint Checkpoint) error {
	p.awaitTurn(checkpoint)
	tried, err := join(ctx, &p.flights, "extend "+checkpoint.origin, func(ctx context.Context) (attempt, error) {
		busy, err := p.history.Turn(ctx)
		if err != nil {
			return attempt{}, historyError(err)
		}
		largest := p.largestWaiting(checkpoint)
		if latest, ok := p.showsMore(ctx, busy, largest); ok && p.replaceStored(ctx, latest) == nil {
			return attempt{checkpoint: latest}, nil
		}
		return attempt{largest, p.replaceStored(ctx, largest)}, nil
	})
	switch {
	case err != nil:
		return err
	case prefixOf(tried.checkpoint) == prefixOf(checkpoint), errors.Is(tried.err, ErrUnavailable):
		return tried.err // who is away is away for all
	default:
		return ErrConflict
	}
}

// awaitTurn puts checkpoint among those that wait to be stored, of which only the
// largest of each tree is kept.
func (p *Prover) awaitTurn(checkpoint Checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if saysMore(checkpoint, p.waiting[checkpoint.origin]) {
		p.waiting[checkpoint.origin] = checkpoint
	}
}

// largestWaiting returns the largest checkpoint of that tree that waits, and
// lets the others find out that they have lost. It is own when none is larger.
func (p *Prover) largestWaiting(own Checkpoint) Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := p.waiting[own.origin]
	delete(p.waiting, own.origin)
	if saysMore(waiting, own) {
		return waiting
	}
	return own
}

// showsMore returns what a busy log shows now, if that is more than what waits.
func (p *Prover) showsMore(ctx context.Context, busy bool, waiting Checkpoint) (Checkpoint, bool) {
	if !busy || p.client == nil {
		return Checkpoint{}, false
	}
	latest, err := p.shown(ctx, waiting.origin)
	counts := err == nil && (latest.IsWitnessed() || !p.log.isClosed())
	return latest, counts && saysMore(latest, waiting)
}

// replaceStored stores next if the log shows that it continues what is stored, and
// the store still holds what it was compared with.
//
// Only what the store holds, or held, is remembered: a larger checkpoint that was
// shown to extend the stored one and then lost the race to be stored may be a
// fork of the one that won.
func (p *Prover) replaceStored(ctx context.Context, next Checkpoint) error {
	stored, version, err := p.readStored(ctx, next.origin)
	switch {
	case err != nil:
		return err
	case stored == nil || !saysMore(next, *stored):
		return ErrConflict // it has changed since
	}
	if err := p.anchor(ctx, *stored, next); err != nil {
		return err
	}
	if next.size > stored.size {
		if err := p.showPrefix(ctx, *stored, next, false); err != nil {
			return err
		}
	}
	return p.advance(ctx, next, version)
}

// saysMore reports whether a is to be stored in the place of b: it is larger, or the
// same tree, and witnesses have cosigned it.
func saysMore(a, b Checkpoint) bool {
	return a.size > b.size || prefixOf(a) == prefixOf(b) && a.IsWitnessed() && !b.IsWitnessed()
}
