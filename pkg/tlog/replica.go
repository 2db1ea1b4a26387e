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
	// openFor is how long a replica that did not answer is left alone. Then one
	// request tries it, and it is asked as before when that is answered. It is
	// short, because a log that is back is needed at once.
	openFor = time.Second
	// maxFailures is how many failures in a row show that a replica is down. One is
	// enough that nothing came before the time-out: that is what costs.
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

	mu sync.Mutex
	// last is the last failure that counted against the replica.
	last error
	// rest is until when the replica wants to be left alone.
	rest time.Time
}

func newReplica(base *url.URL, client *http.Client, observer Observer) *replica {
	r := &replica{base: base, http: client, observer: observer}
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
// judge accepted the answer, and else why there is none that can be used.
func (r *replica) ask(ctx context.Context, q question, judge func(body []byte) error) *failure {
	if wait := r.resting(); wait > 0 {
		return r.ended(q, 0, &failure{outcome: Skipped, again: true, wait: wait,
			err: fmt.Errorf("%w: %s wants to be left alone for another %v", ErrUnavailable, place(r.base), wait.Round(time.Millisecond))})
	}
	done, err := r.circuit.Allow()
	if err != nil {
		f := &failure{outcome: Skipped, err: fmt.Errorf("%w: not asked, because a moment ago: %w", ErrUnavailable, r.cause())}
		if errors.Is(err, gobreaker.ErrTooManyRequests) {
			f.again = true // somebody else is trying just now whether it answers again
		} else if q.patient {
			f.again, f.wait = true, openFor
		}
		return r.ended(q, 0, f)
	}
	begin := time.Now()
	f := r.request(ctx, q, judge)
	if f != nil {
		r.note(f)
	}
	done(f.asError())
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
	body, f := r.fetch(ctx, target, q.maxBytes)
	if f != nil {
		return f
	}
	if err := judge(body); err != nil {
		return &failure{outcome: Invalid, err: err}
	}
	return nil
}

// fetch returns the body of the answer to one GET request.
func (r *replica) fetch(ctx context.Context, target *url.URL, maxBytes int64) ([]byte, *failure) {
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
		return nil, statusFailure(target, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, transportFailure(ctx, target, err)
	}
	if int64(len(body)) > maxBytes {
		return nil, &failure{outcome: Invalid, err: fmt.Errorf("%w: GET %s: the answer is longer than %d bytes", ErrLimit, place(target), maxBytes)}
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
	if !f.outcome.isAnswer() && !f.outcome.isNeutral() {
		r.last = f.err
	}
	if rest := time.Now().Add(min(f.wait, maxRest)); f.wait > 0 && rest.After(r.rest) {
		r.rest = rest
	}
}

// resting returns for how long the replica wants to be left alone.
func (r *replica) resting() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.rest)
}

// isDown reports whether the replica is left alone because it did not answer.
func (r *replica) isDown() bool { return r.circuit.State() != gobreaker.StateClosed }

// cause is why the replica is not asked.
func (r *replica) cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
