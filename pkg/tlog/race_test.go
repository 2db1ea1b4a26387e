// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// TestForkThatLosesARaceIsNotRemembered: a lying log shows two forks at one time,
// each of which extends what is stored. One is stored; the other must not be taken
// for a part of the history because it was shown to extend an older state of it.
func TestForkThatLosesARaceIsNotRemembered(t *testing.T) {
	l, _ := logged(t, 10)
	a, b := l.Fork(10), l.Fork(10)
	claimsA := extend(t, a, 10, "a ")
	extend(t, b, 20, "b ")

	t.Run("when another replica is faster", func(t *testing.T) {
		server := serve(t, a)
		history := &brokenHistory{MemoryHistory: seeded(l, 10)}
		history.before = func(next tlog.Checkpoint) {
			if next.Size() == 20 {
				history.Seed(b.Origin(), b.Checkpoint(30))
				_ = history.MemoryHistory.Advance(context.Background(), checkpointOf(t, b, 30), "1")
				server.Show(b, 0)
			}
		}
		_, err := online(t, l, server, history).Prove(t.Context(), claimsA[0], a.Entry(10, 20))
		wantErr(t, err, tlog.ErrInconsistent)
		if accused(history) == nil {
			t.Error("the fork is no evidence")
		}
	})
	t.Run("when the store fails", func(t *testing.T) {
		server := serve(t, a)
		history := &brokenHistory{MemoryHistory: seeded(l, 10), advance: errors.New("etcd is away")}
		prover := online(t, l, server, history)
		_, err := prover.Prove(t.Context(), claimsA[0], a.Entry(10, 20))
		wantErr(t, err, tlog.ErrUnavailable)

		history.advance = nil
		server.Show(b, 0)
		if _, err := prover.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = prover.Prove(t.Context(), claimsA[0], a.Entry(10, 20))
		wantErr(t, err, tlog.ErrInconsistent)
	})
}

// watchedHistory records the sizes that were stored, in order.
type watchedHistory struct {
	*tlog.MemoryHistory
	mu        sync.Mutex
	stored    []uint64
	conflicts int
}

func (h *watchedHistory) Advance(ctx context.Context, next tlog.Checkpoint, version string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.MemoryHistory.Advance(ctx, next, version)
	if err == nil {
		h.stored = append(h.stored, next.Size())
	} else {
		h.conflicts++
	}
	return err
}

func TestReplicasThatRaceLoseNoUpdate(t *testing.T) {
	const replicas, sizes = 4, 100
	l, claims := logged(t, sizes)
	server := serve(t, l)
	var proofs proofRequests
	proofs.watch(server)
	history := &watchedHistory{MemoryHistory: seeded(l, 1)}
	provers := make([]*tlog.Prover, replicas)
	for i := range provers {
		provers[i] = online(t, l, server, history)
	}
	var group sync.WaitGroup
	for _, size := range rand.Perm(sizes) {
		group.Go(func() {
			var err error
			for range 3 { // that the store keeps changing is no verdict: asked again
				_, err = provers[size%replicas].Prove(context.Background(), claims[0], l.Entry(0, size+1))
				if !errors.Is(err, tlog.ErrUnavailable) {
					break
				}
			}
			if err != nil {
				t.Errorf("size %d: %v", size+1, err)
			}
		})
	}
	group.Wait()
	last := uint64(1)
	for _, size := range history.stored {
		if size <= last {
			t.Fatalf("the stored size went from %d to %d: %v", last, size, history.stored)
		}
		last = size
	}
	if got := storedSize(t, l, history); got != sizes {
		t.Errorf("stored size is %d, want %d", got, sizes)
	}
	asked := len(proofs.take())
	t.Logf("%d consistency proofs, %d lost races, stored sizes %v", asked, history.conflicts, history.stored)
	// At least one proof for each size but the first; at most one more for each
	// race that was lost.
	if least, most := sizes-1, sizes+history.conflicts; asked < least || asked > most {
		t.Errorf("%d consistency proofs were asked for, want %d to %d", asked, least, most)
	}
	for size := 1; size <= sizes; size++ {
		if _, err := provers[(size-1)%replicas].Prove(t.Context(), claims[0], l.Entry(0, size)); err != nil {
			t.Errorf("size %d, again: %v", size, err)
		}
	}
	if again := proofs.take(); len(again) != 0 {
		t.Errorf("what was shown before was asked for again: %v", again)
	}
}

func TestEndlessRaceIsUnavailable(t *testing.T) {
	l, claims := logged(t, 20)
	history := &brokenHistory{MemoryHistory: tlog.NewMemoryHistory(), advance: tlog.ErrConflict}
	var tries int
	history.before = func(tlog.Checkpoint) { tries++ }
	_, err := tlog.NewProver(configured(t, l), nil, history).Prove(t.Context(), claims[0], l.Entry(0, 20))
	wantErr(t, err, tlog.ErrUnavailable)
	if errors.Is(err, tlog.ErrConflict) || tries != tlog.MaxRaces {
		t.Errorf("got %v after %d tries", err, tries)
	}
}

// stalled makes server hold every request until release is called, and counts them.
func stalled(t *testing.T, server interface {
	Intercept(func(http.ResponseWriter, *http.Request) bool)
}) (asked *atomic.Int64, release func()) {
	t.Helper()
	gate := make(chan struct{})
	asked = new(atomic.Int64)
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		asked.Add(1)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		return false
	})
	return asked, release
}

func TestConcurrentRequestsAreJoined(t *testing.T) {
	l, claims := logged(t, 6)
	server := serve(t, l)
	asked, release := stalled(t, server)
	prover := online(t, l, server, seeded(l, 6))

	impatient, cancel := context.WithCancelCause(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := prover.Prove(impatient, claims[2], l.Promise(2))
		gaveUp <- err
	}()
	for asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := prover.Prove(context.Background(), claims[2], l.Promise(2)); err != nil {
				t.Errorf("a caller fails because another gave up: %v", err)
			}
		})
	}
	reason := errors.New("the client hung up")
	cancel(reason)
	err := <-gaveUp
	wantErr(t, err, tlog.ErrUnavailable)
	wantErr(t, err, reason)
	time.Sleep(20 * time.Millisecond) // let the others join
	release()
	group.Wait()
	// Somebody who came after the first answer finds the proof; nobody asks alone.
	if got := asked.Load(); got != 1 {
		t.Errorf("%d requests for one entry", got)
	}
}

func TestDeadlineOfTheCaller(t *testing.T) {
	l, claims := logged(t, 6)
	server := serve(t, l)
	_, release := stalled(t, server)
	defer release()
	prover := online(t, l, server, tlog.NewMemoryHistory())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := prover.Prove(ctx, claims[2], l.Promise(2))
	wantErr(t, err, tlog.ErrUnavailable)
	wantErr(t, err, context.DeadlineExceeded)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("gave up after %v", took)
	}
}

// panickyHistory fails in the way that ends a process.
type panickyHistory struct{ *tlog.MemoryHistory }

func (panickyHistory) Advance(context.Context, tlog.Checkpoint, string) error { panic("a bug") }

func TestPanicInSharedWorkIsAnError(t *testing.T) {
	l, claims := logged(t, 3)
	prover := tlog.NewProver(configured(t, l), nil, panickyHistory{tlog.NewMemoryHistory()})
	for range 2 {
		_, err := prover.Prove(t.Context(), claims[0], l.Entry(0, 3))
		wantErr(t, err, tlog.ErrUnavailable)
	}
}

// TestTimeLimits runs on a clock of its own.
func TestTimeLimits(t *testing.T) {
	l, claims := logged(t, 3)
	never := roundTripper(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	t.Run("one request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			prover := tlog.NewProver(configured(t, l), dialThrough(t, never), tlog.NewMemoryHistory())
			begin := time.Now()
			_, err := prover.Prove(context.Background(), claims[0], l.Promise(0))
			wantErr(t, err, tlog.ErrUnavailable)
			if took := time.Since(begin); took != tlog.RequestTimeout {
				t.Errorf("took %v, want %v", took, tlog.RequestTimeout)
			}
		})
	})
	t.Run("shared work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			prover := tlog.NewProver(configured(t, l), nil, stuckHistory{tlog.NewMemoryHistory()})
			begin := time.Now()
			_, err := prover.Prove(context.Background(), claims[0], l.Entry(0, 3))
			wantErr(t, err, tlog.ErrUnavailable)
			if took := time.Since(begin); took != tlog.FlightTimeout {
				t.Errorf("took %v, want %v", took, tlog.FlightTimeout)
			}
		})
	})
}

// stuckHistory never answers.
type stuckHistory struct{ *tlog.MemoryHistory }

func (stuckHistory) Latest(ctx context.Context, _ string) ([]byte, string, error) {
	<-ctx.Done()
	return nil, "", fmt.Errorf("reading: %w", ctx.Err())
}
