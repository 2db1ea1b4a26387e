// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// agingHistory is a history that notes when its log was verified.
type agingHistory struct {
	*tlog.MemoryHistory
	mu      sync.Mutex
	at      time.Time
	doubted bool
}

// aging is a history of an hour's limit that begins with a checkpoint of l, as the
// log showed it now.
func aging(l *tlogtest.Log, size int) *agingHistory {
	return &agingHistory{MemoryHistory: seeded(l, size), at: time.Now()}
}

func (h *agingHistory) Freshness(ctx context.Context) (tlog.Freshness, error) {
	_, err := h.MemoryHistory.Freshness(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	return tlog.Freshness{VerifiedAt: h.at, Limit: time.Hour, Doubted: h.doubted}, err
}

func (h *agingHistory) Confirm(ctx context.Context, shown tlog.Checkpoint) error {
	note, _, err := h.Latest(ctx, shown.Origin())
	if err == nil && signedText(string(note)) == signedText(shown.Note()) {
		h.verified()
	}
	return err
}

func (h *agingHistory) Advance(ctx context.Context, next tlog.Checkpoint, version string) error {
	err := h.MemoryHistory.Advance(ctx, next, version)
	if err == nil {
		h.verified()
	}
	return err
}

func (h *agingHistory) verified() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = time.Now()
}

// signedText is a note without its signature lines, which differ each time.
func signedText(note string) string {
	text, _, _ := strings.Cut(note, "\n\n")
	return text
}

// inMemory reaches a server without a network, so that time can be made to pass. It
// counts what it is asked, and is away while it is down.
type inMemory struct {
	server *tlogtest.Server
	mu     sync.Mutex
	down   bool
	asked  int
}

func (m *inMemory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	m.mu.Lock()
	m.asked++
	down := m.down
	m.mu.Unlock()
	if down {
		time.Sleep(time.Second)
		return nil, errors.New("connection refused")
	}
	defer func() {
		if p := recover(); p != nil { // with http.ErrAbortHandler, as those panic that cut a connection
			resp, err = nil, fmt.Errorf("the connection was cut: %v", p)
		}
	}()
	recorder := httptest.NewRecorder()
	m.server.Config.Handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func (m *inMemory) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *inMemory) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// TestALogThatIsAwayProvesForAsLongAsItIsFresh: whoever keeps a log away from this
// cluster hides what was added to it, for no longer than the limit.
func TestALogThatIsAwayProvesForAsLongAsItIsFresh(t *testing.T) {
	l, claims := logged(t, 5)
	server := serve(t, l)
	for name, test := range map[string]struct {
		entry *tlog.Entry
		claim tlog.Claim
		down  error // what the log's absence alone means
	}{
		"a proof under the stored checkpoint":   {l.Entry(1, 5), claims[1], nil},
		"a proof under one that was seen":       {l.Entry(2, 3), claims[2], nil},
		"a promise that was proven before":      {l.Promise(0), claims[0], nil},
		"a promise that was not proven before":  {l.Promise(4), claims[4], tlog.ErrUnavailable},
		"a proof under a checkpoint never seen": {l.Entry(3, 4), claims[3], tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &inMemory{server: server}
				history := aging(l, 5)
				prover := tlog.NewProver(configured(t, l), dialThrough(t, transport), history)
				for i, entry := range []*tlog.Entry{l.Promise(0), l.Entry(2, 3)} {
					if _, err := prover.Prove(t.Context(), claims[2*i], entry); err != nil {
						t.Fatal(err)
					}
				}
				transport.setDown(true)
				time.Sleep(time.Hour - time.Minute)
				_, err := prover.Prove(t.Context(), test.claim, test.entry)
				wantErr(t, err, test.down)

				time.Sleep(2 * time.Minute)
				_, err = prover.Prove(t.Context(), test.claim, test.entry)
				wantErr(t, err, tlog.ErrStale)

				transport.setDown(false)
				_, err = prover.Prove(t.Context(), test.claim, test.entry)
				wantErr(t, err, nil)
			})
		})
	}
}

func TestAStaleLogIsAskedOnceForAllThatWait(t *testing.T) {
	l, claims := logged(t, 5)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		transport := &inMemory{server: server, down: true}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, transport), aging(l, 5))
		time.Sleep(2 * time.Hour)
		begin := time.Now()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				_, err := prover.Prove(context.Background(), claims[1], l.Entry(1, 5))
				wantErr(t, err, tlog.ErrStale)
			})
		}
		group.Wait()
		// A question is put a few times to a log that does not answer.
		if asked := transport.requests(); asked > 4 || time.Since(begin) > 5*time.Second {
			t.Errorf("%d requests in %v, want one question that all wait for", asked, time.Since(begin))
		}
	})
}

// TestWhatAStaleLogShows: that it answers is not enough.
func TestWhatAStaleLogShows(t *testing.T) {
	for name, test := range map[string]struct {
		show func(l *tlogtest.Log, server *tlogtest.Server)
		want error
	}{
		"what is stored":        {func(*tlogtest.Log, *tlogtest.Server) {}, nil},
		"more than what is":     {func(l *tlogtest.Log, _ *tlogtest.Server) { l.Grow(3) }, nil},
		"less, for ever frozen": {func(l *tlogtest.Log, server *tlogtest.Server) { lagging(l, server, 4) }, tlog.ErrStale},
		"another tree of that size": {func(l *tlogtest.Log, server *tlogtest.Server) {
			fork := l.Fork(2)
			fork.Grow(4)
			server.Show(fork, 0)
		}, tlog.ErrInconsistent},
		"nothing any more": {func(l *tlogtest.Log, server *tlogtest.Server) { server.Show(l.Fork(0), 0) }, tlog.ErrStale},
	} {
		t.Run(name, func(t *testing.T) {
			l, claims := logged(t, 6)
			server := serve(t, l)
			synctest.Test(t, func(t *testing.T) {
				prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), aging(l, 6))
				time.Sleep(2 * time.Hour)
				test.show(l, server)
				_, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 6))
				wantErr(t, err, test.want)
			})
		})
	}
}

// lagging makes server show size entries as the latest, and prove whatever it is asked.
func lagging(l *tlogtest.Log, server *tlogtest.Server, size int) {
	frozen := l.Fork(size)
	behind := tlogtest.NewServer(frozen)
	behind.Close() // it is its handler that is used
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/log" {
			return false
		}
		behind.Config.Handler.ServeHTTP(w, r)
		return true
	})
}

func TestFreshness(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		known tlog.Freshness
		want  bool
	}{
		"just now":                        {tlog.Freshness{VerifiedAt: now, Limit: time.Hour}, false},
		"an hour ago":                     {tlog.Freshness{VerifiedAt: now.Add(-time.Hour), Limit: time.Hour}, false},
		"longer ago":                      {tlog.Freshness{VerifiedAt: now.Add(-time.Hour - 1), Limit: time.Hour}, true},
		"long ago, with no limit":         {tlog.Freshness{VerifiedAt: now.AddDate(-1, 0, 0)}, false},
		"never":                           {tlog.Freshness{Limit: time.Hour}, false},
		"by a clock that is ahead":        {tlog.Freshness{VerifiedAt: now.Add(time.Minute), Limit: time.Hour}, false},
		"by a clock that goes wrong":      {tlog.Freshness{VerifiedAt: now.AddDate(1, 0, 0), Limit: time.Hour}, true},
		"a nonsensical limit is no limit": {tlog.Freshness{VerifiedAt: now.AddDate(-1, 0, 0), Limit: -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.known.Stale(now); got != test.want {
				t.Errorf("Stale = %v, want %v", got, test.want)
			}
		})
	}
}

// TestACaughtLogIsNotAskedAnything: there is nothing that it could say.
func TestACaughtLogIsNotAskedAnything(t *testing.T) {
	l, claims := logged(t, 5)
	fork := l.Fork(2)
	fork.Grow(3)
	server, history := serve(t, l), seeded(l, 5)
	_ = history.Accuse(t.Context(), checkpointOf(t, l, 5), checkpointOf(t, fork, 5))
	server.Close() // that it is away makes no difference
	prover := online(t, l, server, history)
	for name, entry := range map[string]*tlog.Entry{"a promise": l.Promise(1), "a proof": l.Entry(1, 5), "nothing": nil} {
		_, err := prover.Prove(t.Context(), claims[1], entry)
		if !errors.Is(err, tlog.ErrInconsistent) || errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrInconsistent and nothing else", name, err)
		}
	}
}

// TestAClosedLogDoesNotAge: nothing that was added after its key's time could count, so
// nothing can be hidden, and its owner may switch it off.
func TestAClosedLogDoesNotAge(t *testing.T) {
	l, claims := logged(t, 5)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		closed, err := tlog.NewLog(tlog.Config{
			Name: "corp", Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey(),
			Validity: tlog.Validity{NotAfter: time.Now().Add(time.Hour)},
		})
		if err != nil {
			t.Fatal(err)
		}
		transport := &inMemory{server: server, down: true}
		history := aging(l, 5)
		prover := tlog.NewProver(closed, dialThrough(t, transport), history)
		time.Sleep(24 * time.Hour)
		for name, test := range map[string]struct {
			entry *tlog.Entry
			want  error
		}{
			"under what is stored":     {l.Entry(1, 5), nil},
			"under what was not shown": {l.Entry(1, 4), tlog.ErrUnavailable},
		} {
			test.entry.SignedEntryTimestamp, test.entry.IntegratedTime = nil, 0
			if _, err := prover.Prove(t.Context(), claims[1], test.entry); !errors.Is(err, test.want) || errors.Is(err, tlog.ErrStale) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		}
		_ = history.Accuse(t.Context(), checkpointOf(t, l, 5), checkpointOf(t, l, 4))
		_, err = prover.Prove(t.Context(), claims[1], l.Entry(1, 5))
		wantErr(t, err, tlog.ErrInconsistent)
	})
}
