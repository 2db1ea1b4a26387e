// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"fmt"
	"time"
)

// Freshness says how old the newest knowledge of a log is, and may be.
type Freshness struct {
	// VerifiedAt is when the log itself last showed its history. Zero: never, and
	// nothing is stored of it.
	VerifiedAt time.Time
	// Limit is how long ago that may be. Zero: nobody watches the log, and what
	// is known of it does not age.
	Limit time.Duration
	// Doubted is set when the log answered last with something that cannot be, or
	// that it could not show to be, in its history.
	Doubted bool
}

// Stale reports whether the log was verified too long before now.
func (f Freshness) Stale(now time.Time) bool {
	if f.Limit <= 0 || f.VerifiedAt.IsZero() {
		return false // what nobody has seen is first contact, which asks the log
	}
	// A time that no clock wrote that goes right would keep a log fresh for ever.
	return now.Sub(f.VerifiedAt) > f.Limit || f.VerifiedAt.Sub(now) > maxClockSkew
}

// checkFresh returns nil when the log is not accused, and was verified within its
// limit or can be now. So a log that answers is not given up because whoever
// should poll it does not; and one that does not answer is asked by one request
// for all that wait. Errors wrap ErrInconsistent, ErrStale or ErrUnavailable.
func (p *Prover) checkFresh(ctx context.Context) error {
	known, err := p.Freshness(ctx)
	if err != nil || !known.Stale(time.Now()) {
		return err
	}
	_, failure := join(ctx, &p.flights, "poll", p.Poll)
	if known, err = p.Freshness(ctx); err != nil {
		return err
	}
	switch {
	case failure != nil:
		return fmt.Errorf("%w: log %q was last verified at %s, longer ago than %v, and cannot be verified now: %w",
			ErrStale, p.log.name, known.VerifiedAt.UTC().Format(time.RFC3339), known.Limit, failure)
	case known.Stale(time.Now()):
		return fmt.Errorf("%w: log %q was last verified at %s, longer ago than %v, and shows less now than it did then",
			ErrStale, p.log.name, known.VerifiedAt.UTC().Format(time.RFC3339), known.Limit)
	}
	return nil
}

// Standing returns nil and how fresh the log is when it is not accused, gave no answer
// last that does not fit its history, and is not stale. Errors are those of Prove.
func (p *Prover) Standing(ctx context.Context) (Freshness, error) {
	if err := p.checkFresh(ctx); err != nil {
		return Freshness{}, err
	}
	known, err := p.Freshness(ctx)
	if err == nil && known.Doubted {
		err = fmt.Errorf("%w: what log %q showed last does not fit what was seen of it before", ErrInconsistent, p.log.name)
	}
	return known, err
}

// Freshness returns when the log itself last showed its history. Its error wraps
// ErrInconsistent when the log is accused, and ErrUnavailable when the store of its
// history does not answer.
//
// A log that was closed, since its key's time is over, does not age: nothing that was
// added since then could count, so nothing can be hidden, and it may be switched off.
func (p *Prover) Freshness(ctx context.Context) (Freshness, error) {
	known, err := p.history.Freshness(ctx)
	if accused(err) {
		p.forget() // it was shown by a log that was believed, see latest
	}
	if p.log.isClosed() {
		known.Limit = 0
	}
	return known, historyError(err)
}
