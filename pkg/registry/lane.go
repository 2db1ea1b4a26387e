// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// lane is the way to one registry, for all who ask it. It bounds how many requests
// are under way at a time, so that a registry that is slow has no more than its part
// of what all registries share, and lets its repositories in by turns, so that one of
// them does not keep out the others. A registry that limits the rate of requests
// stops all who ask with the same credential at once, not each request by itself; whoever
// asks with another one has another limit, and does not suffer from what somebody did
// with his.
type lane struct {
	host string
	// memory is the registry's part of Client.memory.
	memory  *semaphore.Weighted
	circuit *circuit
	// vouching is the question whether it is a registry that answers: see absence.
	vouching flight[struct{}]
	// most is how many requests may be under way, and perRepository how many of them
	// to one repository.
	most, perRepository int

	mu       sync.Mutex
	total    int
	underWay map[string]int
	// queues are those who wait, in the order of their turns.
	queues []*queue
	// paces are by the ID of the credential.
	paces map[string]*pace
}

// queue are those who wait to ask one repository with one credential, in the order of
// their arrival.
type queue struct {
	turnstile
	waiting []chan error
}

type turnstile struct{ repository, credential string }

func (r request) turnstile() turnstile {
	return turnstile{r.repository.RepositoryStr(), r.credential.ID}
}

func newLane(host string, limits Limits) *lane {
	return &lane{
		host:          host,
		memory:        semaphore.NewWeighted(limits.registryMemory()),
		circuit:       newCircuit(host, limits.ping()),
		vouching:      flight[struct{}]{limit: limits.ping()},
		most:          limits.Requests,
		perRepository: max(1, limits.Requests/4),
		underWay:      map[string]int{},
		paces:         map[string]*pace{},
	}
}

// enter waits until a request may be made, and returns what to call when it has ended.
// It fails at once if that would not be in time, or the registry is left alone and
// what is asked for can be had elsewhere; otherwise with the end of ctx.
func (l *lane) enter(ctx context.Context, at turnstile, elsewhere bool) (leave func(), err error) {
	l.mu.Lock()
	if p := l.pace(at.credential); p.left() > 0 && (elsewhere || !inTime(ctx, p.left())) {
		defer l.mu.Unlock()
		return nil, p.refusal()
	}
	turn := make(chan error, 1)
	l.enqueue(at, turn)
	l.admit()
	l.mu.Unlock()
	select {
	case err := <-turn:
		if err != nil {
			return nil, err
		}
		return sync.OnceFunc(func() { l.leave(at) }), nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dequeue(at, turn) && <-turn == nil { // it came just then
		l.end(at)
	}
	return nil, &Error{verify.DeadlineExceeded, "so many requests to registry " + l.host + " are under way that there was no time for another", ctx.Err()}
}

func (l *lane) leave(at turnstile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(at)
}

func (l *lane) end(at turnstile) {
	l.total--
	l.pace(at.credential).underWay--
	if l.underWay[at.repository]--; l.underWay[at.repository] == 0 {
		delete(l.underWay, at.repository)
	}
	l.admit()
}

// admit lets in as many as there is room for, by turns.
func (l *lane) admit() {
	for l.total < l.most {
		next := slices.IndexFunc(l.queues, func(q *queue) bool {
			return l.underWay[q.repository] < l.perRepository && l.pace(q.credential).allows()
		})
		if next < 0 {
			return
		}
		q := l.queues[next]
		turn := q.waiting[0]
		q.waiting = q.waiting[1:]
		l.queues = slices.Delete(l.queues, next, next+1)
		if len(q.waiting) > 0 {
			l.queues = append(l.queues, q)
		}
		l.total++
		l.underWay[q.repository]++
		l.pace(q.credential).underWay++
		turn <- nil
	}
}

func (l *lane) enqueue(at turnstile, turn chan error) {
	for _, q := range l.queues {
		if q.turnstile == at {
			q.waiting = append(q.waiting, turn)
			return
		}
	}
	l.queues = append(l.queues, &queue{at, []chan error{turn}})
}

// dequeue reports whether turn was still waiting.
func (l *lane) dequeue(at turnstile, turn chan error) bool {
	for i, q := range l.queues {
		if q.turnstile != at {
			continue
		}
		found := slices.Index(q.waiting, turn)
		if found < 0 {
			return false
		}
		if q.waiting = slices.Delete(q.waiting, found, found+1); len(q.waiting) == 0 {
			l.queues = slices.Delete(l.queues, i, i+1)
		}
		return true
	}
	return false
}

// pace returns that of a credential. Those of which there is nothing to be known any
// more make room for it.
func (l *lane) pace(credential string) *pace {
	if p, ok := l.paces[credential]; ok {
		return p
	}
	maps.DeleteFunc(l.paces, func(_ string, p *pace) bool { return p.isForgotten() })
	p := newPace(l.most)
	l.paces[credential] = p
	return p
}

// isThrottled tells whether a credential is in a pause.
func (l *lane) isThrottled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.paces {
		if p.left() > 0 {
			return true
		}
	}
	return false
}

// heard takes note of an answer to a request with a credential that began at a time:
// whether the registry, or a host that it refers to, wants to be left alone, and for
// how long. That it goes on to answer the handshake does not mean that it does not.
func (l *lane) heard(credential string, began time.Time, req *http.Request, resp *http.Response) {
	asked := retryAfter(resp.Header, time.Now())
	throttled := resp.StatusCode == http.StatusTooManyRequests
	l.mu.Lock()
	defer l.mu.Unlock()
	if throttled || (resp.StatusCode == http.StatusServiceUnavailable && asked > 0) {
		l.rest(credential, began, asked, statusError(l.host, "a request", resp.StatusCode, ""))
		return
	}
	if req.URL.Host == l.host && req.URL.Path != "/v2/" && strings.HasPrefix(req.URL.Path, "/v2/") {
		l.pace(credential).answered()
	}
}

// rest begins a pause. Whoever waits and would have to wait for longer than maxPause is
// refused.
func (l *lane) rest(credential string, began time.Time, asked time.Duration, why *Error) {
	p := l.pace(credential)
	if !p.throttled(began, asked, why) {
		return
	}
	time.AfterFunc(p.left(), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.admit()
	})
	if p.left() <= maxPause {
		return
	}
	l.queues = slices.DeleteFunc(l.queues, func(q *queue) bool {
		if q.credential != credential {
			return false
		}
		for _, turn := range q.waiting {
			turn <- p.refusal()
		}
		return true
	})
}
