// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// witnessedLog is a log of 10 entries whose checkpoints one witness must have cosigned.
type witnessedLog struct {
	*tlogtest.Log
	claims  []tlog.Claim
	server  *tlogtest.Server
	history *tlog.MemoryHistory
	witness *tlogtest.Witness
	config  *tlog.Log
}

func newWitnessedLog(t testing.TB) *witnessedLog {
	t.Helper()
	l, claims := logged(t, 10)
	w := &witnessedLog{Log: l, claims: claims, server: serve(t, l), history: tlog.NewMemoryHistory(), witness: tlogtest.NewWitness("w.example")}
	w.config = withPolicy(t, l, "witness W %0\nquorum W\n", w.witness)
	return w
}

func (w *witnessedLog) prover(t *testing.T) *tlog.Prover {
	t.Helper()
	return tlog.NewProver(w.config, dialThrough(t, &inMemory{server: w.server}), w.history)
}

// cosigning makes the log show cosigned checkpoints of its trees, or not any more.
func (w *witnessedLog) cosigning(on bool) {
	w.server.Cosign(nil)
	if on {
		w.server.Cosign(func(note string) string { return w.witness.Cosign(note, time.Now()) })
	}
}

// down makes the log answer nothing any more.
func (w *witnessedLog) down() {
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
}

// prove proves an entry under the log's own checkpoint of a size, which is cosigned or not.
func (w *witnessedLog) prove(t testing.TB, p *tlog.Prover, index, size int, cosigned bool) error {
	t.Helper()
	entry := w.Entry(index, size)
	if cosigned {
		entry.Inclusion.Checkpoint = w.witness.Cosign(entry.Inclusion.Checkpoint, time.Now())
	}
	_, err := p.Prove(t.Context(), w.claims[index], entry)
	return err
}

// poll polls while the log shows this size.
func (w *witnessedLog) poll(t testing.TB, p *tlog.Prover, size int) {
	t.Helper()
	w.server.Show(w.Log, size)
	if _, err := p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhichCheckpointNeedsTheQuorum(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(*testing.T, *witnessedLog) error
		want error
	}{
		"the proof's own has it": {run: func(t *testing.T, w *witnessedLog) error {
			return w.prove(t, w.prover(t), 4, 5, true)
		}},
		"the log's latest has it, the proof's own has not": {run: func(t *testing.T, w *witnessedLog) error {
			w.cosigning(true)
			return w.prove(t, w.prover(t), 4, 5, false)
		}},
		"nothing has it": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			return w.prove(t, w.prover(t), 4, 5, false)
		}},
		"the latest had it when it was polled": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.cosigning(true)
			w.poll(t, p, 10)
			w.cosigning(false)
			return w.prove(t, p, 4, 5, false)
		}},
		"an earlier one that holds the entry had it, the proof's own is larger": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.cosigning(true)
			w.poll(t, p, 5)
			w.cosigning(false)
			w.server.Show(w.Log, 8)
			return w.prove(t, p, 4, 8, false)
		}},
		"an earlier one had it, and the entry came right after it": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.cosigning(true)
			w.poll(t, p, 5)
			w.cosigning(false)
			w.server.Show(w.Log, 8)
			return w.prove(t, p, 5, 8, false)
		}},
		"an old one has it that came with another signature": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 10)
			if err := w.prove(t, p, 6, 7, true); err != nil {
				return err
			}
			return w.prove(t, p, 4, 9, false)
		}},
		"an old one has it, and the entry came right after it": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 10)
			if err := w.prove(t, p, 6, 7, true); err != nil {
				return err
			}
			return w.prove(t, p, 7, 9, false)
		}},
		"the log holds the entry, nothing came along, the latest has it": {run: func(t *testing.T, w *witnessedLog) error {
			w.cosigning(true)
			_, err := w.prover(t).Prove(t.Context(), w.claims[3], nil)
			return err
		}},
		"the log holds the entry, nothing came along, nothing has it": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			_, err := w.prover(t).Prove(t.Context(), w.claims[3], nil)
			return err
		}},
		"nothing had it at first, the latest has it now": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			wantErr(t, w.prove(t, p, 4, 5, false), tlog.ErrWitnessQuorum)
			w.cosigning(true)
			return w.prove(t, p, 4, 5, false)
		}},
		"the latest has it and is smaller, as a replica lags": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 10)
			w.cosigning(true)
			w.server.Show(w.Log, 5)
			w.history.Seed(w.Origin(), w.Checkpoint(8))
			return w.prove(t, p, 6, 8, false)
		}},
		"the latest has it, and is of a fork": {want: tlog.ErrInconsistent, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 8)
			fork := w.Fork(5)
			fork.Grow(10)
			w.server.Show(fork, 0)
			w.cosigning(true)
			return w.prove(t, p, 6, 8, false)
		}},
		"a store says that it was met elsewhere": {run: func(t *testing.T, w *witnessedLog) error {
			w.history.Seed(w.Origin(), w.Checkpoint(8))
			w.history.SeedWitnessed(w.Origin(), w.witness.Cosign(w.Checkpoint(7), time.Now()))
			w.down()
			return w.prove(t, w.prover(t), 6, 8, false)
		}},
		"once it was met it stays so": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			wantErr(t, w.prove(t, p, 4, 5, true), nil)
			w.down()
			return w.prove(t, p, 4, 5, false)
		}},
		"the proof's own has not, and the log is down": {want: tlog.ErrUnavailable, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 5)
			w.down()
			return w.prove(t, p, 4, 5, false)
		}},
		"the proof's own has it, and the log is down": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 5)
			w.down()
			return w.prove(t, p, 4, 5, true)
		}},
		"offline, the proof's own has it": {run: func(t *testing.T, w *witnessedLog) error {
			return w.prove(t, tlog.NewProver(w.config, nil, w.history), 4, 5, true)
		}},
		"offline, the proof's own has not": {want: tlog.ErrWitnessQuorum, run: func(t *testing.T, w *witnessedLog) error {
			return w.prove(t, tlog.NewProver(w.config, nil, w.history), 4, 5, false)
		}},
		"after a restart, the log is down, the stored one has it": {run: func(t *testing.T, w *witnessedLog) error {
			w.cosigning(true)
			w.poll(t, w.prover(t), 8)
			w.down()
			return w.prove(t, w.prover(t), 4, 8, false)
		}},
		"after a restart, the log is down, the one that was stored before has it": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.cosigning(true)
			w.poll(t, p, 5)
			w.cosigning(false)
			w.poll(t, p, 8)
			w.down()
			return w.prove(t, w.prover(t), 4, 8, false)
		}},
		"after a restart, the log is down, the stored one has it at too small a size": {want: tlog.ErrUnavailable, run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.cosigning(true)
			w.poll(t, p, 5)
			w.cosigning(false)
			w.poll(t, p, 8)
			w.down()
			return w.prove(t, w.prover(t), 5, 8, false)
		}},
		"the stored one was cosigned later": {run: func(t *testing.T, w *witnessedLog) error {
			p := w.prover(t)
			w.poll(t, p, 8)
			w.cosigning(true)
			w.poll(t, p, 8)
			w.down()
			return w.prove(t, w.prover(t), 7, 8, false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := newWitnessedLog(t), error(nil)
			synctest.Test(t, func(t *testing.T) { err = test.run(t, w) })
			wantErr(t, err, test.want)
			for _, other := range []error{tlog.ErrWitnessQuorum, tlog.ErrUnavailable} {
				if !errors.Is(other, test.want) && errors.Is(err, other) {
					t.Errorf("got error %v, which is also %v", err, other)
				}
			}
		})
	}
}

// TestQuorumOfAnotherTree: what witnesses say of one history says nothing of another.
func TestQuorumOfAnotherTree(t *testing.T) {
	t.Run("a fork that they have cosigned", func(t *testing.T) {
		w := newWitnessedLog(t)
		p := w.prover(t)
		w.poll(t, p, 10)
		fork := w.Fork(5)
		claims := extend(t, fork, 5, "fork ")
		entry := fork.Entry(5, 9)
		entry.Inclusion.Checkpoint = w.witness.Cosign(entry.Inclusion.Checkpoint, time.Now())
		_, err := p.Prove(t.Context(), claims[0], entry)
		wantErr(t, err, tlog.ErrInconsistent)
		_, err = p.Prove(t.Context(), w.claims[4], w.Entry(4, 8))
		if err == nil {
			t.Error("after that, the log itself is believed without a quorum")
		}
	})
	t.Run("another shard that they have cosigned", func(t *testing.T) {
		w := newWitnessedLog(t)
		p := w.prover(t)
		old := tlogtest.New(hostname).Fork(0)
		*old = *w.Fork(0)
		old.TreeID++
		old.Grow(20)
		w.server.Retire(old)
		cosigned := old.Entry(3, 20)
		cosigned.Inclusion.Checkpoint = w.witness.Cosign(cosigned.Inclusion.Checkpoint, time.Now())
		if _, err := p.Prove(t.Context(), tlog.ExactBody(cosigned.Body), cosigned); err != nil {
			t.Fatal(err)
		}
		wantErr(t, w.prove(t, p, 4, 5, false), tlog.ErrWitnessQuorum)
	})
	t.Run("a tree that the log does not list", func(t *testing.T) {
		w := newWitnessedLog(t)
		other := w.Fork(10)
		other.TreeID++
		entry := other.Entry(3, 10)
		entry.Inclusion.Checkpoint = w.witness.Cosign(entry.Inclusion.Checkpoint, time.Now())
		_, err := w.prover(t).Prove(t.Context(), w.claims[3], entry)
		wantErr(t, err, tlog.ErrInconsistent)
	})
}

// TestQuorumIsForgottenWithTheHistory: what was cosigned of a history that an operator
// has reset says nothing of the next one.
func TestQuorumIsForgottenWithTheHistory(t *testing.T) {
	w := newWitnessedLog(t)
	p := w.prover(t)
	w.cosigning(true)
	w.poll(t, p, 10)
	w.cosigning(false)
	fork := w.Fork(2)
	claims := extend(t, fork, 8, "restored ")
	// The operator's reset: a smaller tree, of another history.
	w.history.Seed(fork.Origin(), fork.Checkpoint(5))
	w.server.Show(fork, 0)
	_, err := p.Prove(t.Context(), claims[1], fork.Entry(3, 7))
	wantErr(t, err, tlog.ErrWitnessQuorum)
}

// TestStoredQuorumIsVerified: the store's word alone is nothing.
func TestStoredQuorumIsVerified(t *testing.T) {
	for name, test := range map[string]struct {
		stored func(*witnessedLog) string
		fails  error
		want   error
	}{
		"a cosigned checkpoint":        {stored: func(w *witnessedLog) string { return w.witness.Cosign(w.Checkpoint(8), time.Now()) }},
		"one that nobody has cosigned": {stored: func(w *witnessedLog) string { return w.Checkpoint(8) }, want: tlog.ErrUnavailable},
		"one that is cosigned by somebody else": {stored: func(w *witnessedLog) string {
			return tlogtest.NewWitness("w.example").Cosign(w.Checkpoint(8), time.Now())
		}, want: tlog.ErrUnavailable},
		"one that the log did not sign": {stored: func(w *witnessedLog) string {
			return w.witness.Cosign(tlogtest.New(hostname).SignNote("x"), time.Now())
		}, want: tlog.ErrUnavailable},
		"one of another tree": {stored: func(w *witnessedLog) string {
			o := w.Fork(10)
			o.TreeID++
			return w.witness.Cosign(o.Checkpoint(8), time.Now())
		}, want: tlog.ErrUnavailable},
		"one that is too small":                      {stored: func(w *witnessedLog) string { return w.witness.Cosign(w.Checkpoint(4), time.Now()) }, want: tlog.ErrUnavailable},
		"nothing":                                    {stored: func(*witnessedLog) string { return "" }, want: tlog.ErrUnavailable},
		"a store that does not answer":               {fails: context.DeadlineExceeded, want: tlog.ErrUnavailable},
		"a store that knows of an inconsistency now": {fails: tlog.ErrInconsistent, want: tlog.ErrInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitnessedLog(t)
			w.history.Seed(w.Origin(), w.Checkpoint(8))
			w.down()
			history := &witnessedHistory{MemoryHistory: w.history, err: test.fails}
			synctest.Test(t, func(t *testing.T) {
				if test.stored != nil {
					history.note = test.stored(w) // cosigned in the bubble's time
				}
				err := w.prove(t, tlog.NewProver(w.config, dialThrough(t, &inMemory{server: w.server}), history), 4, 8, false)
				wantErr(t, err, test.want)
			})
		})
	}
}

// witnessedHistory says what it is told of what was cosigned.
type witnessedHistory struct {
	*tlog.MemoryHistory
	note string
	err  error
}

func (h *witnessedHistory) Witnessed(context.Context, string) ([]byte, error) {
	if h.note == "" {
		return nil, h.err
	}
	return []byte(h.note), h.err
}

func TestPollSaysWhatWitnessesSay(t *testing.T) {
	w := newWitnessedLog(t)
	p := w.prover(t)
	checkpoint, err := p.Poll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Quorum(); !errors.Is(err, tlog.ErrWitnessQuorum) || !strings.Contains(err.Error(), "missing W") {
		t.Errorf("got error %v, want one that names W", err)
	}
	if note, _ := w.history.Witnessed(t.Context(), w.Origin()); note != nil {
		t.Errorf("%q is stored as cosigned", note)
	}
	w.cosigning(true)
	if checkpoint, err = p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, checkpoint.Quorum(), nil)
	if note, _ := w.history.Witnessed(t.Context(), w.Origin()); string(note) != checkpoint.Note() {
		t.Errorf("%q is stored as cosigned", note)
	}
	if got := checkpoint.Cosignatures(); len(got) != 1 || got[0].Witness != "W" || time.Since(got[0].Time) > time.Minute {
		t.Errorf("got cosignatures %v", got)
	}
}

// TestQuorumIsAskedForOnce: a hundred admissions of new entries cost the log one answer
// on what its witnesses say, not a hundred.
func TestQuorumIsAskedForOnce(t *testing.T) {
	w := newWitnessedLog(t)
	w.cosigning(true)
	p := w.prover(t)
	w.poll(t, p, 1)
	w.server.Show(w.Log, 10)
	var asked atomic.Int64
	release := make(chan struct{})
	w.server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v1/log" {
			asked.Add(1)
			<-release
		}
		return false
	})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { wantErr(t, w.prove(t, p, 9, 10, false), nil) })
	}
	time.Sleep(200 * time.Millisecond)
	close(release)
	wg.Wait()
	if got := asked.Load(); got > 2 {
		t.Errorf("the log was asked %d times", got)
	}
}

// TestQuorumThatComesTooLateForItsHistory: while a cosigned checkpoint is looked at, an
// operator resets the history that it was held against.
func TestQuorumThatComesTooLateForItsHistory(t *testing.T) {
	w := newWitnessedLog(t)
	p := w.prover(t)
	w.poll(t, p, 10)
	asked, release := make(chan struct{}), make(chan struct{})
	w.server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.FormValue("firstSize") == "5" {
			close(asked)
			<-release
		}
		return false
	})
	entry := w.Entry(4, 5)
	entry.Inclusion.Checkpoint = w.witness.Cosign(entry.Inclusion.Checkpoint, time.Now())
	proven := make(chan error)
	go func() {
		_, err := p.Prove(context.Background(), w.claims[4], entry)
		proven <- err
	}()
	<-asked
	fork := w.Fork(2)
	claims := extend(t, fork, 6, "restored ")
	w.history.Seed(fork.Origin(), fork.Checkpoint(8))
	if _, err := p.Prove(t.Context(), claims[1], fork.Entry(3, 8)); err == nil {
		t.Error("the new history is believed without a quorum")
	}
	close(release)
	if err := <-proven; err == nil {
		t.Error("a quorum of the old history is believed")
	}
	w.server.Intercept(nil)
	w.server.Show(fork, 0)
	_, err := p.Prove(t.Context(), claims[1], fork.Entry(3, 8))
	wantErr(t, err, tlog.ErrWitnessQuorum)
}
