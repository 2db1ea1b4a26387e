// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// unasked is the *UnaskedError in err, or nil.
func unasked(t *testing.T, proof tlog.Proof, err error) *tlog.UnaskedError {
	t.Helper()
	if err != nil && proof != (tlog.Proof{}) {
		t.Errorf("a proof was returned beside the error %v", err)
	}
	if err == nil && proof.Unasked() != "" {
		t.Errorf("a proof that nobody could be asked about is no error: %v", proof)
	}
	found, _ := errors.AsType[*tlog.UnaskedError](err)
	if found != nil && (!errors.Is(err, tlog.ErrUnavailable) || found.Proof.Unasked() == "") {
		t.Errorf("%v is not an outage, or its proof does not say what it lacks", err)
	}
	return found
}

// TestWhatIsTakenOnCredit: while the log is away, a proof that came with a signature
// is offered to who would have it without the log's word on its checkpoint, and only as
// long as there is history, fresh and undoubted, that could contradict it.
func TestWhatIsTakenOnCredit(t *testing.T) {
	l, claims := logged(t, 10)
	fork := l.Fork(3)
	forkedClaims := extend(t, fork, 7, "forked ")
	for name, test := range map[string]struct {
		history func() tlog.History
		claim   tlog.Claim
		entry   *tlog.Entry
		want    error
		credit  bool
	}{
		"a larger checkpoint":                       {nil, claims[1], l.Entry(1, 8), tlog.ErrUnavailable, true},
		"a smaller checkpoint":                      {nil, claims[1], l.Entry(1, 4), tlog.ErrUnavailable, true},
		"a fork that nobody can tell from the tree": {nil, forkedClaims[1], fork.Entry(4, 8), tlog.ErrUnavailable, true},
		"the stored checkpoint":                     {nil, claims[1], l.Entry(1, 5), nil, false},
		"a fork of the stored size":                 {nil, forkedClaims[1], fork.Entry(4, 5), tlog.ErrInconsistent, false},
		"a promise without a proof":                 {nil, claims[1], l.Promise(1), tlog.ErrUnavailable, false},
		"nothing at all":                            {nil, claims[1], nil, tlog.ErrUnavailable, false},
		"a proof of something else":                 {nil, claims[2], l.Entry(1, 8), tlog.ErrEntryMismatch, false},
		"a tree of which nothing is stored":         {nil, claims[1], otherTree(l).Entry(1, 8), tlog.ErrUnavailable, false},
		"where nothing was ever stored":             {func() tlog.History { return tlog.NewMemoryHistory() }, claims[1], l.Entry(1, 8), tlog.ErrUnavailable, false},
		"where nobody watches the log":              {func() tlog.History { return seeded(l, 5) }, claims[1], l.Entry(1, 8), tlog.ErrUnavailable, false},
		"where the log was caught": {func() tlog.History {
			history := aging(l, 5)
			_ = history.Accuse(context.Background(), checkpointOf(t, l, 5), checkpointOf(t, fork, 5))
			return history
		}, claims[1], l.Entry(1, 8), tlog.ErrInconsistent, false},
		"where the log's last answer was bad": {func() tlog.History {
			history := aging(l, 5)
			history.doubted = true
			return history
		}, claims[1], l.Entry(1, 8), tlog.ErrUnavailable, false},
		"where the log is stale": {func() tlog.History {
			history := aging(l, 5)
			history.at = time.Now().Add(-61 * time.Minute)
			return history
		}, claims[1], l.Entry(1, 8), tlog.ErrStale, false},
		"where the store does not answer": {func() tlog.History {
			return &silentHistory{aging(l, 5)}
		}, claims[1], l.Entry(1, 8), tlog.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, l)
			synctest.Test(t, func(t *testing.T) {
				var history tlog.History = aging(l, 5)
				if test.history != nil {
					history = test.history()
				}
				prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server, down: true}), history)
				proof, err := prover.Prove(t.Context(), test.claim, test.entry)
				wantErr(t, err, test.want)
				if got := unasked(t, proof, err); (got != nil) != test.credit {
					t.Errorf("taken on credit: %v, want %v (%v)", got != nil, test.credit, err)
				}
				if test.want == nil || !test.credit {
					if n := prover.Unasked(); n != 0 {
						t.Errorf("%d checkpoints are to be asked about", n)
					}
				}
			})
		})
	}
}

func otherTree(l *tlogtest.Log) *tlogtest.Log {
	other := l.Fork(8)
	other.TreeID++
	return other
}

// silentHistory loses its store after it has said how fresh the log is.
type silentHistory struct{ *agingHistory }

func (silentHistory) Latest(context.Context, string) ([]byte, string, error) {
	return nil, "", errors.New("the API server is away")
}

// TestAnAnswerIsNoOutage: a log that answers, and cannot show what it is asked for, does
// not become one that is away.
func TestAnAnswerIsNoOutage(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   error
		credit bool
	}{
		"it has no such proof":     {refuses(http.StatusBadRequest), tlog.ErrInconsistent, false},
		"it knows no such tree":    {refuses(http.StatusNotFound), tlog.ErrInconsistent, false},
		"it gives another proof":   {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"hashes":[]}`)) }, tlog.ErrInconsistent, false},
		"it breaks down":           {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, tlog.ErrUnavailable, true},
		"it wants to be let alone": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, tlog.ErrUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, claims := logged(t, 10)
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				test.answer(w)
				return true
			})
			synctest.Test(t, func(t *testing.T) {
				prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server}), aging(l, 5))
				proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 8))
				wantErr(t, err, test.want)
				if got := unasked(t, proof, err); (got != nil) != test.credit {
					t.Errorf("taken on credit: %v, want %v (%v)", got != nil, test.credit, err)
				}
			})
		})
	}
}

// TestWhoeverRunsOutOfTimeGetsNoCredit: that it was we who hung up says nothing of the log.
func TestWhoeverRunsOutOfTimeGetsNoCredit(t *testing.T) {
	l, claims := logged(t, 10)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server, down: true}), aging(l, 5))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		proof, err := prover.Prove(ctx, claims[1], l.Entry(1, 8))
		wantErr(t, err, tlog.ErrUnavailable)
		if unasked(t, proof, err) != nil {
			t.Errorf("taken on credit: %v", err)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
	})
}

// TestTwoTreesOfOneSizeOnCredit are evidence, even if the log is away.
func TestTwoTreesOfOneSizeOnCredit(t *testing.T) {
	l, claims := logged(t, 10)
	fork := l.Fork(6)
	forkedClaims := extend(t, fork, 7, "forked ")
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		history := aging(l, 5)
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server, down: true}), history)
		for range 2 { // the same one twice is one
			proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 8))
			if unasked(t, proof, err) == nil || prover.Unasked() != 1 {
				t.Fatalf("got %v, and %d to ask about", err, prover.Unasked())
			}
		}
		_, err := prover.Prove(t.Context(), forkedClaims[0], fork.Entry(6, 8))
		wantErr(t, err, tlog.ErrInconsistent)
		if accused(history) == nil || prover.Unasked() != 0 {
			t.Errorf("no evidence is kept, and %d are still to be asked about", prover.Unasked())
		}
	})
}

// TestCreditIsNotRemembered: what was taken on credit proves nothing to anybody else.
func TestCreditIsNotRemembered(t *testing.T) {
	l, claims := logged(t, 10)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server, down: true}), aging(l, 5))
		if proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 8)); unasked(t, proof, err) == nil {
			t.Fatal(err)
		}
		for _, entry := range []*tlog.Entry{l.Promise(1), nil} {
			proof, err := prover.Prove(t.Context(), claims[1], entry)
			wantErr(t, err, tlog.ErrUnavailable)
			if unasked(t, proof, err) != nil {
				t.Errorf("taken on credit: %v", err)
			}
		}
	})
}

func TestCreditIsBounded(t *testing.T) {
	l, claims := logged(t, tlog.MaxUnasked+20)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		prover := tlog.NewProver(configured(t, l), dialThrough(t, &inMemory{server: server, down: true}), aging(l, 5))
		given := 0
		for size := 6; size <= tlog.MaxUnasked+20; size++ {
			proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, size))
			wantErr(t, err, tlog.ErrUnavailable)
			if unasked(t, proof, err) != nil {
				given++
			}
		}
		if given != tlog.MaxUnasked {
			t.Errorf("%d were taken on credit, want %d", given, tlog.MaxUnasked)
		}
	})
}

// TestCreditNeedsTheWitnesses where the log does.
func TestCreditNeedsTheWitnesses(t *testing.T) {
	l, claims := logged(t, 10)
	witness := tlogtest.NewWitness("w.example")
	log := withPolicy(t, l, "witness W %0\nquorum W\n", witness)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		prover := tlog.NewProver(log, dialThrough(t, &inMemory{server: server, down: true}), aging(l, 5))
		alone, cosigned := l.Entry(1, 8), l.Entry(1, 8)
		cosigned.Inclusion.Checkpoint = witness.Cosign(cosigned.Inclusion.Checkpoint, time.Now())
		proof, err := prover.Prove(t.Context(), claims[1], alone)
		if unasked(t, proof, err) != nil {
			t.Errorf("a checkpoint that no witness has seen was taken on credit: %v", err)
		}
		proof, err = prover.Prove(t.Context(), claims[1], cosigned)
		if unasked(t, proof, err) == nil {
			t.Errorf("a checkpoint that enough witnesses have seen was not: %v", err)
		}
	})
}

// TestCreditIsSettled when the log is back.
func TestCreditIsSettled(t *testing.T) {
	for name, test := range map[string]struct {
		show     func(l, fork *tlogtest.Log, transport *inMemory)
		want     error
		evidence bool
		left     int
	}{
		"the log shows that they belong to it": {func(_, _ *tlogtest.Log, m *inMemory) { m.setDown(false) }, nil, false, 0},
		"the log is still away":                {func(_, _ *tlogtest.Log, _ *inMemory) {}, tlog.ErrUnavailable, false, 3},
		"the log shows another tree": {func(_, fork *tlogtest.Log, m *inMemory) {
			m.server.Show(fork, 0)
			m.setDown(false)
		}, tlog.ErrInconsistent, true, 0},
		"the log knows of less": {func(l, _ *tlogtest.Log, m *inMemory) {
			m.server.Show(l, 6)
			m.setDown(false)
		}, tlog.ErrInconsistent, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, claims := logged(t, 12)
			fork := l.Fork(6)
			fork.Grow(6)
			server := serve(t, l)
			synctest.Test(t, func(t *testing.T) {
				history := aging(l, 5)
				transport := &inMemory{server: server, down: true}
				prover := tlog.NewProver(configured(t, l), dialThrough(t, transport), history)
				for _, size := range []int{3, 7, 9} {
					if proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, size)); unasked(t, proof, err) == nil {
						t.Fatal(err)
					}
				}
				time.Sleep(30 * time.Minute) // a breaker has closed again
				test.show(l, fork, transport)
				err := prover.Settle(t.Context())
				wantErr(t, err, test.want)
				if (accused(history) != nil) != test.evidence || prover.Unasked() != test.left {
					t.Errorf("evidence %v, %d left to ask about; want %v, %d", accused(history), prover.Unasked(), test.evidence, test.left)
				}
				if test.want == nil && storedSize(t, l, history) != 12 {
					t.Errorf("stored size is %d, want 12", storedSize(t, l, history))
				}
				wantErr(t, prover.Settle(t.Context()), map[bool]error{true: tlog.ErrUnavailable}[test.left > 0])
			})
		})
	}
}
