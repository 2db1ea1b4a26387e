// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestWhatWasGivenUpAccusesNobody: a log lost its last entries to a restoration, and an
// operator accepted that. Old signatures that carry checkpoints of the lost end are refused,
// and cannot undo the reset; what goes beyond it is evidence as before.
func TestWhatWasGivenUpAccusesNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		size    int    // of the lost tree, as the signature's checkpoint has it
		stored  int    // of the restored tree
		givenUp uint64 // what the reset says
		accused bool
	}{
		"the lost end, while the restored log is smaller":                {size: 12, stored: 10, givenUp: 12},
		"the lost end, when the restored log is larger":                  {size: 12, stored: 18, givenUp: 12},
		"the lost end, when the restored log is as large":                {size: 12, stored: 12, givenUp: 12},
		"a part of the lost end":                                         {size: 10, stored: 18, givenUp: 12},
		"more than was given up":                                         {size: 13, stored: 18, givenUp: 12, accused: true},
		"more than was given up, and as much as the restored log is now": {size: 13, stored: 13, givenUp: 12, accused: true},
		"nothing was given up":                                           {size: 12, stored: 18, accused: true},
	} {
		t.Run(name, func(t *testing.T) {
			lost, _ := logged(t, 8)
			restored := lost.Fork(8)
			claims, wanted := extend(t, lost, 6, "lost "), extend(t, restored, 12, "restored ")
			server := serve(t, restored)
			server.Show(restored, tc.stored)
			config := configOf(lost)
			config.PutAway = []tlog.PutAway{{Origin: lost.Origin(), Size: tc.givenUp}}
			prover := tlog.NewProver(newLog(t, config), dial(t, server.URL), tlog.NewMemoryHistory())
			if _, err := prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored)); err != nil {
				t.Fatal(err)
			}
			server.Show(restored, 20)
			_, err := prover.Prove(t.Context(), claims[1], lost.Entry(9, tc.size))
			wantErr(t, err, tlog.ErrInconsistent)
			_, err = prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored))
			if accused := errors.Is(err, tlog.ErrInconsistent); accused != tc.accused || !accused && err != nil {
				t.Errorf("the log is accused: %t; want %t (%v)", accused, tc.accused, err)
			}
			if tc.accused || tc.size < tc.stored { // a smaller tree, which lags or was rolled back, proves nothing
				return
			}
			// What the log itself shows is another matter.
			server.Show(lost, tc.size)
			_, err = prover.Poll(t.Context())
			wantErr(t, err, tlog.ErrInconsistent)
			server.Show(restored, 20)
			_, err = prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored))
			wantErr(t, err, tlog.ErrInconsistent)
		})
	}
}

// evidenceOf is what a reset puts away when one of two checkpoints was a fork's.
func evidenceOf(t *testing.T, notes ...string) []tlog.PutAway {
	t.Helper()
	var put []tlog.PutAway
	for _, note := range notes {
		p, err := tlog.PutAwayNote(note)
		if err != nil {
			t.Fatal(err)
		}
		put = append(put, p)
	}
	return put
}

// TestEvidenceThatWasPutAwayAccusesNobody: somebody had the log's key, and a signature with
// a checkpoint of his fork had the log accused. An operator has looked at the two notes,
// and kept the history. The fork's checkpoint stays refused and does not accuse the log
// again; every other checkpoint of a fork does, and so does this one when the log shows it.
func TestEvidenceThatWasPutAwayAccusesNobody(t *testing.T) {
	const stored, forked = 10, 12
	good, wanted := logged(t, 20)
	fork := good.Fork(8)
	claims := extend(t, fork, 10, "forked ")
	other := good.Fork(9)
	others := extend(t, other, 10, "other ")
	config := configOf(good)
	config.PutAway = evidenceOf(t, good.Checkpoint(stored), fork.Checkpoint(forked))
	for name, tc := range map[string]struct {
		claim   tlog.Claim
		entry   *tlog.Entry
		stored  int
		accused bool
	}{
		"the same note, and nothing new in the log":               {claim: claims[0], entry: fork.Entry(8, forked), stored: stored},
		"the same note, when the log is as large":                 {claim: claims[0], entry: fork.Entry(8, forked), stored: forked},
		"the same note, when the log is larger":                   {claim: claims[0], entry: fork.Entry(8, forked), stored: 20},
		"the same note, for an entry from before the fork":        {claim: wanted[3], entry: fork.Entry(3, forked), stored: 20},
		"the note that was not the fork's":                        {stored: 20},
		"another fork of that size":                               {claim: others[0], entry: other.Entry(9, forked), stored: 20, accused: true},
		"one entry more of the same fork":                         {claim: claims[0], entry: fork.Entry(8, forked+1), stored: 20, accused: true},
		"one entry less of the same fork":                         {claim: claims[0], entry: fork.Entry(8, forked-1), stored: 20, accused: true},
		"the same fork, of the size of the note that was not its": {claim: claims[0], entry: fork.Entry(8, stored), stored: 20, accused: true},
		"the same fork, of the size that is stored":               {claim: claims[0], entry: fork.Entry(8, 16), stored: 16, accused: true},
	} {
		t.Run(name, func(t *testing.T) {
			server, history := serve(t, good), seeded(good, tc.stored)
			server.Show(good, 20)
			prover := tlog.NewProver(newLog(t, config), dialThrough(t, &inMemory{server: server}), history)
			for range 2 { // that it was refused once lets it in no more than before
				if tc.entry == nil {
					break
				}
				proof, err := prover.Prove(t.Context(), tc.claim, tc.entry)
				wantErr(t, err, tlog.ErrInconsistent)
				if !tc.accused && tc.stored >= forked && !strings.Contains(err.Error(), "an operator's reset put one away") {
					t.Errorf("it is not said why the log is not accused: %v", err)
				}
				if proof != (tlog.Proof{}) {
					t.Errorf("an entry of the fork is proven: %v", proof)
				}
			}
			if evidence := accused(history); (evidence != nil) != tc.accused {
				t.Fatalf("the log is accused: %v; want %t", evidence, tc.accused)
			}
			if tc.accused {
				return
			}
			for _, size := range []int{stored, forked, 20} {
				if _, err := prover.Prove(t.Context(), wanted[3], good.Entry(3, size)); err != nil {
					t.Errorf("the log's own entry under its checkpoint of size %d: %v", size, err)
				}
			}
		})
	}
}

// TestAForkThatWasPutAwayIsNotForTheLogToShow: what an operator has put away is no licence
// for the log to show it.
func TestAForkThatWasPutAwayIsNotForTheLogToShow(t *testing.T) {
	for name, stored := range map[string]int{"of more entries": 10, "of as many": 12, "of less": 20} {
		t.Run(name, func(t *testing.T) {
			good, _ := logged(t, 20)
			fork := good.Fork(8)
			fork.Grow(4)
			config := configOf(good)
			config.PutAway = evidenceOf(t, good.Checkpoint(10), fork.Checkpoint(12))
			server, history := serve(t, good), seeded(good, stored)
			if stored < 12 {
				server.Show(fork, 0)
			}
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/api/v1/log" {
					return false
				}
				_ = json.NewEncoder(w).Encode(map[string]any{"signedTreeHead": fork.Checkpoint(12), "treeID": strconv.FormatInt(fork.TreeID, 10)})
				return true
			})
			_, err := tlog.NewProver(newLog(t, config), dialThrough(t, &inMemory{server: server}), history).Poll(t.Context())
			wantErr(t, err, tlog.ErrInconsistent)
			if accused(history) == nil {
				t.Errorf("the log shows what was put away, and is not accused: %v", err)
			}
		})
	}
}

// TestNothingThatWasPutAwayIsTakenOnCredit: while the log is away, nobody can say of what
// was put away whether it is of the history that counts.
func TestNothingThatWasPutAwayIsTakenOnCredit(t *testing.T) {
	good, wanted := logged(t, 20)
	fork := good.Fork(8)
	claims := extend(t, fork, 10, "forked ")
	for name, tc := range map[string]struct {
		claim  tlog.Claim
		entry  *tlog.Entry
		credit bool
	}{
		"the fork's note":                 {claims[0], fork.Entry(8, 12), false},
		"the end that was given up":       {claims[0], fork.Entry(8, 9), false},
		"what may be of it":               {wanted[3], good.Entry(3, 7), false},
		"what was never put away":         {wanted[3], good.Entry(3, 15), true},
		"what nobody can tell from that":  {claims[0], fork.Entry(8, 15), true},
		"the history's own, of that size": {wanted[3], good.Entry(3, 12), true},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(good)
			config.PutAway = append(evidenceOf(t, fork.Checkpoint(12)), tlog.PutAway{Origin: good.Origin(), Size: 9})
			server := serve(t, good)
			synctest.Test(t, func(t *testing.T) {
				prover := tlog.NewProver(newLog(t, config), dialThrough(t, &inMemory{server: server, down: true}), aging(good, 10))
				proof, err := prover.Prove(t.Context(), tc.claim, tc.entry)
				wantErr(t, err, tlog.ErrUnavailable)
				if got := unasked(t, proof, err) != nil; got != tc.credit {
					t.Errorf("taken on credit: %t; want %t (%v)", got, tc.credit, err)
				}
			})
		})
	}
}

// TestWhatWasPutAwayAndIsOfTheHistoryCounts: an operator put evidence away, and the log has
// shown since that one of the notes is of its history.
func TestWhatWasPutAwayAndIsOfTheHistoryCounts(t *testing.T) {
	good, wanted := logged(t, 20)
	fork := good.Fork(8)
	claims := extend(t, fork, 10, "forked ")
	config := configOf(good)
	config.PutAway = evidenceOf(t, good.Checkpoint(12), fork.Checkpoint(12))
	server, history := serve(t, good), seeded(good, 10)
	server.Show(good, 12)
	prover := tlog.NewProver(newLog(t, config), dialThrough(t, &inMemory{server: server}), history)
	if _, err := prover.Prove(t.Context(), wanted[11], good.Entry(11, 12)); err != nil {
		t.Fatal(err)
	}
	// What contradicts it is evidence, although the other note was put away, and also if
	// the log has grown by the time that it is found.
	var grown atomic.Bool
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v1/log/proof" && grown.CompareAndSwap(false, true) {
			server.Show(good, 20)
			for range 2 { // it is stored, and then seen
				if _, err := prover.Poll(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		return false
	})
	_, err := prover.Prove(t.Context(), claims[0], fork.Entry(8, 11))
	wantErr(t, err, tlog.ErrInconsistent)
	if accused(history) == nil || !grown.Load() {
		t.Error("a new fork of a history that was put away once is not evidence")
	}
}

func TestPutAwayNoteRefuses(t *testing.T) {
	l := tlogtest.New(hostname)
	l.Grow(3)
	for name, note := range map[string]string{
		"nothing":                     "",
		"a root that is too short":    l.Origin() + "\n3\nYWJj\n\n",
		"a size that is not a number": l.Origin() + "\nx\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
	} {
		if p, err := tlog.PutAwayNote(note); err == nil {
			t.Errorf("%s is taken for %v", name, p)
		}
	}
}
