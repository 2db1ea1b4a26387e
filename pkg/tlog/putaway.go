// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/transparency-dev/formats/log"
)

// PutAway is what an operator's reset put away of one tree: checkpoints that somebody has
// looked at, and which may contradict the history that counts now. Signatures carry such
// checkpoints for as long as they exist, so anybody could undo the reset with one of them.
// What contradicts the history is refused all the same; it is not counted against the log
// again, unless the log itself shows it.
type PutAway struct {
	// Origin is the first line of the tree's checkpoints.
	Origin string
	// Size is that of the checkpoint.
	Size uint64
	// Root is the checkpoint's root, of evidence that was put away: of a fork only what was
	// looked at. Nil stands for each checkpoint of no more than Size entries, of a
	// history that was given up for another one.
	Root *[sha256.Size]byte
}

// PutAwayNote returns what a checkpoint of evidence says. Its signature was verified when it
// became evidence.
func PutAwayNote(note string) (PutAway, error) {
	var body log.Checkpoint
	if _, err := body.Unmarshal([]byte(note)); err != nil || len(body.Hash) != sha256.Size {
		return PutAway{}, errMalformedCheckpoint
	}
	root := [sha256.Size]byte(body.Hash)
	return PutAway{Origin: body.Origin, Size: body.Size, Root: &root}, nil
}

// putAway reports whether a reset put c away.
func (l *Log) putAway(c Checkpoint) bool {
	for _, p := range l.resets {
		if p.Origin == c.origin && (p.Root == nil && c.size <= p.Size || p.Root != nil && c.size == p.Size && c.root == *p.Root) {
			return true
		}
	}
	return false
}

// isPutAway reports whether c is something that a reset put away, and that was not shown
// since to be of the history that counts now.
func (p *Prover) isPutAway(c Checkpoint) bool {
	if !p.log.putAway(c) || p.prefixes.Contains(prefixOf(c)) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return prefixOf(p.seen[c.origin]) != prefixOf(c)
}

// accuse records the evidence, unless one of the notes was put away by a reset: then it is a
// *putAwayError.
func (p *Prover) accuse(ctx context.Context, evidence *InconsistencyError) error {
	if p.isPutAway(evidence.A) || p.isPutAway(evidence.B) {
		return &putAwayError{evidence: evidence}
	}
	return p.record(ctx, evidence)
}

// putAwayError: a signature carries a checkpoint that a reset put away. It counts for
// nothing, and not against the log.
type putAwayError struct{ evidence *InconsistencyError }

func (e *putAwayError) Error() string {
	return fmt.Sprintf("%v, of which an operator's reset put one away", e.evidence)
}

func (e *putAwayError) Unwrap() error { return ErrInconsistent }

// record keeps the evidence. That it could not be recorded changes nothing for
// this request, which is denied in any case.
func (p *Prover) record(ctx context.Context, evidence *InconsistencyError) error {
	p.forget()
	if err := p.history.Accuse(ctx, evidence.A, evidence.B); err != nil {
		return fmt.Errorf("%w (and it could not be recorded: %w)", evidence, err)
	}
	return evidence
}
