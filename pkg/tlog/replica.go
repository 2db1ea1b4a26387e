// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// requestTimeout bounds one request to one replica.
	requestTimeout = 5 * time.Second
	// maxRedirects bounds the redirects of one request, which never lead to
	// another host.
	maxRedirects = 3
	// openFor is how long a replica that fails is left alone. Then one request tries
	// it, and it is asked as before when that is answered. It is so short that
	// questions wait for it: a log that is back is needed at once.
	openFor = 200 * time.Millisecond
	// stalledFor is the same for a replica of which nothing came before the time-out.
	// To try that costs, so questions do not wait.
	stalledFor = time.Second
	// maxFailures is how many failures in a row show that a replica is down. Of
	// time-outs one is enough.
	maxFailures = 5
	// maxRest is the longest time that a replica is left alone because it asks for it.
	maxRest = 30 * time.Second
)

// replica is one address of a log.
type replica struct {
	base     *url.URL
	http     *http.Client
	observer Observer
	circuit  *gobreaker.TwoStepCircuitBreaker[struct{}]
	pace     *pace

	mu sync.Mutex
	// last is the last failure that counted against the replica, and when it was.
	last   error
	lastAt time.Time
	// stalled is until when the replica is left alone because nothing came of it.
	stalled time.Time
}

func newReplica(base *url.URL, client *http.Client, observer Observer) *replica {
	r := &replica{base: base, http: client, observer: observer, pace: newPace()}
	// The circuit breaker calls these one after the other, under its lock.
	var stalled bool
	r.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:    place(base),
		Timeout: openFor,
		IsExcluded: func(err error) bool {
			return outcomeOf(err).isNeutral()
		},
		IsSuccessful: func(err error) bool {
			outcome := outcomeOf(err)
			stalled = outcome == Stalled
			return outcome.isAnswer()
		},
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return stalled || counts.ConsecutiveFailures >= maxFailures
		},
	})
	return r
}

// ask makes one request, unless the replica is being left alone. It returns nil when
// the answer was accepted, and else why there is none that can be used. The question
// ends with ctx, and the request with its own context, which may be later.
func (r *replica) ask(ctx, request context.Context, a *asking) *failure {
	q := a.question
	turn, f := r.pace.turn(ctx, a)
	if f != nil {
		f.err = fmt.Errorf("%s: %w", place(r.base), f.err)
		return r.ended(q, 0, f)
	}
	if f := r.leftAlone(q); f != nil {
		return r.ended(q, 0, f)
	}
	done, err := r.circuit.Allow()
	if err != nil {
		return r.ended(q, 0, r.open(err))
	}
	begin := time.Now()
	var wait time.Duration
	if f = r.request(request, q, a.judge); f != nil {
		r.note(f)
		wait = f.wait
	}
	done(f.asError())
	r.pace.learn(outcomeOf(f.asError()), wait, turn)
	return r.ended(q, time.Since(begin), f)
}

// ended tells the observer.
func (r *replica) ended(q question, took time.Duration, f *failure) *failure {
	r.observer.Requested(q.operation, outcomeOf(f.asError()), took)
	return f
}

// request makes one request and has its answer judged.
func (r *replica) request(ctx context.Context, q question, judge func(body []byte) error) (f *failure) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errStalled)
	defer cancel()
	// This runs in a goroutine of its own: a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			f = &failure{outcome: Invalid, err: fmt.Errorf("%w: panic: %v", ErrUnavailable, p)}
		}
	}()
	target := r.base.JoinPath(q.path)
	target.RawQuery = q.query.Encode()
	body, f := r.fetch(ctx, target, q)
	if f != nil {
		return f
	}
	if err := judge(body); err != nil {
		return &failure{outcome: Invalid, err: err}
	}
	return nil
}

// fetch returns the body of the answer to one GET request.
func (r *replica) fetch(ctx context.Context, target *url.URL, q question) ([]byte, *failure) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, &failure{outcome: Invalid, err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, transportFailure(ctx, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, statusFailure(target, q, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, q.maxBytes+1))
	if err != nil {
		return nil, transportFailure(ctx, target, err)
	}
	if int64(len(body)) > q.maxBytes {
		return nil, &failure{outcome: Invalid, err: fmt.Errorf("%w: GET %s: the answer is longer than %d bytes", ErrLimit, place(target), q.maxBytes)}
	}
	return body, nil
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if first := via[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("%w to another host %q", errRedirect, next.URL.Host)
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: it is one too many", errRedirect)
	}
	return nil
}

// errRedirect: the log's owner named this host, and no other is asked.
var errRedirect = errors.New("redirect refused")

// note remembers what a failure says about the time to come.
func (r *replica) note(f *failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !f.outcome.isAnswer() && !f.outcome.isNeutral() {
		r.last, r.lastAt = f.err, now
	}
	if f.outcome == Stalled {
		r.stalled = now.Add(stalledFor)
	}
}

// leftAlone returns why q is not put to the replica now, or nil.
func (r *replica) leftAlone(q question) *failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := time.Until(r.stalled); wait > 0 {
		return &failure{outcome: Skipped, again: q.patient, wait: wait, err: r.notAsked()}
	}
	return nil
}

// open is what it means that the circuit breaker refused with err: that the replica
// failed a moment ago, or that somebody is trying just now whether it answers again.
func (r *replica) open(err error) *failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &failure{outcome: Skipped, again: true, err: r.notAsked()}
	if errors.Is(err, gobreaker.ErrOpenState) {
		f.wait = max(0, time.Until(r.lastAt.Add(openFor)))
	}
	return f
}

// notAsked says why a replica is left alone.
func (r *replica) notAsked() error {
	return fmt.Errorf("%w: not asked, because a moment ago: %w", ErrUnavailable, r.last)
}

// isDown reports whether the replica is left alone because it did not answer.
func (r *replica) isDown() bool { return r.circuit.State() != gobreaker.StateClosed }
