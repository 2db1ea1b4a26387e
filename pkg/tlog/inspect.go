// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Sighting is what one replica of a log shows, for people to read. The log's signature
// on the checkpoints was verified. Nobody held them against the log's history.
type Sighting struct {
	// Replica is the address of the replica, without a password.
	Replica string
	// Checkpoints are those of the log's trees, that which grows first.
	Checkpoints []Checkpoint
	// Err is why there are none, or fewer than the replica lists. It wraps
	// ErrUnavailable or ErrCheckpoint.
	Err error
}

// Look returns what every replica of the log shows. It remembers and stores nothing,
// and so works for a log that was caught, too.
func (p *Prover) Look(ctx context.Context) []Sighting {
	if p.client == nil {
		return nil
	}
	views := p.client.views(ctx)
	sightings := make([]Sighting, len(views))
	for i, v := range views {
		sightings[i] = Sighting{Replica: v.replica, Err: unavailable(v.err)}
		sightings[i].Checkpoints, v.err = p.openAll(v.notes)
		sightings[i].Err = errors.Join(sightings[i].Err, v.err)
	}
	return sightings
}

// openAll verifies the notes of a log's trees, of which a client returns no more than
// a log has. Trees that the configuration does not name
// do not count, and are left out; so are empty ones.
func (p *Prover) openAll(notes [][]byte) (shown []Checkpoint, err error) {
	for _, note := range notes {
		checkpoint, openErr := p.log.open(note)
		switch {
		case errors.Is(openErr, errUnnamedTree), openErr == nil && checkpoint.size == 0:
		case openErr != nil:
			err = errors.Join(err, openErr)
		case slices.ContainsFunc(shown, func(c Checkpoint) bool { return c.origin == checkpoint.origin }):
			err = errors.Join(err, fmt.Errorf("%w: tree %q is listed twice", ErrCheckpoint, checkpoint.origin))
		default:
			shown = append(shown, checkpoint)
		}
	}
	return shown, err
}

// Trees returns the latest checkpoint of each tree that counts, that which grows first, as
// the first replica shows it that has them all. Each was held against the log's history, as
// Prove does with the checkpoint of a signature, and is part of it.
func (p *Prover) Trees(ctx context.Context) ([]Checkpoint, error) {
	if p.client == nil {
		return nil, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	var trees []Checkpoint
	err := p.client.trees(ctx, func(notes [][]byte) (err error) {
		trees, err = p.openAll(notes)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	for _, checkpoint := range trees {
		if err := p.hold(ctx, checkpoint, false); err != nil {
			return nil, err
		}
	}
	return trees, nil
}

// Located is an entry that is in the log, with what shows it: the audit path from its leaf
// hash, which was verified, to a checkpoint that the log signed and that belongs to its
// history. It is no Proof: nobody said what the entry should be about.
type Located struct {
	// Leaf is the entry's Merkle leaf hash.
	Leaf [32]byte
	// Entry is what the log, or the bundle, says of it, Inclusion included. Rekor v2
	// has no body of an entry that is looked up.
	Entry *Entry
	// Checkpoint is where the audit path leads.
	Checkpoint Checkpoint
}

// Locate shows that the log holds an entry that came with a signature, which is asked for
// where the entry brings no proof. Errors are those of Prove.
func (p *Prover) Locate(ctx context.Context, entry *Entry) (Located, error) {
	if len(entry.Body) > maxBodyBytes {
		return Located{}, fmt.Errorf("%w: log entry is longer than %d bytes", ErrLimit, maxBodyBytes)
	}
	if err := errors.Join(entry.checkID(p.log), entry.checkSignedEntryTimestamp(p.log), entry.checkIndex(p.log)); err != nil {
		return Located{}, err
	}
	leaf := leafHash(entry.Body)
	if entry.Inclusion == nil {
		return p.LocateLeaf(ctx, leaf, entry.LogIndex)
	}
	return p.located(ctx, leaf, entry)
}

// LocateLeaf asks the log for the entry with a leaf hash. A Rekor v2 log must be told its
// index; Rekor v1 finds it without, and index is not looked at.
func (p *Prover) LocateLeaf(ctx context.Context, leaf [32]byte, index int64) (Located, error) {
	if p.client == nil {
		return Located{}, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	if p.log.version == RekorV2 && index < 0 {
		return Located{}, fmt.Errorf("%w: a log of type %v cannot be searched for a leaf hash, it must be told the index", ErrNotLogged, p.log.version)
	}
	entry, err := p.client.entry(ctx, leaf, index, func(fetched *Entry) error { return p.checkAnswer(leaf, fetched) })
	if err != nil {
		return Located{}, err
	}
	return p.located(ctx, leaf, entry)
}

// LocateIndex asks the log for the entry with an index, which for Rekor v1 counts over all
// shards. Of such an entry the log's promise must say the same index: its audit path
// knows only that in the shard.
func (p *Prover) LocateIndex(ctx context.Context, index int64) (Located, error) {
	if p.client == nil {
		return Located{}, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	leaf, entry, err := p.client.entryAt(ctx, index, func(leaf [32]byte, fetched *Entry) error {
		if fetched.LogIndex != index || p.log.version == RekorV1 && len(fetched.SignedEntryTimestamp) == 0 {
			return fmt.Errorf("%w: the log answered with another entry than number %d", ErrEntryMismatch, index)
		}
		return p.checkAnswer(leaf, fetched)
	})
	if err != nil {
		return Located{}, err
	}
	return p.located(ctx, leaf, entry)
}

// located verifies the audit path of entry, and holds the checkpoint to which it leads
// against the log's history.
func (p *Prover) located(ctx context.Context, leaf [32]byte, entry *Entry) (Located, error) {
	checkpoint, err := entry.Inclusion.verify(p.log, leaf)
	if err != nil {
		return Located{}, err
	}
	if err := errors.Join(entry.checkIndex(p.log), entry.checkSignedEntryTimestamp(p.log)); err != nil {
		return Located{}, err
	}
	if err := p.hold(ctx, checkpoint, false); err != nil {
		return Located{}, err
	}
	if err := p.requireQuorum(ctx, checkpoint, uint64(entry.Inclusion.Index)); err != nil { //nolint:gosec // the proof verified: it is not negative
		return Located{}, err
	}
	return Located{Leaf: leaf, Entry: entry, Checkpoint: checkpoint}, nil
}

// ShowsHistory returns what the log shows now of a tree, if it shows that to be of one
// history with a checkpoint that somebody else than the log names, and no smaller. It is for
// an operator's reset, so nothing that was stored or remembered of the log counts, but what
// the configuration says of it does: pins, and the time of its key.
//
// Errors wrap ErrInconsistent when the log does not have that history, ErrKeyValidity when
// its key may not sign a larger tree any more, ErrCheckpoint or ErrUnavailable.
func (p *Prover) ShowsHistory(ctx context.Context, origin string, accepted Pin) (Checkpoint, error) {
	if p.client == nil {
		return Checkpoint{}, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	if err := p.log.checkTree(origin); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	shown, err := p.shown(ctx, origin)
	if err != nil {
		return Checkpoint{}, err
	}
	if shown.size < accepted.Size {
		return Checkpoint{}, fmt.Errorf("%w: the log shows size %d of %q, less than the %d that are to be accepted", ErrInconsistent, shown.size, origin, accepted.Size)
	}
	if err := p.requireHistory(ctx, shown, accepted, "what is to be accepted", true); err != nil {
		return Checkpoint{}, err
	}
	if shown.size > accepted.Size && p.log.isClosed() && !shown.IsWitnessed() {
		return Checkpoint{}, p.log.closedError(shown)
	}
	return shown, p.requirePin(ctx, shown)
}
