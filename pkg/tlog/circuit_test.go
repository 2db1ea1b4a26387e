// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// hosts are replicas without a network, for tests on a clock of their own: what each
// does with a request, and when it was asked.
type hosts struct {
	t       *testing.T
	begin   time.Time
	mu      sync.Mutex
	answers []func(*http.Request) (*http.Response, error)
	asked   [][]time.Duration
	seen    map[tlog.Outcome]int
}

func newHosts(t *testing.T, answers ...func(*http.Request) (*http.Response, error)) *hosts {
	t.Helper()
	return &hosts{t: t, begin: time.Now(), answers: answers, asked: make([][]time.Duration, len(answers)), seen: map[tlog.Outcome]int{}}
}

// RoundTrip implements http.RoundTripper.
func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	n, err := strconv.Atoi(r.URL.Hostname())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.asked[n] = append(h.asked[n], time.Since(h.begin))
	answer := h.answers[n]
	h.mu.Unlock()
	return answer(r)
}

// Requested implements tlog.Observer.
func (h *hosts) Requested(_ tlog.Operation, outcome tlog.Outcome, _ time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[outcome]++
}

func (h *hosts) count(outcome tlog.Outcome) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[outcome]
}

func (h *hosts) requests(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked[n])
}

func (h *hosts) become(n int, answer func(*http.Request) (*http.Response, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[n] = answer
}

func (h *hosts) endpoints() *tlog.Endpoints {
	h.t.Helper()
	var bases []*url.URL
	for n := range h.answers {
		bases = append(bases, &url.URL{Scheme: "https", Host: strconv.Itoa(n)})
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: bases, Client: &http.Client{Transport: h}, Observer: h})
	if err != nil {
		h.t.Fatal(err)
	}
	return endpoints
}

// ask puts one question and returns what came of it and how long it took.
func (h *hosts) ask(ctx context.Context, endpoints *tlog.Endpoints) (took time.Duration, err error) {
	begin := time.Now()
	_, err = tlog.NewRekorV1Client(endpoints).ConsistencyProof(ctx, 1, 1, 2)
	return time.Since(begin), err
}

func answersWith(code int, text string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	}
}

func up(r *http.Request) (*http.Response, error) { return answersWith(http.StatusOK, `{}`)(r) }

func resets(*http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET }

func stalls(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func after(pause time.Duration, then func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		time.Sleep(pause)
		return then(r)
	}
}

// TestHowLongAQuestionTakes: a replica that stalls costs a moment while another one
// answers, and its time-out only when it is the last.
func TestHowLongAQuestionTakes(t *testing.T) {
	type answer = func(*http.Request) (*http.Response, error)
	for name, test := range map[string]struct {
		replicas []answer
		atLeast  time.Duration
		atMost   time.Duration
		err      error
	}{
		"one that answers":                         {replicas: []answer{up}},
		"one that stalls":                          {replicas: []answer{stalls}, err: tlog.ErrUnavailable, atLeast: tlog.RequestTimeout, atMost: tlog.RequestTimeout},
		"one that needs four seconds":              {replicas: []answer{after(4*time.Second, up)}, atLeast: 4 * time.Second, atMost: 4 * time.Second},
		"eight that need four seconds":             {replicas: repeat(after(4*time.Second, up), 8), atLeast: 4 * time.Second, atMost: 4 * time.Second},
		"the first stalls":                         {replicas: []answer{stalls, up}, atLeast: tlog.Patience, atMost: tlog.Patience},
		"seven stall":                              {replicas: append(repeat(stalls, 7), up), atLeast: 7 * tlog.Patience, atMost: 7 * tlog.Patience},
		"eight stall":                              {replicas: repeat(stalls, 8), err: tlog.ErrUnavailable, atLeast: 7 * tlog.Patience, atMost: tlog.QuestionTimeout},
		"the first is reset":                       {replicas: []answer{resets, up}},
		"the first fails":                          {replicas: []answer{answersWith(500, ""), up}},
		"the only one is reset":                    {replicas: []answer{resets}, err: tlog.ErrUnavailable, atMost: 1100 * time.Millisecond},
		"the only one wants patience":              {replicas: []answer{answersWith(429, "")}, err: tlog.ErrUnavailable, atLeast: time.Second, atMost: tlog.Queue},
		"the only one wants patience for a second": {replicas: []answer{answersWith(429, "", "Retry-After", "1")}, err: tlog.ErrUnavailable, atLeast: 2 * time.Second, atMost: tlog.Queue + time.Second},
		"the only one wants patience for a minute": {replicas: []answer{answersWith(429, "", "Retry-After", "60")}, err: tlog.ErrUnavailable},
		"the first wants patience for a minute":    {replicas: []answer{answersWith(429, "", "Retry-After", "60"), up}},
		"the only one wants a password":            {replicas: []answer{answersWith(401, "")}, err: tlog.ErrUnavailable},
		"one refuses and one is reset":             {replicas: []answer{answersWith(400, ""), resets}, err: tlog.ErrUnavailable, atMost: 1100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosts(t, test.replicas...)
				took, err := h.ask(t.Context(), h.endpoints())
				time.Sleep(tlog.RequestTimeout) // for those who stall
				wantErr(t, err, test.err)
				if took < test.atLeast || took > max(test.atLeast, test.atMost) {
					t.Errorf("took %v; want %v to %v", took, test.atLeast, test.atMost)
				}
			})
		})
	}
}

func repeat[T any](value T, n int) []T {
	values := make([]T, n)
	for i := range values {
		values[i] = value
	}
	return values
}

// TestALogThatIsDownCostsOneTimeout, however many ask and whatever is wrong with it,
// and is asked again soon after it is back.
func TestALogThatIsDownCostsOneTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		down func(*http.Request) (*http.Response, error)
		cost time.Duration // of the first question
		each time.Duration // of each that follows
	}{
		"it stalls":                   {down: stalls, cost: tlog.RequestTimeout},
		"it sends a byte and no more": {down: answersWithout, cost: tlog.RequestTimeout},
		"it stalls before each byte":  {down: trickles, cost: tlog.RequestTimeout},
		"it resets connections":       {down: resets, cost: 1500 * time.Millisecond, each: 1500 * time.Millisecond},
		"it answers with 503":         {down: answersWith(503, ""), cost: 1500 * time.Millisecond, each: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosts(t, test.down)
				endpoints := h.endpoints()
				took, err := h.ask(t.Context(), endpoints)
				wantErr(t, err, tlog.ErrUnavailable)
				if took > test.cost {
					t.Errorf("the first question took %v; want %v at most", took, test.cost)
				}
				begin := time.Now()
				for range 100 {
					took, err := h.ask(t.Context(), endpoints)
					wantErr(t, err, tlog.ErrUnavailable)
					if took > test.each {
						t.Fatalf("a question took %v; want %v at most", took, test.each)
					}
					// What is wrong is still said.
					if !strings.Contains(err.Error(), "https://0/api/v1/log/proof") {
						t.Fatalf("the error says nothing of the cause: %v", err)
					}
				}
				if !endpoints.Replicas()[0].Down {
					t.Error("the replica is not said to be down")
				}
				if n, most := h.requests(0), tlog.MaxFailures+2+int(time.Since(begin)/tlog.OpenFor); n > most {
					t.Errorf("%d requests; want %d at most", n, most)
				}
				h.become(0, up)
				if test.each == 0 {
					time.Sleep(tlog.StalledFor)
				}
				// The first one after it is back is answered already.
				_, err = h.ask(t.Context(), endpoints)
				wantErr(t, err, nil)
				took, err = h.ask(t.Context(), endpoints)
				wantErr(t, err, nil)
				if took != 0 {
					t.Errorf("took %v after the log was back", took)
				}
				if endpoints.Replicas()[0].Down {
					t.Error("the replica is still said to be down")
				}
			})
		})
	}
}

// answersWithout begins its answer, and never ends it.
func answersWithout(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("{"))
		<-r.Context().Done()
		_ = w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

// trickles answers with one byte a second, and goes on for longer than anybody waits.
func trickles(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	go func() {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
		}
		_ = w.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

// TestOneQuestionTriesWhetherTheLogIsBack, and the others wait for a moment to see
// what comes of it, instead of failing at the very time at which the log is back.
func TestOneQuestionTriesWhetherTheLogIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, stalls)
		endpoints := h.endpoints()
		_, err := h.ask(t.Context(), endpoints)
		wantErr(t, err, tlog.ErrUnavailable)
		time.Sleep(tlog.StalledFor + time.Millisecond)
		h.become(0, after(40*time.Millisecond, up))
		before := h.requests(0)
		var questions sync.WaitGroup
		for range 100 {
			questions.Go(func() {
				if _, err := h.ask(t.Context(), endpoints); err != nil {
					t.Errorf("a question failed although the log is back: %v", err)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		if n := h.requests(0) - before; n != 1 {
			t.Errorf("%d requests try whether the log is back; want 1", n)
		}
		questions.Wait()
	})
}

// TestAPollWaitsUntilTheLogCanBeAsked: what it finds is what people see of the log
// until the next one.
func TestAPollWaitsUntilTheLogCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, stalls)
		endpoints := h.endpoints()
		_, err := h.ask(t.Context(), endpoints)
		wantErr(t, err, tlog.ErrUnavailable)
		h.become(0, up)
		begin := time.Now()
		_, err = tlog.NewRekorV1Client(endpoints).Latest(t.Context())
		wantErr(t, err, nil)
		if took := time.Since(begin); took < tlog.StalledFor || took > 2*tlog.StalledFor {
			t.Errorf("took %v; want a bit more than %v", took, tlog.StalledFor)
		}
	})
}

// TestWhatDoesNotCountAgainstALog: answers that it has something not, and callers who
// give up, are no reason not to ask it.
func TestWhatDoesNotCountAgainstALog(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"not found":          answersWith(404, ""),
		"bad request":        answersWith(400, ""),
		"unauthorized":       answersWith(401, ""),
		"a page":             answersWith(200, "<html>"),
		"too long an answer": answersWith(200, strings.Repeat(" ", tlog.MaxResponseBytes+1)),
		"too many requests":  answersWith(429, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosts(t, answer)
				endpoints := h.endpoints()
				for range 3 * tlog.MaxFailures {
					if _, err := h.ask(t.Context(), endpoints); err == nil {
						t.Error("got an answer")
					}
				}
				h.become(0, up)
				_, err := h.ask(t.Context(), endpoints)
				wantErr(t, err, nil)
			})
		})
	}
	t.Run("callers who give up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHosts(t, stalls)
			endpoints := h.endpoints()
			for range 3 * tlog.MaxFailures {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				took, err := h.ask(ctx, endpoints)
				cancel()
				wantErr(t, err, tlog.ErrUnavailable)
				if took != time.Second {
					t.Errorf("took %v", took)
				}
			}
			synctest.Wait()
			if got := h.count(tlog.Abandoned); got != 3*tlog.MaxFailures {
				t.Errorf("%d requests abandoned; want %d", got, 3*tlog.MaxFailures)
			}
			h.become(0, up)
			_, err := h.ask(t.Context(), endpoints)
			wantErr(t, err, nil)
		})
	})
}

// TestRetryAfterIsHonoured, in both of its forms, within bounds, and by all questions.
func TestRetryAfterIsHonoured(t *testing.T) {
	date := time.Date(2031, 5, 5, 5, 5, 5, 0, time.UTC) // the server's clock, not ours
	for name, test := range map[string]struct {
		status  int
		headers []string
		rest    time.Duration
	}{
		"for ten seconds":       {status: 429, headers: []string{"Retry-After", "10"}, rest: 10 * time.Second},
		"until a date":          {status: 429, headers: []string{"Retry-After", date.Add(10 * time.Second).Format(http.TimeFormat), "Date", date.Format(http.TimeFormat)}, rest: 10 * time.Second},
		"for a year":            {status: 429, headers: []string{"Retry-After", "31536000"}, rest: tlog.MaxRest},
		"for longer than a day": {status: 503, headers: []string{"Retry-After", date.AddDate(9, 0, 0).Format(http.TimeFormat)}, rest: tlog.MaxRest},
		"until a date long ago": {status: 429, headers: []string{"Retry-After", "Mon, 02 Jan 1995 15:04:05 GMT"}},
		"for minus one second":  {status: 429, headers: []string{"Retry-After", "-1"}},
		"for 2^64 seconds":      {status: 429, headers: []string{"Retry-After", "18446744073709551616"}},
		"for a while":           {status: 429, headers: []string{"Retry-After", "a while"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosts(t, answersWith(test.status, "", test.headers...))
				endpoints := h.endpoints()
				_, err := h.ask(t.Context(), endpoints)
				wantErr(t, err, tlog.ErrUnavailable)
				h.become(0, up)
				before := h.requests(0)
				for range 10 {
					_, err := h.ask(t.Context(), endpoints)
					if (err == nil) != (test.rest == 0) {
						t.Fatalf("got error %v; want the log to be left alone for %v", err, test.rest)
					}
				}
				if test.rest == 0 {
					return
				}
				if n := h.requests(0) - before; n != 0 {
					t.Errorf("%d requests while the log wants to be left alone", n)
				}
				time.Sleep(test.rest)
				_, err = h.ask(t.Context(), endpoints)
				wantErr(t, err, nil)
			})
		})
	}
}

// TestALateAnswerReachesNobody: a replica that was given company goes on, and what it
// says then changes nothing.
func TestALateAnswerReachesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, after(2*time.Second, answersWith(200, `{"hashes":["02"]}`)), answersWith(200, `{"hashes":["01"]}`))
		endpoints := h.endpoints()
		hashes, err := tlog.NewRekorV1Client(endpoints).ConsistencyProof(t.Context(), 1, 1, 2)
		wantErr(t, err, nil)
		time.Sleep(5 * time.Second)
		if got := slices.Concat(hashes...); !slices.Equal(got, []byte{1}) {
			t.Errorf("got %x", got)
		}
		if got := h.count(tlog.Answered); got != 2 {
			t.Errorf("%d requests were answered; want 2", got)
		}
	})
}

// TestAPanicOverAnAnswerIsAnError: requests have goroutines of their own.
func TestAPanicOverAnAnswerIsAnError(t *testing.T) {
	h := newHosts(t, func(*http.Request) (*http.Response, error) { panic("a bug") }, up)
	_, err := h.ask(t.Context(), h.endpoints())
	wantErr(t, err, nil)
	h.become(1, func(*http.Request) (*http.Response, error) { panic(errors.New("another")) })
	_, err = h.ask(t.Context(), h.endpoints())
	wantErr(t, err, tlog.ErrUnavailable)
}
