// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// firstInterval is the time between two requests to a replica that has just said
	// that it is asked too often. Later ones lie between shortest and longestInterval.
	firstInterval    = 100 * time.Millisecond
	shortestInterval = 20 * time.Millisecond
	longestInterval  = 2 * time.Second
	// quicker is by how much each answer shortens the interval.
	quicker = 1.1
	// queue is how long a question waits for a replica that limits how often it is
	// asked. A poll waits as long as a question takes.
	queue = 5 * time.Second
)

// pace is how often a replica is asked that limits that and says so with 429. Few of
// them say what the limit is, so it is found: twice the interval after a 429, a bit less
// after each answer. While there is no limit it does nothing. Whoever says until when to
// leave it alone is left alone until then.
//
// All questions share it, and wait in line. Each on its own would try again when it sees
// fit, and under load all of them would fail.
type pace struct {
	// first is held by who has the next turn, and line by who of the questions for
	// entries and tiles may wait for that. So what everybody depends on, the log's
	// checkpoints and how they belong together, is asked before what one image does.
	first, line turnstile

	mu sync.Mutex
	// interval is 0 while no limit is known.
	interval time.Duration
	// last is when the last turn was given, and slowed when a 429 last changed the
	// interval.
	last, slowed time.Time
	// rest is until when the replica wants to be left alone.
	rest time.Time
}

func newPace() *pace { return &pace{first: make(turnstile, 1), line: make(turnstile, 1)} }

// turnstile lets one through at a time, in the order in which they came.
type turnstile chan struct{}

func (t turnstile) enter(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turnstile) leave() { <-t }

// errQueue: others were asked first.
var errQueue = errors.New("it limits how often it is asked, and this question had no turn in time")

// turn waits until the replica may be asked, and returns when that was. It is a failure
// if the time for which the question waits is over before, or if nobody waits for its
// answer any more.
func (p *pace) turn(ctx context.Context, a *asking) (time.Time, *failure) {
	rest, limited := p.state()
	switch {
	case rest > 0 && (!a.alone || time.Since(a.begun)+rest > a.queue()):
		return time.Time{}, &failure{outcome: Skipped, again: true, wait: rest,
			err: fmt.Errorf("%w: it wants to be left alone for another %v", ErrUnavailable, rest.Round(time.Millisecond))}
	case !limited:
		return time.Now(), nil
	}
	ctx, cancel := context.WithDeadline(ctx, a.begun.Add(a.queue()))
	defer cancel()
	urgent := a.question.operation == OperationCheckpoint || a.question.operation == OperationConsistency
	if !urgent {
		if !p.line.enter(ctx) {
			return time.Time{}, noTurn(ctx)
		}
		defer p.line.leave()
	}
	if !p.first.enter(ctx) {
		return time.Time{}, noTurn(ctx)
	}
	defer p.first.leave()
	for {
		// Both may change meanwhile.
		remaining := p.remaining()
		if remaining <= 0 {
			return p.given(), nil
		}
		if !sleep(ctx, remaining) {
			return time.Time{}, noTurn(ctx)
		}
	}
}

// state is for how long the replica wants to be left alone, and whether there is any
// reason to wait.
func (p *pace) state() (rest time.Duration, limited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest = time.Until(p.rest)
	return rest, rest > 0 || p.interval > 0
}

// remaining is the time until the next turn.
func (p *pace) remaining() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(time.Until(p.last.Add(p.interval)), time.Until(p.rest))
}

func (p *pace) given() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	return p.last
}

func noTurn(ctx context.Context) *failure {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &failure{outcome: Abandoned, err: fmt.Errorf("%w: %w", ErrUnavailable, errAbandoned)}
	}
	return &failure{outcome: Skipped, err: fmt.Errorf("%w: %w", ErrUnavailable, errQueue)}
}

// learn changes the interval by the outcome of a request that had its turn at given. A
// 429 to one that was made before the last change says nothing new. wait is for how long
// the replica says that it wants to be left alone.
func (p *pace) learn(outcome Outcome, wait time.Duration, given time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if rest := now.Add(min(wait, maxRest)); wait > 0 && rest.After(p.rest) {
		p.rest = rest
	}
	switch {
	case outcome == Throttled && p.interval == 0:
		p.interval, p.slowed, p.last = firstInterval, now, now
	case outcome == Throttled && given.After(p.slowed):
		p.interval, p.slowed = min(2*p.interval, longestInterval), now
	case outcome.isAnswer() && p.interval > 0:
		p.interval = time.Duration(float64(p.interval) / quicker)
		if p.interval < shortestInterval {
			p.interval = 0
		}
	}
}
