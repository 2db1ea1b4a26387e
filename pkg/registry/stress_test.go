// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func throttle(retryAfter string) http.HandlerFunc { return refuseFor(429, retryAfter) }

func unavailableFor(retryAfter string) http.HandlerFunc { return refuseFor(503, retryAfter) }

func refuseFor(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(code)
	}
}

// everything answers whatever is asked, the ping left out, and counts.
type everything struct {
	answer   http.HandlerFunc
	asked    atomic.Int32
	mu       sync.Mutex
	underWay map[string]int
	most     int
	mostOf   map[string]int
}

// onEverything has f answer all questions about any repository.
func (f *fake) onEverything(answer http.HandlerFunc) *everything {
	e := &everything{answer: answer, underWay: map[string]int{}, mostOf: map[string]int{}}
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			f.ServeHTTP(w, r)
			return
		}
		e.ServeHTTP(w, r)
	})
	return e
}

func (e *everything) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.asked.Add(1)
	repository, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	count := func(by int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.underWay[repository] += by
		e.mostOf[repository] = max(e.mostOf[repository], e.underWay[repository])
		all := 0
		for _, n := range e.underWay {
			all += n
		}
		e.most = max(e.most, all)
	}
	count(1)
	defer count(-1)
	e.answer(w, r)
}

func slowly(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond)
		answer(w, r)
	}
}

// resolveAll resolves many references at once and returns how often each reason came.
func resolveAll(t *testing.T, client *Client, refs []image.Reference) map[verify.Reason]int {
	t.Helper()
	var (
		mu      sync.Mutex
		callers sync.WaitGroup
		reasons = map[verify.Reason]int{}
	)
	for _, ref := range refs {
		callers.Go(func() {
			got, err := client.Resolve(t.Context(), ref)
			mu.Lock()
			defer mu.Unlock()
			reasons[reasonOf(t, err)]++
			if err == nil && got != subject {
				t.Errorf("%s is %s", ref, got)
			}
		})
	}
	callers.Wait()
	return reasons
}

// refs returns n references with different tags, to repositories in turn.
func (f *fake) refs(t *testing.T, n int, repositories ...string) []image.Reference {
	t.Helper()
	all := make([]image.Reference, n)
	for i := range all {
		all[i] = parse(t, fmt.Sprintf("%s/%s:%d", f.host(), repositories[i%len(repositories)], i))
	}
	return all
}

func TestNoMoreRequestsAreUnderWayThanAllowed(t *testing.T) {
	f := newFake(t)
	registry := f.onEverything(slowly(withDigest(ociManifest, subject)))
	client := f.client(Limits{Requests: 8})
	reasons := resolveAll(t, client, f.refs(t, 200, "a", "b", "c", "d", "e", "f"))
	if reasons[""] != 200 {
		t.Errorf("%v, want all of them answered", reasons)
	}
	if registry.most > 8 {
		t.Errorf("%d requests were under way to the registry, want 8 at most", registry.most)
	}
	for repository, most := range registry.mostOf {
		if most > 2 {
			t.Errorf("%d requests were under way to repository %s, want a quarter of 8 at most", most, repository)
		}
	}
}

func TestWhoStallsKeepsNobodyElseOut(t *testing.T) {
	stalling, good := newFake(t), newFake(t)
	stalling.onEverything(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/good/") {
			withDigest(ociManifest, subject)(w, r)
			return
		}
		silent(w, r)
	})
	good.onEverything(withDigest(ociManifest, subject))
	client := New(Options{InsecureRegistries: []string{stalling.host(), good.host()}})
	ctx, cancel := context.WithCancel(t.Context())
	var hung sync.WaitGroup
	for _, ref := range stalling.refs(t, 500, "hung") {
		hung.Go(func() { _, _ = client.Resolve(ctx, ref) })
	}
	defer hung.Wait()
	defer cancel()
	waitFor(t, func() bool {
		l := client.connections.Load().lane(stalling.host())
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.total == 8 && len(l.queues) == 1 && len(l.queues[0].waiting) > 400
	})
	for name, ref := range map[string]image.Reference{
		"another registry":                    parse(t, good.host()+"/good:1"),
		"another repository of that registry": parse(t, stalling.host()+"/good:1"),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if got, err := client.Resolve(ctx, ref); err != nil || got != subject {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestAThrottlingRegistryIsNotStormed(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		most   int32
		later  int32
	}{
		"it does not say for how long": {slowly(status(429)), 120, 1},
		"it says for how long":         {slowly(throttle("60")), 32, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			registry := f.onEverything(tc.answer)
			client := f.client(Limits{})
			start := time.Now()
			reasons := resolveAll(t, client, f.refs(t, 1000, "a", "b", "c", "d", "e", "f", "g", "h"))
			if reasons[verify.RegistryThrottled] != 1000 {
				t.Errorf("%v, want all of them RegistryThrottled", reasons)
			}
			if asked := registry.asked.Load(); asked > tc.most {
				t.Errorf("1000 questions made %d requests, want %d at most", asked, tc.most)
			}
			t.Logf("1000 questions made %d requests in %v", registry.asked.Load(), time.Since(start))
			asked := registry.asked.Load()
			_, err := client.Resolve(t.Context(), parse(t, f.host()+"/a:later"))
			if more := registry.asked.Load() - asked; reasonOf(t, err) != verify.RegistryThrottled || more > tc.later {
				t.Errorf("afterwards: %v after %d requests, want RegistryThrottled after %d at most", err, more, tc.later)
			}
		})
	}
}

// TestRequestsThatAreTriedAgain, and how often.
func TestRequestsThatAreTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		failures []http.HandlerFunc
		want     verify.Reason
	}{
		"one that fails once":               {[]http.HandlerFunc{status(500)}, ""},
		"one that fails twice":              {[]http.HandlerFunc{reset, status(502)}, ""},
		"one that fails three times":        {[]http.HandlerFunc{status(503), status(503), status(503)}, verify.RegistryUnavailable},
		"one that is cut off":               {[]http.HandlerFunc{halfAnAnswer}, ""},
		"one that is throttled four times":  {[]http.HandlerFunc{status(429), status(429), status(429), status(429)}, ""},
		"one that fails and is throttled":   {[]http.HandlerFunc{status(500), status(429), status(429)}, ""},
		"not one that is refused":           {[]http.HandlerFunc{status(403)}, verify.RegistryUnauthorized},
		"not one that the server is unable": {[]http.HandlerFunc{status(501)}, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var asked atomic.Int32
			f.onEverything(func(w http.ResponseWriter, r *http.Request) {
				if n := int(asked.Add(1)); n <= len(tc.failures) {
					tc.failures[n-1](w, r)
					return
				}
				withDigest(ociManifest, subject)(w, r)
			})
			if _, err := f.client(Limits{}).Resolve(t.Context(), f.ref(t, ":1")); reasonOf(t, err) != tc.want {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	f := newFake(t)
	var asked atomic.Int32
	var first time.Time
	registry := f.onEverything(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case asked.Add(1) == 1:
			first = time.Now()
			throttle("1")(w, r)
		case time.Since(first) < 900*time.Millisecond:
			t.Errorf("asked again after %v", time.Since(first))
		default:
			withDigest(ociManifest, subject)(w, r)
		}
	})
	client := f.client(Limits{})
	if got, err := client.Resolve(t.Context(), f.ref(t, ":1")); got != subject || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := registry.asked.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	t.Run("but not beyond the deadline", func(t *testing.T) {
		asked.Store(0)
		client := f.client(Limits{Timeout: 1500 * time.Millisecond}) // half a second for shared work
		if _, err := client.Resolve(t.Context(), f.ref(t, ":1")); reasonOf(t, err) != verify.RegistryThrottled {
			t.Errorf("%v, want RegistryThrottled at once", err)
		}
	})
}

func TestARegistryThatThrottlesEveryOtherRequestIsGotThrough(t *testing.T) {
	f := newFake(t)
	var seen sync.Map
	f.onEverything(func(w http.ResponseWriter, r *http.Request) {
		if _, before := seen.LoadOrStore(r.URL.Path, true); !before {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		withDigest(ociManifest, subject)(w, r)
	})
	if reasons := resolveAll(t, f.client(Limits{}), f.refs(t, 20, "a", "b", "c")); reasons[""] != 20 {
		t.Errorf("%v, want all of them answered", reasons)
	}
}

func TestAPermittedHandshakeDoesNotEndAPause(t *testing.T) {
	f := newFake(t)
	f.onEverything(status(429))
	client := f.client(Limits{})
	if _, err := client.Resolve(t.Context(), f.ref(t, ":1")); reasonOf(t, err) != verify.RegistryThrottled {
		t.Fatal(err)
	}
	l := client.connections.Load().lane(f.host())
	before := l.pace("").pause.Duration
	if _, err := client.Resolve(t.Context(), parse(t, f.host()+"/other:1")); reasonOf(t, err) != verify.RegistryThrottled {
		t.Fatal(err)
	}
	if l.mu.Lock(); l.pace("").pause.Duration < before {
		t.Errorf("the next pause is %v, after one of %v", l.pace("").pause.Duration, before)
	}
	l.mu.Unlock()
}

func TestARegistryThatIsDownCostsOneTimeOut(t *testing.T) {
	f := newFake(t)
	f.on("/v2/", silent)
	f.onEverything(silent)
	client := f.client(Limits{Timeout: 6 * time.Second}) // a second for an exchange
	start := time.Now()
	for i := range 20 {
		_, err := client.Resolve(t.Context(), parse(t, fmt.Sprintf("%s/repository-%d:1", f.host(), i)))
		if reason := reasonOf(t, err); reason != verify.DeadlineExceeded && reason != verify.RegistryUnavailable {
			t.Fatalf("question %d: %v", i, err)
		}
	}
	// The first question, and the ping that decides.
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("20 questions took %v", took)
	}
	f.on("/v2/", func(http.ResponseWriter, *http.Request) {})
	f.onEverything(withDigest(ociManifest, subject))
	time.Sleep(openFor)
	if got, err := client.Resolve(t.Context(), f.ref(t, ":1")); got != subject || err != nil {
		t.Errorf("when it is back: %q, %v", got, err)
	}
}

func TestARegistryThatBreaksIsSoonLeftAlone(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"it answers 502":        status(502),
		"it resets":             reset,
		"it ends in mid-answer": halfAnAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/v2/", broken)
			registry := f.onEverything(broken)
			client := f.client(Limits{})
			for i := range 30 {
				if _, err := client.Resolve(t.Context(), parse(t, fmt.Sprintf("%s/r%d:1", f.host(), i))); reasonOf(t, err) != verify.RegistryUnavailable {
					t.Fatalf("question %d: %v", i, err)
				}
			}
			if n := registry.asked.Load(); n != 0 {
				t.Errorf("%d requests went past a handshake that failed", n)
			}
			if open := client.connections.Load().lane(f.host()).circuit; open.last == nil {
				t.Error("the circuit never opened")
			}
		})
	}
}

// TestWhatOneRepositoryDoesTakesNoneAway: whoever may create Pods can find something
// that a registry answers with an error, or not at all.
func TestWhatOneRepositoryDoesTakesNoneAway(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{"it stalls": silent, "it breaks": status(500), "it resets": reset} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.onEverything(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/v2/bad/") {
					bad(w, r)
					return
				}
				withDigest(ociManifest, subject)(w, r)
			})
			client := f.client(Limits{Timeout: 6 * time.Second})
			resolveAll(t, client, f.refs(t, 50, "bad"))
			for i := range 5 {
				if got, err := client.Resolve(t.Context(), parse(t, fmt.Sprintf("%s/good:%d", f.host(), i))); got != subject || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
}

func halfAnAnswer(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n"))
		_ = conn.Close()
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		header string
		want   time.Duration
	}{
		"nothing":                     {"", 0},
		"seconds":                     {"7", 7 * time.Second},
		"a time":                      {"Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		"a time that is past":         {"Fri, 02 Jan 2026 03:03:05 GMT", 0},
		"less than nothing":           {"-1", 0},
		"more than a number can hold": {"99999999999999999999", 0},
		"part of a second":            {"0.5", 0},
		"no time":                     {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := retryAfter(http.Header{"Retry-After": {tc.header}}, now); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

// TestAnExpiredTokenIsRenewedAFewTimes: all who ask with it find out at once.
func TestAnExpiredTokenIsRenewedAFewTimes(t *testing.T) {
	f := newFake(t)
	var issued, expired atomic.Int32
	f.onEverything(func(w http.ResponseWriter, r *http.Request) {
		var token int32
		_, _ = fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %d", &token)
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprintf(w, `{"token":"%d"}`, issued.Add(1))
		case token <= expired.Load():
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="fake"`, f.URL))
			w.WriteHeader(http.StatusUnauthorized)
		default:
			slowly(withDigest(ociManifest, subject))(w, r)
		}
	})
	f.on("/v2/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="fake"`, f.URL))
		w.WriteHeader(http.StatusUnauthorized)
	})
	client := f.client(Limits{})
	for i, most := range []int32{1, 8} {
		name, before := []string{"at first", "when it has expired"}[i], issued.Load()
		if reasons := resolveAll(t, client, f.refs(t, 100, "a")); reasons[""] != 100 {
			t.Errorf("%s: %v, want all of them answered", name, reasons)
		}
		if n := issued.Load() - before; n > most {
			t.Errorf("%s: %d tokens were issued for 100 questions, want %d at most", name, n, most)
		}
		expired.Store(issued.Load())
	}
}
