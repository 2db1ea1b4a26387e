// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// limited is nginx's limit_req without a burst: a request that comes sooner than every
// after the last one that was let through is refused with 429, and does not count.
func limited(every time.Duration, then func(*http.Request) (*http.Response, error), headers ...string) func(*http.Request) (*http.Response, error) {
	var mu sync.Mutex
	var last time.Time
	return func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if !last.IsZero() && time.Since(last) < every {
			return answersWith(http.StatusTooManyRequests, "", headers...)(r)
		}
		last = time.Now()
		return then(r)
	}
}

// TestALogWithARateLimitAnswers all questions that it has the time for, whether it says
// how long to leave it alone or not.
func TestALogWithARateLimitAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		every   time.Duration
		headers []string
		atOnce  int
		times   int
		most    time.Duration // that a question takes
	}{
		"2 a second, one after the other":              {every: 500 * time.Millisecond, atOnce: 1, times: 50, most: 3 * time.Second},
		"2 a second, three at a time":                  {every: 500 * time.Millisecond, atOnce: 3, times: 5, most: 5 * time.Second},
		"2 a second, and it says for how long":         {every: 500 * time.Millisecond, headers: []string{"Retry-After", "1"}, atOnce: 1, times: 20, most: 4 * time.Second},
		"20 a second, ten at a time":                   {every: 50 * time.Millisecond, atOnce: 10, times: 10, most: 5 * time.Second},
		"1 a second, one after the other":              {every: time.Second, atOnce: 1, times: 20, most: 4 * time.Second},
		"no limit but for what comes at the same time": {every: time.Millisecond, atOnce: 20, times: 10, most: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosts(t, limited(test.every, up, test.headers...))
				endpoints := h.endpoints()
				for range test.times {
					var questions sync.WaitGroup
					for range test.atOnce {
						questions.Go(func() {
							took, err := h.ask(t.Context(), endpoints)
							if err != nil || took > test.most {
								t.Errorf("after %v: %v; want an answer within %v", took, err, test.most)
							}
						})
					}
					questions.Wait()
				}
				if refused, answered := h.count(tlog.Throttled), h.count(tlog.Answered); refused > answered {
					t.Errorf("%d requests were too many; want at most one for each of the %d that were not", refused, answered)
				}
				if endpoints.Replicas()[0].Down {
					t.Error("a log that limits how often it is asked is said to be down")
				}
			})
		})
	}
}

// TestAPollHasItsTurn: however many ask, what is known of the log stays fresh.
func TestAPollHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, limited(500*time.Millisecond, up))
		endpoints := h.endpoints()
		stop := make(chan struct{})
		var questions sync.WaitGroup
		for range 100 {
			questions.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = tlog.NewRekorV1Client(endpoints).Entry(t.Context(), [32]byte{})
					}
				}
			})
		}
		for range 20 {
			time.Sleep(time.Second)
			if _, err := tlog.NewRekorV1Client(endpoints).Latest(t.Context()); err != nil {
				t.Errorf("a poll had no turn: %v", err)
			}
		}
		close(stop)
		questions.Wait()
		if refused, all := h.count(tlog.Throttled), h.requests(0); refused > all/2+100 {
			t.Errorf("%d of %d requests were too many", refused, all)
		}
	})
}

// TestNobodyWaitsInVain: a question that another replica has answered gives up its turn.
func TestNobodyWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, limited(time.Hour, up), up)
		endpoints := h.endpoints()
		for range 20 {
			took, err := h.ask(t.Context(), endpoints)
			wantErr(t, err, nil)
			if took > tlog.Patience {
				t.Errorf("took %v although the second replica answers", took)
			}
		}
		synctest.Wait()
		if n := h.requests(0); n > 20 {
			t.Errorf("%d requests to a replica that answers one an hour", n)
		}
	})
}

// TestTheLimitIsForgotten once it is gone.
func TestTheLimitIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, limited(time.Second, up))
		endpoints := h.endpoints()
		for range 10 {
			_, err := h.ask(t.Context(), endpoints)
			wantErr(t, err, nil)
		}
		h.become(0, up)
		for range 60 {
			_, err := h.ask(t.Context(), endpoints)
			wantErr(t, err, nil)
		}
		if took, err := h.ask(t.Context(), endpoints); took != 0 || err != nil {
			t.Errorf("a question takes %v (%v) long after the limit is gone", took, err)
		}
	})
}
