// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func testLane(requests int) *lane {
	return newLane("registry.example", Limits{Requests: requests}.withDefaults())
}

// answers has the lane hear an answer to a request that begins now.
func (l *lane) answers(status int, retryAfter string) {
	req := &http.Request{URL: &url.URL{Host: l.host, Path: "/v2/a/manifests/1"}}
	l.heard("", time.Now(), req, &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}})
}

func TestRepositoriesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(1)
		first, err := l.enter(t.Context(), turnstile{repository: "busy"}, false)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		come := func(repository string) {
			go func() {
				leave, err := l.enter(t.Context(), turnstile{repository: repository}, false)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, repository)
				leave()
			}()
			synctest.Wait()
		}
		for range 3 {
			come("busy")
		}
		come("rare")
		first()
		synctest.Wait()
		if diff := cmp.Diff([]string{"busy", "rare", "busy", "busy"}, order); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestAPauseIsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(8)
		l.answers(http.StatusTooManyRequests, "2")
		begun := time.Now()
		leave, err := l.enter(t.Context(), turnstile{repository: "a"}, false)
		if err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v, want to be let in after 2 s", err, time.Since(begun))
		}
		leave()

		l.answers(http.StatusTooManyRequests, "2")
		if _, err := l.enter(t.Context(), turnstile{repository: "a"}, true); reasonOf(t, err) != verify.RegistryThrottled {
			t.Errorf("who can ask elsewhere: %v, want RegistryThrottled", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.enter(short, turnstile{repository: "a"}, false); reasonOf(t, err) != verify.RegistryThrottled {
			t.Errorf("who has no time: %v, want RegistryThrottled", err)
		}

		waiting := make(chan error, 1)
		go func() {
			_, err := l.enter(t.Context(), turnstile{repository: "a"}, false)
			waiting <- err
		}()
		synctest.Wait()
		l.answers(http.StatusServiceUnavailable, "3600")
		if err := <-waiting; reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("who was waiting when it became long: %v, want RegistryUnavailable", err)
		}
		time.Sleep(maxRest)
		if _, err := l.enter(t.Context(), turnstile{repository: "a"}, false); err != nil {
			t.Errorf("after the longest pause: %v", err)
		}
	})
}

// TestAPauseIsForOneCredential: a tenant who exceeds his limit takes nothing from others.
func TestAPauseIsForOneCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(8)
		l.heard("his", time.Now(), &http.Request{URL: &url.URL{}}, &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"20"}}})
		if _, err := l.enter(t.Context(), turnstile{"a", "his"}, false); reasonOf(t, err) != verify.RegistryThrottled {
			t.Errorf("with his: %v, want RegistryThrottled", err)
		}
		begun := time.Now()
		leave, err := l.enter(t.Context(), turnstile{"a", "mine"}, false)
		if err != nil || time.Since(begun) != 0 {
			t.Fatalf("with mine: %v after %v", err, time.Since(begun))
		}
		leave()
		time.Sleep(2 * maxRest)
		for i := range 1000 {
			leave, err := l.enter(t.Context(), turnstile{"a", strconv.Itoa(i)}, false)
			if err != nil {
				t.Fatal(err)
			}
			leave()
			time.Sleep(time.Second)
		}
		if len(l.paces) > 1+int(maxRest/time.Second)+1 {
			t.Errorf("%d credentials are remembered", len(l.paces))
		}
	})
}

func TestAThrottledLaneNarrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(8)
		for _, want := range []int{4, 2, 1, 1} {
			time.Sleep(maxRest)
			l.answers(http.StatusTooManyRequests, "")
			if l.pace("").width != want {
				t.Errorf("%d requests may be under way, want %d", l.pace("").width, want)
			}
		}
		begun := time.Now()
		time.Sleep(time.Second)
		l.heard("", begun.Add(-time.Minute), &http.Request{URL: &url.URL{}}, &http.Response{StatusCode: http.StatusTooManyRequests})
		for range 20 {
			l.answers(http.StatusOK, "")
		}
		if l.pace("").width != 8 {
			t.Errorf("after 20 answers %d requests may be under way, want 8", l.pace("").width)
		}
	})
}

func TestWhoGivesUpLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane(1)
		leave, err := l.enter(t.Context(), turnstile{repository: "a"}, false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.enter(ctx, turnstile{repository: "b"}, false); reasonOf(t, err) != verify.DeadlineExceeded {
			t.Errorf("%v, want DeadlineExceeded", err)
		}
		leave()
		leave() // once more changes nothing
		if l.total != 0 || len(l.queues) != 0 || len(l.underWay) != 0 {
			t.Errorf("%d under way, %d queues, %v", l.total, len(l.queues), l.underWay)
		}
	})
}
