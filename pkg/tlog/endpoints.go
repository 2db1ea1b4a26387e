// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// maxReplicas bounds the addresses of one log.
	maxReplicas = 8
	// questionTimeout bounds one question to all replicas together, pauses included.
	// It leaves time to say so inside an admission request's deadline.
	questionTimeout = 8 * time.Second
	// patience is how long a replica is waited for alone. One that has not answered
	// by then gets company: the next is asked, too, and whoever answers first wins.
	// So a replica that stalls costs a question this and not its time-out, and a log
	// that is slow is still waited for.
	patience = 500 * time.Millisecond
	// maxRounds bounds how often one replica is asked for one thing, unless it says
	// each time that it is asked too often: see pace.
	maxRounds = 4
	// backoff is the mean pause before the second round; it doubles for each that
	// follows, up to maxRounds.
	backoff = 100 * time.Millisecond
	// maxPause is the longest pause that a question makes because a replica wants one.
	maxPause = 2 * time.Second
)

// EndpointsConfig says where a log answers.
type EndpointsConfig struct {
	// URLs are the base URLs of one to eight replicas of one log, in the order in
	// which they are asked.
	URLs []*url.URL
	// Client makes the requests. Nil stands for one with Go's defaults.
	Client *http.Client
	// Observer is told of each request. It may be nil.
	Observer Observer
}

// Endpoints is where one log answers: one address, or several that are replicas of
// one log. A question is put to one after the other until one has answered it. A
// replica that does not answer is not asked for a while, so that one that is down
// costs one time-out and not one a question. Nothing that comes back is verified: it
// is the claim of whoever sits at that address. Safe for concurrent use.
type Endpoints struct {
	replicas []*replica
}

// NewEndpoints returns the endpoints that config describes. Redirects to another
// host are refused: the log's owner named these.
func NewEndpoints(config EndpointsConfig) (*Endpoints, error) {
	if len(config.URLs) == 0 || len(config.URLs) > maxReplicas {
		return nil, fmt.Errorf("a log has %d addresses, not 1 to %d", len(config.URLs), maxReplicas)
	}
	var own http.Client
	if config.Client != nil {
		own = *config.Client
	}
	own.CheckRedirect = checkRedirect
	observer := config.Observer
	if observer == nil {
		observer = unobserved{}
	}
	e := &Endpoints{}
	for _, base := range config.URLs {
		if (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" {
			return nil, fmt.Errorf("URL %q is not an http or https address", base.Redacted())
		}
		e.replicas = append(e.replicas, newReplica(base, &own, observer))
	}
	return e, nil
}

// question is a GET request that every replica of a log can answer.
type question struct {
	operation Operation
	// path is relative to the base URLs.
	path  string
	query url.Values
	// maxBytes bounds the body of the answer.
	maxBytes int64
	// patient is set for a question that waits until a replica that is being left
	// alone can be asked again: a poll, which says for a while how the log is.
	patient bool
	// isFile is set for what a file server has: it says with a page for people that it
	// has no such file, and that is an answer.
	isFile bool
	// first is the number of the replica that is asked first, counted round.
	first int
}

// get puts q to the replicas. accept is given the body of an answer; a replica whose
// answer it refuses is passed over like one that gave none. It is called by one
// goroutine at a time, and no more once it has accepted an answer or get has returned.
//
// When no answer was accepted the error wraps, for each replica, one of: errRefused,
// when it answered that it has no such thing, *statusError with the status;
// ErrUnavailable, when it did not answer; ErrLimit; and what accept said. So both
// errRefused and ErrUnavailable can be in one error: some replicas refused and the
// others could not be asked.
func (e *Endpoints) get(ctx context.Context, q question, accept func(body []byte) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, questionTimeout, errSlow)
	defer cancel()
	a := &asking{question: q, accept: accept, failures: map[*replica]*failure{}, begun: time.Now(), alone: len(e.replicas) == 1}
	defer a.end()
	first := q.first % len(e.replicas)
	replicas := slices.Concat(e.replicas[first:], e.replicas[:first])
	pending := replicas
	for round := 0; ; round++ {
		if a.round(ctx, pending) {
			return nil
		}
		var pause time.Duration
		pending, pause = a.again(replicas, round)
		if len(pending) == 0 || !sleep(ctx, pause) {
			break
		}
	}
	var errs []error
	for _, r := range e.replicas {
		if f, ok := a.failures[r]; ok {
			errs = append(errs, f.err)
		}
	}
	return joined(errs)
}

// each puts q to every replica, all at a time, and returns what see makes of each
// answer, in the order of the replicas.
func (e *Endpoints) each(ctx context.Context, q question, see func(body []byte) ([][]byte, error)) []view {
	views := make([]view, len(e.replicas))
	var asked sync.WaitGroup
	for i, r := range e.replicas {
		asked.Go(func() {
			alone, v := &Endpoints{replicas: []*replica{r}}, &views[i]
			v.replica = place(r.base)
			v.err = alone.get(ctx, q, func(body []byte) (err error) {
				v.notes, err = see(body)
				return err
			})
		})
	}
	asked.Wait()
	return views
}

var errSlow = errors.New("no replica answered in time")

// asking is one question while it is being asked.
type asking struct {
	question question
	failures map[*replica]*failure
	begun    time.Time
	// alone is set if there is one replica: then it is waited for.
	alone bool

	mu     sync.Mutex
	accept func(body []byte) error
	over   bool
}

// judge offers the body of an answer.
func (a *asking) judge(body []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil // nobody waits for it any more
	}
	err := a.accept(body)
	a.over = err == nil
	return err
}

func (a *asking) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// queue is how long the question waits for a replica that limits how often it is asked.
func (a *asking) queue() time.Duration {
	if a.question.patient {
		return questionTimeout
	}
	return queue
}

// round asks each of replicas at most once, and reports whether an answer was
// accepted. Requests that are still under way then go on to their end, which says
// whether that replica is to be asked again; only ctx ends them earlier.
func (a *asking) round(ctx context.Context, replicas []*replica) bool {
	type result struct {
		replica *replica
		failure *failure
	}
	results := make(chan result, len(replicas))
	abandon := make([]context.CancelCauseFunc, 0, len(replicas))
	begin := func() {
		r := replicas[len(abandon)]
		request, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		abandon = append(abandon, cancel)
		go func() {
			defer cancel(nil)
			results <- result{r, r.ask(ctx, request, a)}
		}()
	}
	begin()
	company := time.NewTimer(patience)
	defer company.Stop()
	for answered := 0; answered < len(abandon); {
		select {
		case r := <-results:
			if r.failure == nil {
				return true
			}
			a.failures[r.replica] = r.failure
			answered++
		case <-company.C:
		case <-ctx.Done():
			for i, cancel := range abandon {
				cancel(errAbandoned)
				if a.failures[replicas[i]] == nil {
					a.failures[replicas[i]] = &failure{err: fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))}
				}
			}
			return false
		}
		if len(abandon) < len(replicas) {
			begin()
			company.Reset(patience)
		}
	}
	return false
}

// again returns those of replicas that may answer in a moment, and how long to wait
// for that.
func (a *asking) again(replicas []*replica, round int) (pending []*replica, pause time.Duration) {
	var wait time.Duration
	for _, r := range replicas {
		f := a.failures[r]
		if f == nil || !f.again || f.wait > maxPause {
			continue
		}
		if f.outcome == Throttled && time.Since(a.begun)+f.wait > a.queue() || f.outcome != Throttled && round >= maxRounds-1 {
			continue
		}
		if len(pending) == 0 || f.wait < wait {
			wait = f.wait
		}
		pending = append(pending, r)
	}
	// From half of the mean pause to one and a half: those who failed together
	// do not come back together.
	mean := backoff << min(round, maxRounds-2)
	return pending, wait + mean/2 + rand.N(mean) //nolint:gosec // Nobody gains by guessing a pause.
}

// sleep waits, and reports whether there was time for it.
func sleep(ctx context.Context, pause time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
