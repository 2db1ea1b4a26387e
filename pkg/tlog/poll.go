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

// view is what one replica of a log shows.
type view struct {
	// replica is its address, for messages.
	replica string
	// notes are the signed notes of the latest checkpoints of the log's trees, that
	// which grows first. Nothing is verified.
	notes [][]byte
	// err is why there are none.
	err error
}

// lagPauses are the pauses after which a log that shows less than it did before is
// asked again, before that is called a rollback: a replica that lags has caught up by
// then, or another one shows what it does not.
func lagPauses() []time.Duration { return []time.Duration{500 * time.Millisecond, time.Second} }

// Polled is what a poll found.
type Polled struct {
	// Checkpoint is the latest that was shown of the tree that grows, and belongs to the
	// log's history.
	Checkpoint
	// Silent says for each replica that showed nothing why it did not. The others
	// answered.
	Silent []error
}

// Poll asks every replica of the log for its latest checkpoint, verifies them, holds
// them against the history and stores the largest, if it is larger than what is stored.
// The log counts as verified now, unless the largest is smaller than what is stored.
//
// A replica may lag: that it shows a prefix of what another one shows is no rollback.
// Nor is it one when the log shows less than is stored, and proves that to be a prefix
// of what is stored: so it still has that. A log that can do neither, whichever of its
// replicas is asked, has gone back. That is ErrInconsistent when all of them answered,
// and ErrUnavailable when one did not, since that may be the one that knows.
func (p *Prover) Poll(ctx context.Context) (Polled, error) {
	if p.client == nil {
		return Polled{}, fmt.Errorf("%w: there is no log to ask", ErrUnavailable)
	}
	for _, pause := range lagPauses() {
		polled, err := p.pollOnce(ctx)
		if !errors.As(err, new(*behindError)) || !sleep(ctx, pause) {
			return polled, err
		}
	}
	return p.pollOnce(ctx)
}

func (p *Prover) pollOnce(ctx context.Context) (Polled, error) {
	s, err := p.look(ctx)
	if err != nil {
		return Polled{}, err
	}
	polled := Polled{Checkpoint: s.growing, Silent: s.silent}
	// The largest first, so that what the others show is held against it.
	for i, checkpoint := range s.checkpoints {
		isLargest := !slices.ContainsFunc(s.checkpoints[:i], func(c Checkpoint) bool { return c.origin == checkpoint.origin })
		if err := p.holdShown(ctx, checkpoint, isLargest); err != nil {
			if behind, ok := errors.AsType[*behindError](err); ok {
				behind.silent = s.silent
			}
			return polled, err
		}
	}
	if s.growing.size > 0 {
		if err := historyError(p.history.Confirm(ctx, s.growing)); err != nil {
			return polled, err
		}
	}
	return polled, joined(s.wrong)
}

// sight is what the replicas of a log show at a time.
type sight struct {
	// checkpoints of the trees that grow, each once and the largest first.
	checkpoints []Checkpoint
	// growing is the largest of the tree that grows, as the first replica that answered
	// says.
	growing Checkpoint
	silent  []error
	// wrong says which replicas showed what is no checkpoint of the log.
	wrong []error
}

// add takes a checkpoint once. A note that witnesses cosigned counts for more.
func (s *sight) add(checkpoint Checkpoint) {
	i := slices.IndexFunc(s.checkpoints, func(c Checkpoint) bool { return prefixOf(c) == prefixOf(checkpoint) })
	switch {
	case i < 0:
		s.checkpoints = append(s.checkpoints, checkpoint)
	case checkpoint.IsWitnessed() && !s.checkpoints[i].IsWitnessed():
		s.checkpoints[i] = checkpoint
	}
}

// look asks every replica what it shows. It is an error if no one shows a checkpoint.
func (p *Prover) look(ctx context.Context) (sight, error) {
	var s sight
	for _, v := range p.client.views(ctx) {
		if v.err != nil {
			s.silent = append(s.silent, unavailable(v.err))
			continue
		}
		checkpoint, err := p.log.open(v.notes[0])
		if err != nil {
			s.wrong = append(s.wrong, fmt.Errorf("%s: %w", v.replica, err))
			continue
		}
		if s.checkpoints == nil {
			s.growing = checkpoint
		}
		s.add(checkpoint)
	}
	slices.SortStableFunc(s.checkpoints, func(a, b Checkpoint) int { return -cmp.Compare(a.size, b.size) })
	for _, checkpoint := range s.checkpoints {
		if checkpoint.origin == s.growing.origin {
			s.growing = checkpoint
			return s, nil
		}
	}
	if len(s.wrong) > 0 {
		return s, joined(s.wrong)
	}
	return s, joined(s.silent)
}

// unavailable makes of a refusal what it is when a log is asked for its latest
// checkpoint, which every log has.
func unavailable(err error) error {
	if errors.Is(err, errRefused) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// holdShown holds a checkpoint that a replica shows as its latest against the history.
// isLargest says that no other one shows a larger one of that tree.
func (p *Prover) holdShown(ctx context.Context, shown Checkpoint, isLargest bool) error {
	if isLargest {
		if err := p.checkNotBehind(ctx, shown); err != nil {
			return err
		}
	}
	if shown.size == 0 {
		return nil // a prefix of every tree
	}
	err := p.hold(ctx, shown, false)
	if given, ok := errors.AsType[*putAwayError](err); ok {
		return p.record(ctx, given.evidence) // no old signature shows it, but the log itself
	}
	if errors.Is(err, ErrKeyValidity) {
		// It extends what is stored, or nothing is. A key whose time is over adds
		// nothing to the history, and does not make the log a liar either.
		return nil
	}
	return err
}

// checkNotBehind returns a *behindError when the largest checkpoint that the log shows
// of a tree is smaller than the stored one, and the log cannot prove either that it
// still has what is stored. That it could at another time says nothing now, so no
// proof is remembered here.
func (p *Prover) checkNotBehind(ctx context.Context, largest Checkpoint) error {
	signed, _, err := p.latest(ctx, largest.origin)
	if err != nil || signed == nil {
		return err
	}
	stored, err := p.verifyStored(signed)
	if err != nil || largest.size >= stored.size {
		return nil //nolint:nilerr // hold says what is wrong with the stored note.
	}
	if largest.size == 0 {
		return &behindError{shown: largest, stored: stored}
	}
	err = p.showPrefix(ctx, largest, stored, true)
	if given, ok := errors.AsType[*putAwayError](err); ok {
		return p.record(ctx, given.evidence)
	}
	if errors.Is(err, ErrInconsistent) && !errors.As(err, new(*InconsistencyError)) {
		return &behindError{shown: largest, stored: stored}
	}
	return err
}

// behindError: the log shows less than it did before.
type behindError struct {
	shown, stored Checkpoint
	// silent is why other replicas showed nothing.
	silent []error
}

func (e *behindError) Error() string {
	text := fmt.Sprintf("%v: %q shows size %d, this cluster has seen size %d of it, and the log cannot show that it still has that",
		e.Unwrap(), e.shown.origin, e.shown.size, e.stored.size)
	if len(e.silent) > 0 {
		text += fmt.Sprintf("; a replica that may have it did not answer: %v", joined(e.silent))
	}
	return text
}

func (e *behindError) Unwrap() error {
	if len(e.silent) > 0 {
		return ErrUnavailable
	}
	return ErrInconsistent
}
