// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// steppedHistory does something of the test's before a step of a request.
type steppedHistory struct {
	*tlog.MemoryHistory
	turn, confirm, freshness func() error
}

func (h *steppedHistory) Turn(context.Context) (bool, error) {
	if h.turn != nil {
		return false, h.turn()
	}
	return false, nil
}

func (h *steppedHistory) Confirm(context.Context, tlog.Checkpoint) error {
	if h.confirm != nil {
		return h.confirm()
	}
	return nil
}

func (h *steppedHistory) Freshness(ctx context.Context) (tlog.Freshness, error) {
	if h.freshness != nil {
		if err := h.freshness(); err != nil {
			return tlog.Freshness{}, err
		}
	}
	return h.MemoryHistory.Freshness(ctx)
}

// TestWhatHappensBeforeACheckpointIsStored: a larger checkpoint waits for its turn to be
// stored, in which the store, the log and what is known of it may become others. It is
// admitted only if it is still to be stored then, or is part of what was stored.
func TestWhatHappensBeforeACheckpointIsStored(t *testing.T) {
	errBroken := errors.New("broken")
	for name, tc := range map[string]struct {
		turn   func(w *waiting) error
		want   error
		stored uint64
	}{
		"nothing":                       {turn: func(*waiting) error { return nil }, stored: 15},
		"the store fails":               {turn: func(*waiting) error { return errBroken }, want: tlog.ErrUnavailable, stored: 10},
		"nobody may write any more":     {turn: func(*waiting) error { return tlog.ErrUnavailable }, want: tlog.ErrUnavailable, stored: 10},
		"another replica stores more":   {turn: func(w *waiting) error { w.history.Seed(w.good.Origin(), w.good.Checkpoint(20)); return nil }, stored: 20},
		"another replica stores a fork": {turn: func(w *waiting) error { w.history.Seed(w.good.Origin(), w.fork.Checkpoint(20)); return nil }, want: tlog.ErrInconsistent},
		"another replica accuses the log": {turn: func(w *waiting) error {
			return w.history.Accuse(context.Background(), checkpointOf(w.t, w.good, 12), checkpointOf(w.t, w.fork, 12))
		}, want: tlog.ErrInconsistent},
		"what is stored is lost":              {turn: func(w *waiting) error { w.history.Seed(w.good.Origin(), "x"); return nil }, want: tlog.ErrInconsistent},
		"the log cannot be asked for its pin": {turn: func(w *waiting) error { w.transport.setDown(true); return nil }, want: tlog.ErrUnavailable, stored: 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t)
			synctest.Test(t, func(t *testing.T) {
				once := false
				w.history.turn = func() error {
					if once {
						return nil
					}
					once = true
					return tc.turn(w)
				}
				// The pin is larger than what is stored, so each new checkpoint is held against it.
				config := configOf(w.good)
				config.Trees = []tlog.Tree{{ID: w.good.TreeID, Pin: &tlog.Pin{Size: 12, Root: [32]byte(w.good.Root(12))}}}
				prover := tlog.NewProver(newLog(t, config), dialThrough(t, w.transport), w.history)
				proof, err := prover.Prove(t.Context(), w.claims[3], w.good.Entry(3, 15))
				wantErr(t, err, tc.want)
				if (proof != tlog.Proof{}) != (tc.want == nil) {
					t.Errorf("got proof %v with error %v", proof, err)
				}
				if tc.stored != 0 {
					if got := storedSize(t, w.good, w.history); got != tc.stored {
						t.Errorf("stored size is %d, want %d", got, tc.stored)
					}
				}
			})
		})
	}
}

// waiting is a log of 20 entries, of which 10 are stored.
type waiting struct {
	t          *testing.T
	good, fork *tlogtest.Log
	claims     []tlog.Claim
	history    *steppedHistory
	transport  *inMemory
}

func newWaiting(t *testing.T) *waiting {
	t.Helper()
	good, claims := logged(t, 20)
	fork := good.Fork(5)
	fork.Grow(15)
	return &waiting{t: t, good: good, fork: fork, claims: claims, transport: &inMemory{server: serve(t, good)},
		history: &steppedHistory{MemoryHistory: seeded(good, 10)}}
}

// TestAStoreThatFailsAfterTheLogAnswered: a poll whose time could not be noted, and a store that fails
// after the log did, are outages.
func TestAStoreThatFailsAfterTheLogAnswered(t *testing.T) {
	w := newWaiting(t)
	w.history.confirm = func() error { return errors.New("broken") }
	_, err := tlog.NewProver(configured(t, w.good), dialThrough(t, w.transport), w.history).Poll(t.Context())
	wantErr(t, err, tlog.ErrUnavailable)

	// The log is away, and the store is by the time that credit is to be given.
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w.history.freshness = func() error {
			if asked++; asked > 1 {
				return errors.New("broken")
			}
			return nil
		}
		w.transport.setDown(true)
		proof, err := tlog.NewProver(configured(t, w.good), dialThrough(t, w.transport), w.history).Prove(t.Context(), w.claims[3], w.good.Entry(3, 7))
		wantErr(t, err, tlog.ErrUnavailable)
		if unasked(t, proof, err) != nil || asked != 2 {
			t.Errorf("credit was given, or the store was not asked for it: %v", err)
		}
	})
}

// TestSettlingThatIsCutShort: the log shows its checkpoint, and is away again before it has
// shown what was believed: that stays to be asked about.
func TestSettlingThatIsCutShort(t *testing.T) {
	l, claims := logged(t, 10)
	server := serve(t, l)
	synctest.Test(t, func(t *testing.T) {
		transport := &inMemory{server: server, down: true}
		prover := tlog.NewProver(configured(t, l), dialThrough(t, transport), aging(l, 5))
		proof, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 3))
		found := unasked(t, proof, err)
		if found == nil {
			t.Fatal(err)
		}
		if !strings.Contains(found.Error(), "could not be asked") || !strings.Contains(found.Proof.String(), "does not answer now") {
			t.Errorf("what it lacks is not said: %v; %v", found, found.Proof)
		}
		server.Show(l, 5)
		server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/v1/log" {
				return false
			}
			w.WriteHeader(http.StatusBadGateway)
			return true
		})
		transport.setDown(false)
		time.Sleep(time.Minute)
		wantErr(t, prover.Settle(t.Context()), tlog.ErrUnavailable)
		if prover.Unasked() != 1 {
			t.Errorf("%d checkpoints are to be asked about, want 1", prover.Unasked())
		}
		server.Intercept(nil)
		time.Sleep(time.Minute)
		wantErr(t, prover.Settle(t.Context()), nil)
		if prover.Unasked() != 0 {
			t.Errorf("%d checkpoints are to be asked about, want none", prover.Unasked())
		}
	})
}

// TestWhatWasProvenIsForgottenWithTheHistory: the store went back between a proof and the
// question for it.
func TestWhatWasProvenIsForgottenWithTheHistory(t *testing.T) {
	l, claims := logged(t, 10)
	server, history := serve(t, l), seeded(l, 10)
	prover := online(t, l, server, history)
	if _, err := prover.Prove(t.Context(), claims[3], l.Promise(3)); err != nil {
		t.Fatal(err)
	}
	before := server.Requests.Load()
	history.Seed(l.Origin(), l.Checkpoint(8))
	if _, err := prover.Prove(t.Context(), claims[3], l.Promise(3)); err != nil {
		t.Fatal(err)
	}
	if server.Requests.Load() == before {
		t.Error("what was proven of the history that was given up is not asked for again")
	}
}

// TestATransportThatTimesOut before the request's own time is over: that replica is left
// alone as one that stalls.
func TestATransportThatTimesOut(t *testing.T) {
	l, claims := logged(t, 10)
	log := configured(t, l)
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		slow := roundTripper(func(*http.Request) (*http.Response, error) {
			asked++
			return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
		})
		_, err := tlog.NewProver(log, dialThrough(t, slow), seeded(l, 10)).Prove(t.Context(), claims[3], l.Promise(3))
		wantErr(t, err, tlog.ErrUnavailable)
		if asked != 1 {
			t.Errorf("it was asked %d times, want once", asked)
		}
	})
}

// TestATreeBesideAProof: what stands beside the proof of a signature is not signed, and must
// not say something else than the checkpoint.
func TestATreeBesideAProof(t *testing.T) {
	l, claims := logged(t, 21)
	for name, tc := range map[string]struct {
		change func(*tlog.Inclusion)
		want   error
	}{
		"nothing":                      {change: func(*tlog.Inclusion) {}},
		"that of the checkpoint":       {change: func(i *tlog.Inclusion) { i.TreeSize, i.RootHash = 21, l.Root(21) }},
		"a smaller tree":               {change: func(i *tlog.Inclusion) { i.TreeSize = 20 }, want: tlog.ErrInclusionProof},
		"a larger tree":                {change: func(i *tlog.Inclusion) { i.TreeSize = 22 }, want: tlog.ErrInclusionProof},
		"a tree of less than no entry": {change: func(i *tlog.Inclusion) { i.TreeSize = -21 }, want: tlog.ErrInclusionProof},
		"the root of another size":     {change: func(i *tlog.Inclusion) { i.RootHash = l.Root(20) }, want: tlog.ErrInclusionProof},
		"the beginning of the root":    {change: func(i *tlog.Inclusion) { i.RootHash = l.Root(21)[:31] }, want: tlog.ErrInclusionProof},
		"the root, and another size":   {change: func(i *tlog.Inclusion) { i.TreeSize, i.RootHash = 20, l.Root(21) }, want: tlog.ErrInclusionProof},
		"the root in hexadecimal":      {change: func(i *tlog.Inclusion) { i.RootHash = []byte(hex.EncodeToString(l.Root(21))) }, want: tlog.ErrInclusionProof},
	} {
		t.Run(name, func(t *testing.T) {
			entry := l.Entry(13, 21)
			tc.change(entry.Inclusion)
			_, err := tlog.NewProver(configured(t, l), nil, seeded(l, 21)).Prove(t.Context(), claims[13], entry)
			wantErr(t, err, tc.want)
		})
	}
}

// TestMemoryThatWasAccused says so whatever it is asked for.
func TestMemoryThatWasAccused(t *testing.T) {
	l, _ := logged(t, 5)
	fork := l.Fork(3)
	fork.Grow(2)
	history := seeded(l, 5)
	if err := history.Accuse(t.Context(), checkpointOf(t, l, 5), checkpointOf(t, fork, 5)); err != nil {
		t.Fatal(err)
	}
	_, err := history.Witnessed(t.Context(), l.Origin())
	wantErr(t, err, tlog.ErrInconsistent)
	_, err = history.Freshness(t.Context())
	wantErr(t, err, tlog.ErrInconsistent)
}

// TestAnOutcomeThatNobodyKnows counts against a replica.
func TestAnOutcomeThatNobodyKnows(t *testing.T) {
	if got := tlog.OutcomeOf(errors.New("unknown")); got != tlog.Failed {
		t.Errorf("got %v, want %v", got, tlog.Failed)
	}
}

// TestAnEntryFromAfterTheKeysTime is refused although the log itself hands it out, whoever
// else saw the signature in time: the log says when it took it.
func TestAnEntryFromAfterTheKeysTime(t *testing.T) {
	l, claims := logged(t, 10)
	config := configOf(l)
	ended := time.Unix(tlogtest.IntegratedTime-3600, 0)
	config.Validity = tlog.Validity{NotAfter: ended}
	prover := tlog.NewProver(newLog(t, config), dialThrough(t, &inMemory{server: serve(t, l)}), seeded(l, 10))
	for _, claim := range []tlog.Claim{claims[3], claims[3].StampedAt([]time.Time{ended.Add(-time.Hour)})} {
		_, err := prover.Prove(t.Context(), claim, nil)
		wantErr(t, err, tlog.ErrEntryTime)
	}
}

// TestProofsOfNobodysTree, from a size that is a power of two, of which one more is asked
// for: none of them leads to a root that the log signed.
func TestProofsOfNobodysTree(t *testing.T) {
	l, claims := logged(t, 21)
	nobodys, _ := logged(t, 21)
	nobodys = nobodys.Fork(1)
	nobodys.Grow(20)
	server, history := serve(t, l), seeded(l, 16)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/log/proof" {
			return false
		}
		first, _ := strconv.Atoi(r.FormValue("firstSize"))
		last, _ := strconv.Atoi(r.FormValue("lastSize"))
		var hashes []string
		for _, hash := range nobodys.Consistency(first, last) {
			hashes = append(hashes, hex.EncodeToString(hash))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"hashes": hashes})
		return true
	})
	_, err := online(t, l, server, history).Prove(t.Context(), claims[20], l.Entry(20, 21))
	wantErr(t, err, tlog.ErrInconsistent)
	if evidence := accused(history); evidence != nil {
		t.Errorf("wrong proofs accuse the log: %v", evidence)
	}
}

// TestALogThatShowsNothingWhileOneIsSilent is no rollback, and the silent one is named.
func TestALogThatShowsNothingWhileOneIsSilent(t *testing.T) {
	t.Parallel() // it waits more than it works
	r := newReplicated(t, 100, 2)
	r.show(100, 0)
	r.servers[0].Show(r.Fork(0), 0)
	_, err := r.prover.Poll(t.Context())
	if !errors.Is(err, tlog.ErrUnavailable) || errors.Is(err, tlog.ErrInconsistent) || !strings.Contains(err.Error(), "a replica that may have it did not answer: ") {
		t.Errorf("got %v", err)
	}
}
