// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestConsistencyOfEveryPairOfSizes(t *testing.T) {
	const largest = 33
	l, _ := logged(t, largest)
	checkpoints := make([]tlog.Checkpoint, largest+1)
	for size := 1; size <= largest; size++ {
		checkpoints[size] = checkpointOf(t, l, size)
	}
	for last := 2; last <= largest; last++ {
		for first := 1; first < last; first++ {
			hashes := l.Consistency(first, last)
			wantErr(t, tlog.CheckConsistency(checkpoints[first], checkpoints[last], hashes), nil)
			if first > 1 && tlog.CheckConsistency(checkpoints[first-1], checkpoints[last], hashes) == nil {
				t.Fatalf("the proof from %d to %d is accepted from %d", first, last, first-1)
			}
			if last < largest && tlog.CheckConsistency(checkpoints[first], checkpoints[last+1], hashes) == nil {
				t.Fatalf("the proof from %d to %d is accepted to %d", first, last, last+1)
			}
		}
	}
}

func TestConsistencyRefuses(t *testing.T) {
	l, _ := logged(t, 21)
	older, newer := checkpointOf(t, l, 13), checkpointOf(t, l, 21)
	good := l.Consistency(13, 21)
	changed := func(change func([][]byte) [][]byte) [][]byte {
		hashes := make([][]byte, len(good))
		for i, h := range good {
			hashes[i] = bytes.Clone(h)
		}
		return change(hashes)
	}
	for name, test := range map[string]struct {
		older, newer tlog.Checkpoint
		hashes       [][]byte
	}{
		"no hashes":                              {older: older, newer: newer},
		"no hashes, from a checkpoint of size 0": {newer: newer},
		"no hashes, between equal sizes":         {older: newer, newer: newer},
		"no hashes, from larger to smaller":      {older: newer, newer: older},
		"the proof from larger to smaller":       {older: newer, newer: older, hashes: good},
		"one hash less":                          {older: older, newer: newer, hashes: good[:len(good)-1]},
		"one hash more":                          {older: older, newer: newer, hashes: append(slices.Clone(good), good[0])},
		"10,000 hashes":                          {older: older, newer: newer, hashes: make([][]byte, 10_000)},
		"a hash of 31 bytes":                     {older: older, newer: newer, hashes: changed(func(h [][]byte) [][]byte { h[1] = h[1][:31]; return h })},
		"a hash of 33 bytes":                     {older: older, newer: newer, hashes: changed(func(h [][]byte) [][]byte { h[1] = append(h[1], 0); return h })},
		"hashes in another order":                {older: older, newer: newer, hashes: changed(func(h [][]byte) [][]byte { h[0], h[1] = h[1], h[0]; return h })},
		"the inclusion proof of the same entry":  {older: older, newer: newer, hashes: l.Inclusion(12, 21)},
	} {
		t.Run(name, func(t *testing.T) {
			err := tlog.CheckConsistency(test.older, test.newer, test.hashes)
			if err == nil {
				t.Fatal("accepted")
			}
			if errors.As(err, new(*tlog.InconsistencyError)) {
				t.Errorf("a bad proof accuses the log: %v", err)
			}
		})
	}
	t.Run("any bit of any hash changed, and the log is not accused", func(t *testing.T) {
		for i := range good {
			for bit := range 256 {
				hashes := changed(func(h [][]byte) [][]byte { h[i][bit/8] ^= 1 << (bit % 8); return h })
				err := tlog.CheckConsistency(older, newer, hashes)
				if err == nil || errors.As(err, new(*tlog.InconsistencyError)) {
					t.Fatalf("bit %d of hash %d: got error %v", bit, i, err)
				}
			}
		}
	})
}

// TestForkAtEveryDepth shows a cluster that knows one tree of 1,000 entries every
// other tree that begins like it, larger and smaller ones.
func TestForkAtEveryDepth(t *testing.T) {
	const size = 1000
	l, _ := logged(t, size)
	server := serve(t, l)
	log, client := configured(t, l), dialThrough(t, &inMemory{server: server})
	for depth := range size {
		fork := l.Fork(depth)
		body := []byte("a different entry")
		for fork.Size() <= size {
			fork.Append(body)
		}

		// A larger fork: the server is the fork's, the history is not. Its proof
		// shows its own root at size 1000.
		server.Show(fork, 0)
		history := seeded(l, size)
		_, err := tlog.NewProver(log, client, history).Poll(t.Context())
		checkFork(t, "larger", depth, err, history, true)

		// A smaller one: of the first entry that differs. Only of one or two entries
		// does no proof lead to a root at that size.
		server.Show(l, 0)
		history = seeded(l, size)
		_, err = proveBody(t, tlog.NewProver(log, client, history), fork, depth, depth+1)
		checkFork(t, "smaller", depth, err, history, depth+1 > 2)
	}
}

// proveBody proves an entry of l that is a fork's, by a claim of just that body.
func proveBody(t *testing.T, p *tlog.Prover, l *tlogtest.Log, index, size int) (tlog.Proof, error) {
	t.Helper()
	entry := l.Entry(index, size)
	return p.Prove(t.Context(), tlog.ExactBody(entry.Body), entry)
}

func checkFork(t *testing.T, which string, depth int, err error, history tlog.History, provable bool) {
	t.Helper()
	if !errors.Is(err, tlog.ErrInconsistent) || errors.Is(err, tlog.ErrUnavailable) {
		t.Fatalf("%s fork at %d: got error %v, want ErrInconsistent", which, depth, err)
	}
	evidence := accused(history)
	if (evidence != nil) != provable {
		t.Fatalf("%s fork at %d: got evidence %v, provable %v", which, depth, evidence, provable)
	}
	if evidence == nil {
		return
	}
	if evidence.A.Note() == evidence.B.Note() || evidence.A.Note() == "" || evidence.B.Note() == "" {
		t.Fatalf("%s fork at %d: the evidence is not two notes", which, depth)
	}
	if !errors.As(err, new(*tlog.InconsistencyError)) {
		t.Fatalf("%s fork at %d: the error %v does not hold the evidence", which, depth, err)
	}
}

// TestForkFromAPowerOfTwo: the proof between the two checkpoints takes the older root
// for granted, so it is another proof that is the evidence.
func TestForkFromAPowerOfTwo(t *testing.T) {
	for power := 4; power <= 512; power *= 2 {
		l, _ := logged(t, power)
		for _, depth := range []int{0, 1, power / 2, power/2 + 1, power - 1} {
			for _, size := range []int{power + 1, power + 2, 2*power - 1, 2 * power, 2*power + 1, 1000} {
				if size <= power {
					continue
				}
				fork := l.Fork(depth)
				fork.Grow(size - depth)
				history := seeded(l, power)
				_, err := online(t, l, serve(t, fork), history).Poll(t.Context())
				checkFork(t, fmt.Sprintf("%d to %d", power, size), depth, err, history, true)
			}
		}
	}
}

// TestForkFromAPowerOfTwoIsNotGuessed: whatever the log answers to the question for the
// evidence, it is the evidence or nothing.
func TestForkFromAPowerOfTwoIsNotGuessed(t *testing.T) {
	l, _ := logged(t, 21)
	fork := l.Fork(15)
	fork.Grow(6)
	older, newer := checkpointOf(t, l, 16), checkpointOf(t, fork, 21)
	proof := fork.Consistency(15, 21)
	if !tlog.ProvesOtherPowerOfTwo(older, newer, proof) {
		t.Fatal("the proof that proves it does not")
	}
	for name, test := range map[string]struct {
		older, newer tlog.Checkpoint
		hashes       [][]byte
	}{
		"no hashes":                           {older, newer, nil},
		"the proof of the tree that is right": {checkpointOf(t, l, 16), checkpointOf(t, l, 21), l.Consistency(15, 21)},
		"a proof that leads to another root":  {older, newer, l.Consistency(15, 21)},
		"a proof from the size itself":        {older, newer, fork.Consistency(16, 21)},
		"a proof to the size itself":          {older, newer, fork.Consistency(15, 16)},
		"a proof from two entries less":       {older, newer, fork.Consistency(14, 21)},
		"one hash less":                       {older, newer, proof[:len(proof)-1]},
		"one hash more":                       {older, newer, append(slices.Clone(proof), proof[0])},
		"a hash of 31 bytes":                  {older, newer, append([][]byte{proof[0][:31]}, proof[1:]...)},
		"10,000 hashes":                       {older, newer, make([][]byte, 10_000)},
	} {
		t.Run(name, func(t *testing.T) {
			if tlog.ProvesOtherPowerOfTwo(test.older, test.newer, test.hashes) {
				t.Error("it accuses the log")
			}
		})
	}
	t.Run("any bit of any hash changed", func(t *testing.T) {
		for i := range proof {
			for bit := range 256 {
				hashes := slices.Clone(proof)
				hashes[i] = bytes.Clone(proof[i])
				hashes[i][bit/8] ^= 1 << (bit % 8)
				if tlog.ProvesOtherPowerOfTwo(older, newer, hashes) {
					t.Fatalf("bit %d of hash %d: it accuses the log", bit, i)
				}
			}
		}
	})
}

// TestForkFromOneOrTwoEntries: there is no size below from which a proof would show it,
// so such a fork is refused and leaves no evidence.
func TestForkFromOneOrTwoEntries(t *testing.T) {
	for _, size := range []int{1, 2} {
		l, _ := logged(t, size)
		fork := l.Fork(size - 1)
		fork.Grow(10)
		history := seeded(l, size)
		_, err := online(t, l, serve(t, fork), history).Poll(t.Context())
		checkFork(t, "larger", size, err, history, false)
		if got := storedSize(t, l, history); got != uint64(size) {
			t.Errorf("stored size is %d, want %d", got, size)
		}
	}
}

func TestProofIsFetchedAgainBeforeTheLogIsDoubted(t *testing.T) {
	t.Parallel() // it waits more than it works
	garbled := `{"hashes":["` + hexOf(nil) + `"],"rootHash":""}`
	for name, test := range map[string]struct {
		bad      int // how many answers are wrong
		answer   func(http.ResponseWriter)
		err      error
		requests int64
	}{
		"right at once":                    {requests: 1},
		"wrong once, right then":           {bad: 1, requests: 2, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(garbled)) }},
		"wrong twice":                      {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(garbled)) }},
		"refused once, right then":         {bad: 1, requests: 2, answer: refuses(http.StatusBadRequest)},
		"refused twice":                    {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: refuses(http.StatusBadRequest)},
		"not found twice":                  {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: refuses(http.StatusNotFound)},
		"a web server does not find it":    {bad: 9, requests: 1, err: tlog.ErrUnavailable, answer: func(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) }},
		"a web server does not understand": {bad: 9, requests: 1, err: tlog.ErrUnavailable, answer: func(w http.ResponseWriter) { http.Error(w, "Bad Request", http.StatusBadRequest) }},
		"hashes are not hexadecimal twice": {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"hashes":["zz"]}`)) }},
		"no hashes twice":                  {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{}`)) }},
		"null twice":                       {bad: 9, requests: 2, err: tlog.ErrInconsistent, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(`null`)) }},
		"too many hashes":                  {bad: 9, requests: 1, err: tlog.ErrLimit, answer: func(w http.ResponseWriter) { _, _ = w.Write(manyHashes(tlog.MaxConsistencyHashes + 1)) }},
		"the server fails":                 {bad: 9, requests: tlog.MaxRounds, err: tlog.ErrUnavailable, answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
		"the answer is not JSON":           {bad: 9, requests: 1, err: tlog.ErrUnavailable, answer: func(w http.ResponseWriter) { _, _ = w.Write([]byte(`<html>`)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, claims := logged(t, 21)
			server, history := serve(t, l), seeded(l, 13)
			var asked atomic.Int64
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				if asked.Add(1) > int64(test.bad) {
					return false
				}
				test.answer(w)
				return true
			})
			_, err := online(t, l, server, history).Prove(t.Context(), claims[20], l.Entry(20, 21))
			wantErr(t, err, test.err)
			if got := asked.Load(); got != test.requests {
				t.Errorf("got %d requests, want %d", got, test.requests)
			}
			if evidence := accused(history); evidence != nil {
				t.Errorf("a wrong proof accuses the log: %v", evidence)
			}
			want := uint64(13)
			if test.err == nil {
				want = 21
			}
			if got := storedSize(t, l, history); got != want {
				t.Errorf("stored size is %d, want %d", got, want)
			}
		})
	}
}

func manyHashes(n int) []byte {
	answer := []byte(`{"hashes":["` + hexOf(nil) + `"`)
	for range n - 1 {
		answer = append(answer, `,"`+hexOf(nil)+`"`...)
	}
	return append(answer, `]}`...)
}
