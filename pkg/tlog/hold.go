// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
)

// maxRaces bounds how often a lost compare-and-swap is tried again.
const maxRaces = 16

// prefix identifies a tree of one size.
type prefix struct {
	origin string
	size   uint64
	root   [32]byte
}

func prefixOf(c Checkpoint) prefix { return prefix{origin: c.origin, size: c.size, root: c.root} }

// hold returns nil when checkpoint belongs to the one history that this cluster
// has seen of the log, and stores it there if it is the largest so far.
//
// timed says that the checkpoint counts although the log's key is not valid any more,
// because of when the entry is from that it is shown for.
func (p *Prover) hold(ctx context.Context, checkpoint Checkpoint, timed bool) error {
	epoch := p.currentEpoch()
	// A cosigned note counts for more, so it does not travel with one that is not.
	timed = timed || checkpoint.IsWitnessed() || !p.log.isClosed()
	key := fmt.Sprintf("checkpoint %s %d %x %t %t", checkpoint.origin, checkpoint.size, checkpoint.root, timed, checkpoint.IsWitnessed())
	_, err := join(ctx, &p.flights, key, func(ctx context.Context) (struct{}, error) {
		for range maxRaces {
			err := p.compare(ctx, checkpoint, timed)
			if err == nil {
				p.see(checkpoint)
			}
			if !errors.Is(err, ErrConflict) {
				return struct{}{}, err
			}
		}
		return struct{}{}, fmt.Errorf("%w: its stored checkpoint keeps changing", ErrUnavailable)
	})
	if err == nil {
		p.markWitnessed(epoch, checkpoint)
	}
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

// compare holds checkpoint against the stored one. ErrConflict means that the store
// has changed: compare again.
func (p *Prover) compare(ctx context.Context, checkpoint Checkpoint, timed bool) error {
	stored, version, err := p.readStored(ctx, checkpoint.origin)
	switch {
	case err != nil:
		return err
	case stored == nil && !timed:
		return p.log.closedError(checkpoint)
	case stored == nil:
		return p.firstContact(ctx, checkpoint, version)
	}
	if err := p.anchor(ctx, *stored, checkpoint); err != nil {
		return err
	}
	switch {
	case checkpoint.size == stored.size && checkpoint.root != stored.root:
		return p.accuse(ctx, &InconsistencyError{A: *stored, B: checkpoint})
	case checkpoint.size > stored.size && !timed:
		if err := p.showPrefix(ctx, *stored, checkpoint, false); err != nil {
			return err
		}
		return p.log.closedError(checkpoint)
	case saysMore(checkpoint, *stored):
		return p.extend(ctx, checkpoint)
	case checkpoint.size < stored.size && !p.prefixes.Contains(prefixOf(checkpoint)):
		// What was shown once to be part of the history stays so as the
		// history grows.
		if err := p.showPrefix(ctx, checkpoint, *stored, false); err != nil {
			return err
		}
	}
	p.prefixes.Add(prefixOf(checkpoint), struct{}{})
	return nil
}

// readStored returns the checkpoint that is stored for origin, or nil when there is
// none, and the version to write with.
func (p *Prover) readStored(ctx context.Context, origin string) (*Checkpoint, string, error) {
	signed, version, err := p.latest(ctx, origin)
	if err != nil || signed == nil {
		return nil, version, err
	}
	stored, err := p.verifyStored(signed)
	if err != nil {
		return nil, "", fmt.Errorf("%w: the stored checkpoint is not this log's, has its key or origin changed? %w", ErrInconsistent, err)
	}
	if stored.origin != origin {
		return nil, "", fmt.Errorf("%w: the checkpoint stored for %q is of %q", ErrInconsistent, origin, stored.origin)
	}
	return &stored, version, nil
}

// firstContact stores the first checkpoint of a tree. It is trusted on first use,
// and it is the log's own word, never that of a signature's checkpoint: whoever
// stole the log's key could otherwise invent a tree that the log itself has never
// heard of. checkpoint is then held against what was stored, as any other.
//
// Without a log to ask there is only checkpoint to go by.
func (p *Prover) firstContact(ctx context.Context, checkpoint Checkpoint, version string) error {
	if p.client == nil {
		if err := p.requirePin(ctx, checkpoint); err != nil {
			return err
		}
		return p.advance(ctx, checkpoint, version)
	}
	shown, err := p.shown(ctx, checkpoint.origin)
	if err != nil {
		return err
	}
	if err := p.requirePin(ctx, shown); err != nil {
		return err
	}
	if err := p.advance(ctx, shown, version); err != nil {
		return err
	}
	return ErrConflict // the store has changed: compare again
}

// shown is the checkpoint of a tree that the log itself shows now. It is not held
// against the history yet. That no replica lists the tree is ErrInconsistent, unless
// one did not answer: a tree may be so new that the others do not know it yet.
func (p *Prover) shown(ctx context.Context, origin string) (Checkpoint, error) {
	var found Checkpoint
	err := p.client.trees(ctx, func(notes [][]byte) error {
		for _, note := range notes {
			if shown, err := p.log.VerifyCheckpoint(note); err == nil && shown.origin == origin {
				found = shown
				return nil
			}
		}
		return fmt.Errorf("%w: the log does not know of a tree %q", ErrInconsistent, origin)
	})
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, ErrUnavailable):
		return Checkpoint{}, fmt.Errorf("%w: %s", ErrUnavailable, err.Error()) // whatever the others say
	default:
		return Checkpoint{}, unavailable(err)
	}
}

// latest is History.Latest. What this Prover remembers was shown by a log that was
// believed, and stands in the way of an operator's reset: it is forgotten when the
// log is found to lie, and when the stored tree is not the one that was there.
func (p *Prover) latest(ctx context.Context, origin string) (note []byte, version string, err error) {
	note, version, back, err := p.read(ctx, origin)
	if back == nil {
		return note, version, err
	}
	// Another request may have read after this one, and been faster: then what the store
	// holds now is no smaller than what that one saw.
	note, version, back, err = p.read(ctx, origin)
	if back != nil {
		p.forget()
		p.acceptReset(*back)
	}
	return note, version, err
}

// read reads what is stored of a tree. back is set if that is smaller than what was
// read before, or another tree of the same size.
func (p *Prover) read(ctx context.Context, origin string) (note []byte, version string, back *Checkpoint, err error) {
	note, version, err = p.history.Latest(ctx, origin)
	if accused(err) {
		p.forget()
	}
	if err != nil {
		return nil, "", nil, historyError(err)
	}
	if stored, err := p.verifyStored(note); note != nil && err == nil && p.wentBack(stored) {
		back = &stored
	}
	return note, version, back, nil
}

// accused reports whether a history's error says that its log was caught.
func accused(err error) bool { return errors.Is(err, ErrInconsistent) }

// wentBack reports whether the store holds a smaller tree than before, or another
// one of the same size: only an operator's reset does that. It remembers what the
// store holds otherwise.
func (p *Prover) wentBack(stored Checkpoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.seen[stored.origin]
	if known && (stored.size < before.size || stored.size == before.size && stored.root != before.root) {
		return true
	}
	p.seen[stored.origin] = stored
	return false
}

// acceptReset remembers what the store holds although it is less than before.
func (p *Prover) acceptReset(stored Checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[stored.origin] = stored
}

// forget drops everything that was proven.
func (p *Prover) forget() {
	p.proofs.Purge()
	p.prefixes.Purge()
	p.largest.Store(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	clear(p.witnessed)
	clear(p.anchored)
	clear(p.waiting)
	clear(p.unasked)
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
// accuses it when it shows the opposite. now asks it whatever is remembered.
func (p *Prover) showPrefix(ctx context.Context, older, newer Checkpoint, now bool) error {
	if p.client == nil {
		return fmt.Errorf("%w: nothing can show that size %d and size %d of %q are one history", ErrUnavailable, older.size, newer.size, newer.origin)
	}
	err := p.client.showPrefix(ctx, older, newer, now)
	if proven, ok := errors.AsType[*InconsistencyError](err); ok {
		return p.accuse(ctx, proven)
	}
	if errors.Is(err, ErrUnavailable) && !errors.Is(err, errRefused) {
		return fmt.Errorf("size %d and size %d of %q: %w: %w", older.size, newer.size, newer.origin, errUnasked, err)
	}
	return err
}

// historyError makes sure that a store that fails is told from a log that lies.
func historyError(err error) error {
	if err == nil || errors.Is(err, ErrInconsistent) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: its stored checkpoint cannot be read or written: %w", ErrUnavailable, err)
}
