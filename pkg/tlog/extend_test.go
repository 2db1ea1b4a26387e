// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// pacedHistory is a history that can be written once a second.
type pacedHistory struct {
	*watchedHistory
	mu   sync.Mutex
	last time.Time
}

func (h *pacedHistory) Turn(ctx context.Context) (waited bool, err error) {
	h.mu.Lock()
	wait := time.Until(h.last.Add(time.Second))
	h.mu.Unlock()
	select {
	case <-time.After(wait):
		return wait > 0, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

func (h *pacedHistory) Advance(ctx context.Context, next tlog.Checkpoint, version string) error {
	err := h.watchedHistory.Advance(ctx, next, version)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	return err
}

// TestConcurrentAdmissionsThatAllBringNews: each distinct checkpoint costs one
// consistency proof, all of them together a write a second, and nobody waits much
// longer than that.
func TestConcurrentAdmissionsThatAllBringNews(t *testing.T) {
	const admissions, begin = 100, 5
	l, claims := logged(t, begin+admissions)
	server := serve(t, l)
	var proofs proofRequests
	proofs.watch(server)
	synctest.Test(t, func(t *testing.T) {
		history := &pacedHistory{watchedHistory: &watchedHistory{MemoryHistory: seeded(l, begin)}}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), history)
		started := time.Now()
		var group sync.WaitGroup
		for i := range admissions {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) // the smallest comes first
				proof, err := prover.Prove(context.Background(), claims[i], l.Entry(i, begin+i+1))
				if err != nil || proof.Checkpoint().Size() != uint64(begin+i+1) {
					t.Errorf("size %d: %v, %v", begin+i+1, proof, err)
				}
			})
		}
		group.Wait()
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if got := storedSize(t, l, history); got != begin+admissions {
			t.Errorf("stored size is %d, want %d", got, begin+admissions)
		}
		if n := len(history.stored); n > 3 || history.conflicts > 0 {
			t.Errorf("stored %v, with %d conflicts; want at most a write a second", history.stored, history.conflicts)
		}
		if asked := proofs.take(); len(asked) != admissions {
			t.Errorf("%d consistency proofs for %d checkpoints: %v", len(asked), admissions, asked)
		}
	})
}

// TestNothingIsAdmittedUnderACheckpointThatIsNotStored: after a crash nobody would
// know of it, and the log could show another.
func TestNothingIsAdmittedUnderACheckpointThatIsNotStored(t *testing.T) {
	l, claims := logged(t, 10)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		history := &pacedHistory{watchedHistory: &watchedHistory{MemoryHistory: seeded(l, 4)}, last: time.Now()}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), history)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := prover.Prove(impatient, claims[1], l.Entry(1, 6)); !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("before its turn: got %v, want ErrUnavailable", err)
		}
		if _, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 6)); err != nil {
			t.Error(err)
		}
		if got := storedSize(t, l, history); got < 6 {
			t.Errorf("stored size is %d when size 6 was admitted", got)
		}
	})
}

// TestOneCheckpointThatCannotBeShown holds up no other: the largest is tried first,
// and a thief of the log's key can sign the largest.
func TestOneCheckpointThatCannotBeShown(t *testing.T) {
	l, claims := logged(t, 30)
	forged := l.Fork(5)
	forgedClaims := extend(t, forged, 1000, "forged ")
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		history := &pacedHistory{watchedHistory: &watchedHistory{MemoryHistory: seeded(l, 5)}}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), history)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				_, err := prover.Prove(context.Background(), claims[i], l.Entry(i, 10+i))
				wantErr(t, err, nil)
				if i >= tlog.MaxRaces/2 {
					return // each of them may be tried apart, and a race is run again so many times
				}
				_, err = prover.Prove(context.Background(), forgedClaims[0], forged.Entry(5, 900+i))
				wantErr(t, err, tlog.ErrInconsistent)
			})
		}
		group.Wait()
		if got := storedSize(t, l, history); got < 29 {
			t.Errorf("stored size is %d, want 29 or more", got)
		}
	})
}

func TestALogThatIsAwayCostsOneTimeOutForAllThatWait(t *testing.T) {
	l, claims := logged(t, 50)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		transport := &inMemory{server: server, down: true}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, transport), seeded(l, 5))
		begin := time.Now()
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				_, err := prover.Prove(context.Background(), claims[i], l.Entry(i, 10+i))
				wantErr(t, err, tlog.ErrUnavailable)
			})
		}
		group.Wait()
		// A question is put a few times to a log that does not answer.
		if asked := transport.requests(); asked > 4 || time.Since(begin) > 5*time.Second {
			t.Errorf("%d requests in %v", asked, time.Since(begin))
		}
	})
}

// TestEachTreeHasItsTurn: what waits for one tree does not displace what waits for
// another.
func TestEachTreeHasItsTurn(t *testing.T) {
	a, claims := logged(t, 20)
	b := a.Fork(20)
	b.TreeID++
	server, retired := serve(t, a), serve(t, b)
	server.Retire(b)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(b.Origin(), " "+r.FormValue("treeID")) || r.URL.Path != "/api/v1/log/proof" {
			return false
		}
		retired.Config.Handler.ServeHTTP(w, r)
		return true
	})
	synctest.Test(t, func(t *testing.T) {
		history := &pacedHistory{watchedHistory: &watchedHistory{MemoryHistory: seeded(a, 5)}}
		history.Seed(b.Origin(), b.Checkpoint(5))
		prover := tlog.NewProver(configured(t, a), dialThrough(t, &inMemory{server: server}), history)
		var group sync.WaitGroup
		for i, l := range []*tlogtest.Log{a, b} {
			group.Go(func() {
				_, err := prover.Prove(context.Background(), claims[1], l.Entry(1, 10+i))
				wantErr(t, err, nil)
			})
		}
		group.Wait()
		if storedSize(t, a, history) < 10 || storedSize(t, b, history) < 11 {
			t.Errorf("stored sizes are %d and %d", storedSize(t, a, history), storedSize(t, b, history))
		}
	})
}

// TestWhatABusyLogShows is stored when it continues what is stored, so that who comes
// while somebody waits need not wait for the next write. If it is anything else,
// whoever waits is no worse off.
func TestWhatABusyLogShows(t *testing.T) {
	l, claims := logged(t, 20)
	fork := l.Fork(5)
	fork.Grow(40)
	other, _ := logged(t, 50)
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   uint64
	}{
		"more than what waits":             {nil, 20},
		"a fork":                           {func(w http.ResponseWriter) { showNote(w, fork.Checkpoint(45)) }, 8},
		"something that it did not sign":   {func(w http.ResponseWriter) { showNote(w, other.Checkpoint(45)) }, 8},
		"less than what waits":             {func(w http.ResponseWriter) { showNote(w, l.Checkpoint(6)) }, 8},
		"nothing: it is asked in vain":     {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, 8},
		"another tree, since it has begun": {func(w http.ResponseWriter) { tree := l.Fork(20); tree.TreeID++; showNote(w, tree.Checkpoint(20)) }, 8},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if test.answer == nil || r.URL.Path != "/api/v1/log" {
					return false
				}
				test.answer(w)
				return true
			})
			synctest.Test(t, func(t *testing.T) {
				history := &pacedHistory{watchedHistory: &watchedHistory{MemoryHistory: seeded(l, 5)}, last: time.Now()}
				prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), history)
				if _, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 8)); err != nil {
					t.Fatal(err)
				}
				if got := storedSize(t, l, history); got != test.want {
					t.Errorf("stored size is %d, want %d", got, test.want)
				}
			})
		})
	}
}

func showNote(w http.ResponseWriter, note string) {
	_ = json.NewEncoder(w).Encode(map[string]string{"signedTreeHead": note})
}
