// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// replicated is a log that several servers show, each as much of it as a test says.
type replicated struct {
	*tlogtest.Log
	servers []*tlogtest.Server
	history *tlog.MemoryHistory
	prover  *tlog.Prover
}

func newReplicated(t *testing.T, size, servers int) *replicated {
	t.Helper()
	l, _ := logged(t, size)
	r := &replicated{Log: l, history: seeded(l, size)}
	for range servers {
		r.servers = append(r.servers, serve(t, l))
	}
	r.prover = tlog.NewProver(configured(t, l), replicas(t, r.servers...), r.history)
	return r
}

// show makes each server show so many entries; 0 makes it silent.
func (r *replicated) show(sizes ...int) {
	for i, size := range sizes {
		r.servers[i].Intercept(nil)
		r.servers[i].Show(r.Log, size)
		if size == 0 {
			r.servers[i].Intercept(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
		}
	}
}

// TestReplicasTakeTurnsToLag for a hundred polls, and that is never a rollback.
func TestReplicasTakeTurnsToLag(t *testing.T) {
	t.Parallel() // it waits more than it works
	r := newReplicated(t, 50, 2)
	for i := range 100 {
		size := 50 + i
		if i > 0 {
			r.Grow(1)
		}
		lagging := max(1, size-1-i%40)
		if i%2 == 0 {
			r.show(size, lagging)
		} else {
			r.show(lagging, size)
		}
		got, err := r.prover.Poll(t.Context())
		if err != nil || int(got.Size()) != size || len(got.Silent) != 0 {
			t.Fatalf("poll %d: sizes %d and %d: got size %d, %v", i, size, lagging, got.Size(), err)
		}
		if got := storedSize(t, r.Log, r.history); got != uint64(size) {
			t.Fatalf("poll %d: stored size %d; want %d", i, got, size)
		}
	}
}

// TestABalancerAlternatesBetweenReplicas behind one address a hundred times: whoever
// lags shows less, and the proof that is asked for then comes from the other.
func TestABalancerAlternatesBetweenReplicas(t *testing.T) {
	t.Parallel() // it waits more than it works
	l, _ := logged(t, 60)
	ahead, behind := serve(t, l), serve(t, l)
	behind.Show(l, 59)
	var turn atomic.Int64
	ahead.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if turn.Add(1)%2 == 0 {
			return false
		}
		behind.Config.Handler.ServeHTTP(w, r)
		return true
	})
	history := seeded(l, 60)
	prover := online(t, l, ahead, history)
	for i := range 100 {
		if _, err := prover.Poll(t.Context()); err != nil {
			t.Fatalf("poll %d: %v", i, err)
		}
	}
}

// TestALogThatGoesBackIsFound, however many replicas it has, and also when it goes
// back to a size that it showed before.
func TestALogThatGoesBackIsFound(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 3} {
		for _, back := range []int{1, 1000} {
			for _, polled := range []bool{false, true} {
				t.Run(fmt.Sprintf("by %d entries, %d replicas, polled before: %t", back, servers, polled), func(t *testing.T) {
					t.Parallel()
					r := newReplicated(t, 1200-back, servers)
					if polled {
						if _, err := r.prover.Poll(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					r.Grow(back)
					if _, err := r.prover.Poll(t.Context()); err != nil {
						t.Fatal(err)
					}
					restored := r.Fork(1200 - back)
					for _, server := range r.servers {
						server.Show(restored, 0)
					}
					_, err := r.prover.Poll(t.Context())
					wantErr(t, err, tlog.ErrInconsistent)
					if errors.Is(err, tlog.ErrUnavailable) {
						t.Errorf("a rollback is told as an outage: %v", err)
					}
					if got := storedSize(t, r.Log, r.history); got != 1200 {
						t.Errorf("stored size is %d", got)
					}
					// The log that was there comes back.
					for _, server := range r.servers {
						server.Show(r.Log, 0)
					}
					_, err = r.prover.Poll(t.Context())
					wantErr(t, err, nil)
				})
			}
		}
	}
}

// TestWhatReplicasShow has three replicas of a log of which 100 entries are stored.
func TestWhatReplicasShow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sizes  []int // 0: it does not answer
		size   uint64
		silent int
		err    error
	}{
		"all show what is stored":                 {sizes: []int{100, 100, 100}, size: 100},
		"one is ahead":                            {sizes: []int{100, 110, 100}, size: 110},
		"the last is ahead and the others lag":    {sizes: []int{3, 64, 120}, size: 120},
		"one lags":                                {sizes: []int{100, 99, 100}, size: 100},
		"one is empty":                            {sizes: []int{100, -1, 100}, size: 100},
		"one does not answer":                     {sizes: []int{0, 100, 101}, size: 101, silent: 1},
		"two do not answer":                       {sizes: []int{0, 100, 0}, size: 100, silent: 2},
		"nobody answers":                          {sizes: []int{0, 0, 0}, err: tlog.ErrUnavailable},
		"one lags and the others do not answer":   {sizes: []int{0, 99, 0}, err: tlog.ErrUnavailable},
		"one is empty and the others are silent":  {sizes: []int{0, -1, 0}, err: tlog.ErrUnavailable},
		"all lag":                                 {sizes: []int{98, 99, 99}, err: tlog.ErrInconsistent},
		"all are empty":                           {sizes: []int{-1, -1, -1}, err: tlog.ErrInconsistent},
		"all lag and one of them does not answer": {sizes: []int{98, 99, 0}, err: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicated(t, 100, 3)
			r.Grow(20)
			r.show(test.sizes...)
			for i, size := range test.sizes {
				if size < 0 {
					r.servers[i].Intercept(nil)
					r.servers[i].Show(r.Fork(0), 0)
				}
			}
			got, err := r.prover.Poll(t.Context())
			wantErr(t, err, test.err)
			if test.err != nil {
				if errors.Is(err, tlog.ErrInconsistent) != errors.Is(test.err, tlog.ErrInconsistent) {
					t.Errorf("an outage is told as an inconsistency, or the reverse: %v", err)
				}
				if stored := storedSize(t, r.Log, r.history); stored != 100 {
					t.Errorf("stored size is %d", stored)
				}
				return
			}
			if got.Size() != test.size || len(got.Silent) != test.silent {
				t.Errorf("got size %d with %d silent; want %d, %d", got.Size(), len(got.Silent), test.size, test.silent)
			}
			if stored := storedSize(t, r.Log, r.history); stored != test.size {
				t.Errorf("stored size is %d; want %d", stored, test.size)
			}
		})
	}
}

// TestAReplicaThatCatchesUpIsNoRollback: every replica shows less for a moment.
func TestAReplicaThatCatchesUpIsNoRollback(t *testing.T) {
	t.Parallel() // it waits more than it works
	r := newReplicated(t, 100, 2)
	r.show(99, 98)
	time.AfterFunc(300*time.Millisecond, func() { r.servers[1].Show(r.Log, 100) })
	got, err := r.prover.Poll(t.Context())
	if err != nil || got.Size() != 100 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestAReplicaThatShowsAnotherHistory, among others that do not, is found and is
// evidence, wherever it stands and whatever size it shows.
func TestAReplicaThatShowsAnotherHistory(t *testing.T) {
	for name, size := range map[string]int{"smaller": 80, "of one size": 100, "larger": 120} {
		for position := range 3 {
			t.Run(fmt.Sprintf("%s, replica %d", name, position), func(t *testing.T) {
				r := newReplicated(t, 100, 3)
				fork := r.Fork(70)
				extend(t, fork, size-70, "another ")
				r.servers[position].Show(fork, 0)
				_, err := r.prover.Poll(t.Context())
				wantErr(t, err, tlog.ErrInconsistent)
				if accused(r.history) == nil {
					t.Errorf("no evidence: %v", err)
				}
			})
		}
	}
}

// TestAReplicaThatServesAnotherLog is said, and the others still count.
func TestAReplicaThatServesAnotherLog(t *testing.T) {
	r := newReplicated(t, 100, 3)
	other := tlogtest.New(hostname)
	other.Grow(200)
	r.Grow(5)
	r.servers[0].Show(other, 0)
	_, err := r.prover.Poll(t.Context())
	wantErr(t, err, tlog.ErrCheckpoint)
	if got := storedSize(t, r.Log, r.history); got != 105 {
		t.Errorf("stored size is %d; want that of the other replicas", got)
	}
}

// TestAWrongAnswerOfOneReplica does not stand in the way of the others' right ones.
func TestAWrongAnswerOfOneReplica(t *testing.T) {
	l, claims := logged(t, 30)
	for name, wrong := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"a proof of another entry": func(w http.ResponseWriter, _ *http.Request) bool {
			a := answerOf(l, 4, 30)
			a.proof["hashes"] = answerOf(l, 5, 30).proof["hashes"]
			a.write(w)
			return true
		},
		"another body": func(w http.ResponseWriter, _ *http.Request) bool {
			a := answerOf(l, 4, 30)
			a.entry["body"] = answerOf(l, 5, 30).entry["body"]
			a.write(w)
			return true
		},
		"a checkpoint of nobody": func(w http.ResponseWriter, _ *http.Request) bool {
			a := answerOf(l, 4, 30)
			a.proof["checkpoint"] = sameTree(l).Checkpoint(30)
			a.write(w)
			return true
		},
		"a wrong consistency proof": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/v1/log/proof" {
				return false
			}
			_, _ = w.Write(manyHashes(3))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := serve(t, l), serve(t, l)
			bad.Intercept(wrong)
			history := seeded(l, 20)
			_, err := tlog.NewProver(configured(t, l), replicas(t, bad, good), history).Prove(t.Context(), claims[4], l.Promise(4))
			wantErr(t, err, nil)
		})
	}
}

// TestANewShardAppears while the log is in use: on one replica first, and what is
// logged there is admitted at once.
func TestANewShardAppears(t *testing.T) {
	r := newReplicated(t, 20, 2)
	if _, err := r.prover.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := r.Fork(0)
	next.TreeID++
	next.FirstIndex = 20
	claims := extend(t, next, 5, "in the new shard ")
	// The second replica has it; the first does not know yet.
	r.servers[1].Show(next, 0)
	r.servers[1].Retire(r.Log)
	if _, err := r.prover.Prove(t.Context(), claims[2], next.Promise(2)); err != nil {
		t.Errorf("an entry of the new shard, without a proof: %v", err)
	}
	if _, err := r.prover.Prove(t.Context(), claims[3], next.Entry(3, 5)); err != nil {
		t.Errorf("an entry of the new shard, with a proof: %v", err)
	}
	polled, err := r.prover.Poll(t.Context())
	if err != nil || polled.Origin() != r.Origin() {
		t.Errorf("while the shards change: %v, %v", polled, err)
	}
	r.servers[0].Show(next, 0)
	r.servers[0].Retire(r.Log)
	if polled, err = r.prover.Poll(t.Context()); err != nil || polled.Origin() != next.Origin() || polled.Size() != 5 {
		t.Errorf("after that: %v, %v", polled, err)
	}
	for _, shard := range []*tlogtest.Log{r.Log, next} {
		if got := storedSize(t, shard, r.history); got != uint64(shard.Size()) {
			t.Errorf("%s: stored size %d; want %d", shard.Origin(), got, shard.Size())
		}
	}
	// An old signature is as good as before.
	body, _ := claimOf(t, "entry 7").Body()
	if _, err := r.prover.Prove(t.Context(), tlog.ExactBody(body), r.Entry(7, 15)); err != nil {
		t.Errorf("an entry of the shard that was retired: %v", err)
	}
}

// TestTheCosignedNoteOfTwoCounts: one replica's checkpoint is cosigned already, and the
// other's, of the same tree, is not.
func TestTheCosignedNoteOfTwoCounts(t *testing.T) {
	w := newWitnessedLog(t)
	other := serve(t, w.Log)
	other.Cosign(func(note string) string { return w.witness.Cosign(note, time.Now()) })
	for name, servers := range map[string][]*tlogtest.Server{"first": {other, w.server}, "second": {w.server, other}} {
		prover := tlog.NewProver(w.config, replicas(t, servers...), tlog.NewMemoryHistory())
		polled, err := prover.Poll(t.Context())
		if err != nil || !polled.IsWitnessed() {
			t.Errorf("the cosigned one comes %s: %v, %v", name, polled, err)
		}
	}
}
