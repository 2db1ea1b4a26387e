// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// brokenHistory is a history whose store can fail in each of its three ways.
type brokenHistory struct {
	*tlog.MemoryHistory
	latest, advance, accuse error
	// before runs before each Advance.
	before func(next tlog.Checkpoint)
}

func (h *brokenHistory) Latest(ctx context.Context, origin string) ([]byte, string, error) {
	if h.latest != nil {
		return nil, "", h.latest
	}
	return h.MemoryHistory.Latest(ctx, origin)
}

func (h *brokenHistory) Advance(ctx context.Context, next tlog.Checkpoint, version string) error {
	if h.before != nil {
		h.before(next)
	}
	if h.advance != nil {
		return h.advance
	}
	return h.MemoryHistory.Advance(ctx, next, version)
}

func (h *brokenHistory) Accuse(ctx context.Context, a, b tlog.Checkpoint) error {
	if h.accuse != nil {
		return h.accuse
	}
	return h.MemoryHistory.Accuse(ctx, a, b)
}

func TestFirstContactIsWithTheLogItself(t *testing.T) {
	l, claims := logged(t, 5)
	server, history := serve(t, l), tlog.NewMemoryHistory()
	prover := online(t, l, server, history)
	if _, err := prover.Prove(t.Context(), claims[0], l.Entry(0, 3)); err != nil {
		t.Fatal(err)
	}
	if got := storedSize(t, l, history); got != 5 {
		t.Errorf("stored size is %d, want the log's own, 5", got)
	}
	note, _, _ := history.Latest(t.Context(), l.Origin())
	if _, err := configured(t, l).VerifyCheckpoint(note); err != nil {
		t.Errorf("the stored note does not verify: %v", err)
	}
}

func TestFirstContactWithoutALogIsWithWhatCameAlong(t *testing.T) {
	l, claims := logged(t, 5)
	history := tlog.NewMemoryHistory()
	if _, err := tlog.NewProver(configured(t, l), nil, history).Prove(t.Context(), claims[0], l.Entry(0, 3)); err != nil {
		t.Fatal(err)
	}
	if got := storedSize(t, l, history); got != 3 {
		t.Errorf("stored size is %d, want 3", got)
	}
}

// TestInventedTrees: whoever has the log's key can sign a tree that the log has never
// heard of. It is no first contact.
func TestInventedTrees(t *testing.T) {
	for name, history := range map[string]func(*tlogtest.Log) tlog.History{
		"beside the log's history":  func(l *tlogtest.Log) tlog.History { return seeded(l, 40) },
		"before anything is stored": func(*tlogtest.Log) tlog.History { return tlog.NewMemoryHistory() },
	} {
		t.Run(name, func(t *testing.T) {
			l, claims := logged(t, 40)
			invented := l.Fork(0)
			invented.TreeID = 1
			invented.Append(bodyOf(t, claims[3]))
			stored := history(l)
			_, err := online(t, l, serve(t, l), stored).Prove(t.Context(), claims[3], invented.Entry(0, 1))
			wantErr(t, err, tlog.ErrInconsistent)
			if note, _, err := stored.Latest(t.Context(), invented.Origin()); note != nil || err != nil {
				t.Errorf("the invented tree was stored: %s %v", note, err)
			}
		})
	}
}

func TestInactiveTreesThatTheLogListsAreKnown(t *testing.T) {
	old, claims := logged(t, 7)
	active := old.Fork(0)
	active.TreeID++
	active.Grow(3)
	server, history := serve(t, active), tlog.NewMemoryHistory()
	server.Retire(old)
	if _, err := online(t, active, server, history).Prove(t.Context(), claims[2], old.Entry(2, 7)); err != nil {
		t.Fatal(err)
	}
	if got := storedSize(t, old, history); got != 7 {
		t.Errorf("stored size of the inactive tree is %d, want 7", got)
	}
}

// TestResetForgets: what a log showed before it was caught does not outlive the
// operator's reset.
func TestResetForgets(t *testing.T) {
	honest, _ := logged(t, 10)
	fork := honest.Fork(5)
	forked := extend(t, fork, 5, "forked")
	server := serve(t, fork)
	history := &resettable{MemoryHistory: tlog.NewMemoryHistory()}
	prover := online(t, honest, server, history)
	if _, err := prover.Prove(t.Context(), forked[0], fork.Promise(5)); err != nil {
		t.Fatal(err)
	}
	server.Show(honest, 0)
	if _, err := prover.Poll(t.Context()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Fatalf("two trees of one size: got %v, want ErrInconsistent", err)
	}
	history.MemoryHistory = seeded(honest, 10)
	for name, entry := range map[string]*tlog.Entry{
		"an entry that was proven": fork.Promise(5), "one that was not": fork.Promise(7), "a proof": fork.Entry(5, 10),
	} {
		claim := forked[0]
		if name == "one that was not" {
			claim = forked[2]
		}
		if proof, err := prover.Prove(t.Context(), claim, entry); err == nil {
			t.Errorf("%s of the fork counts after the reset: %v", name, proof)
		}
	}
}

// TestStoreThatGoesBackForgets: a reset that this replica did not see happen.
func TestStoreThatGoesBackForgets(t *testing.T) {
	honest, _ := logged(t, 9)
	fork := honest.Fork(5)
	forked := extend(t, fork, 5, "forked")
	server := serve(t, fork)
	history := &resettable{MemoryHistory: tlog.NewMemoryHistory()}
	prover := online(t, honest, server, history)
	if _, err := prover.Prove(t.Context(), forked[0], fork.Promise(5)); err != nil {
		t.Fatal(err)
	}
	server.Show(honest, 0)
	history.MemoryHistory = seeded(honest, 9)
	if proof, err := prover.Prove(t.Context(), forked[0], fork.Promise(5)); err == nil {
		t.Errorf("an entry of the fork counts after the reset: %v", proof)
	}
}

// TestAReadThatComesLateIsNoReset: another request has seen a larger tree meanwhile. What
// was proven stays proven.
func TestAReadThatComesLateIsNoReset(t *testing.T) {
	l, claims := logged(t, 20)
	server := serve(t, l)
	history := &lateHistory{MemoryHistory: seeded(l, 5)}
	early, version, err := history.MemoryHistory.Latest(t.Context(), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	prover := online(t, l, server, history)
	prove := func(size int) {
		t.Helper()
		if _, err := prover.Prove(t.Context(), claims[0], l.Entry(0, size)); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
	prove(20)
	prove(10)
	before := server.Requests.Load()
	history.late = func() ([]byte, string, error) { return early, version, nil }
	prove(10)
	prove(20)
	if asked := server.Requests.Load() - before; asked != 0 {
		t.Errorf("%d requests for what was proven before", asked)
	}
}

// lateHistory answers once what it was told, as to a reader who was overtaken.
type lateHistory struct {
	*tlog.MemoryHistory
	late func() ([]byte, string, error)
}

func (h *lateHistory) Latest(ctx context.Context, origin string) ([]byte, string, error) {
	if late := h.late; late != nil {
		h.late = nil
		return late()
	}
	return h.MemoryHistory.Latest(ctx, origin)
}

// resettable is a history that an operator can replace.
type resettable struct{ *tlog.MemoryHistory }

func TestHistoryMovesForwardOnly(t *testing.T) {
	l, claims := logged(t, 30)
	server, history := serve(t, l), tlog.NewMemoryHistory()
	prover := online(t, l, server, history)
	server.Show(l, 10)
	if _, err := prover.Poll(t.Context()); err != nil { // first contact
		t.Fatal(err)
	}
	server.Show(l, 0)
	var proofs proofRequests
	proofs.watch(server)
	for _, step := range []struct {
		size   int
		stored uint64
		proofs []string
	}{
		{size: 10, stored: 10},
		{size: 10, stored: 10},
		{size: 20, stored: 20, proofs: []string{"10-20"}},
		{size: 10, stored: 20}, // it was stored once: nothing new to show
		{size: 7, stored: 20, proofs: []string{"7-20"}},
		{size: 7, stored: 20},
		{size: 30, stored: 30, proofs: []string{"20-30"}},
		{size: 7, stored: 30},
		{size: 20, stored: 30},
		{size: 19, stored: 30, proofs: []string{"19-30"}},
		{size: 30, stored: 30},
	} {
		if _, err := prover.Prove(t.Context(), claims[2], l.Entry(2, step.size)); err != nil {
			t.Fatalf("size %d: %v", step.size, err)
		}
		if got := storedSize(t, l, history); got != step.stored {
			t.Errorf("after size %d: stored size is %d, want %d", step.size, got, step.stored)
		}
		if diff := cmp.Diff(step.proofs, proofs.take()); diff != "" {
			t.Errorf("size %d: consistency proofs (-want +got):\n%s", step.size, diff)
		}
	}
}

func TestRollback(t *testing.T) {
	for name, back := range map[string]int{"by 1 entry": 1, "by 1,000 entries": 1000} {
		t.Run(name, func(t *testing.T) {
			const size = 1200
			l, _ := logged(t, size)
			history := seeded(l, size)
			server := serve(t, l)
			synctest.Test(t, func(t *testing.T) {
				prover := timeless(t, l, server, history)

				// The log is restored from a backup. It still has what was there,
				// and cannot show that this is the beginning of what was seen.
				restored := l.Fork(size - back)
				server.Show(restored, 0)
				_, err := prover.Poll(t.Context())
				wantErr(t, err, tlog.ErrInconsistent)
				if errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("a rollback is told as an outage: %v", err)
				}

				// Then it grows in another way to just the same size ...
				for restored.Size() < size {
					restored.Append([]byte("after the restore"))
				}
				_, err = prover.Poll(t.Context())
				wantErr(t, err, tlog.ErrInconsistent)
				evidence := accused(history)
				if evidence == nil {
					t.Fatal("two checkpoints of one size are no evidence")
				}
				if diff := cmp.Diff([]string{l.Checkpoint(size), restored.Checkpoint(size)}, []string{evidence.A.Note(), evidence.B.Note()},
					cmp.Transformer("text", func(note string) string { text, _, _ := strings.Cut(note, "\n\n"); return text })); diff != "" {
					t.Errorf("evidence (-want +got):\n%s", diff)
				}
				// ... and nothing counts any more, however the log behaves.
				server.Show(l, 0)
				_, err = prover.Poll(t.Context())
				wantErr(t, err, tlog.ErrInconsistent)
			})
		})
	}
}

func TestTwoViewsOfOneSize(t *testing.T) {
	l, claims := logged(t, 8)
	fork := l.Fork(5)
	forkClaims := extend(t, fork, 3, "fork ")
	history := tlog.NewMemoryHistory()
	prover := tlog.NewProver(configured(t, l), nil, history)
	if _, err := prover.Prove(t.Context(), claims[7], l.Entry(7, 8)); err != nil {
		t.Fatal(err)
	}
	_, err := prover.Prove(t.Context(), forkClaims[0], fork.Entry(5, 8))
	wantErr(t, err, tlog.ErrInconsistent)
	var evidence *tlog.InconsistencyError
	if !errors.As(err, &evidence) || evidence.A.Root() == evidence.B.Root() || evidence.A.Size() != evidence.B.Size() {
		t.Fatalf("got error %v, want two roots of one size", err)
	}
	if !strings.Contains(err.Error(), evidence.A.String()) || !strings.Contains(err.Error(), evidence.B.String()) {
		t.Errorf("the error does not say what was found: %v", err)
	}
	for _, note := range []string{evidence.A.Note(), evidence.B.Note()} {
		if _, err := configured(t, l).VerifyCheckpoint([]byte(note)); err != nil {
			t.Errorf("the evidence does not verify: %v", err)
		}
	}
}

func TestCachedProofsStopCountingWhenTheLogIsAccused(t *testing.T) {
	l, claims := logged(t, 8)
	server, history := serve(t, l), tlog.NewMemoryHistory()
	prover := online(t, l, server, history)
	for range 2 {
		if _, err := prover.Prove(t.Context(), claims[3], nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.Requests.Load(); got != 2 {
		t.Errorf("%d requests for first contact and one entry, want 2", got)
	}
	fork := l.Fork(4)
	fork.Grow(4)
	if err := history.Accuse(t.Context(), checkpointOf(t, l, 8), checkpointOf(t, fork, 8)); err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]*tlog.Entry{"nothing": nil, "a promise": l.Promise(3), "a proof": l.Entry(3, 8)} {
		if _, err := prover.Prove(t.Context(), claims[3], entry); !errors.Is(err, tlog.ErrInconsistent) {
			t.Errorf("with %s: got error %v, want ErrInconsistent", name, err)
		}
	}
}

// TestKnownEntryDoesNotExcuseWhatCameWithIt: what was proven before spares requests,
// and no check. The verdict on a signature's bytes is the same at every replica.
func TestKnownEntryDoesNotExcuseWhatCameWithIt(t *testing.T) {
	l, claims := logged(t, 8)
	fork := l.Fork(4)
	fork.Grow(4)
	for name, test := range map[string]struct {
		change func(*tlog.Entry)
		err    error
	}{
		"nothing changed":                {change: func(*tlog.Entry) {}},
		"proof hash changed":             {change: func(e *tlog.Entry) { e.Inclusion.Hashes[0][0] ^= 1 }, err: tlog.ErrInclusionProof},
		"index changed":                  {change: func(e *tlog.Entry) { e.Inclusion.Index++ }, err: tlog.ErrInclusionProof},
		"checkpoint changed":             {change: func(e *tlog.Entry) { e.Inclusion.Checkpoint += "x" }, err: tlog.ErrCheckpoint},
		"promise changed":                {change: func(e *tlog.Entry) { e.SignedEntryTimestamp[9] ^= 1 }, err: tlog.ErrSignedEntryTimestamp},
		"proof and checkpoint of a fork": {change: func(e *tlog.Entry) { e.Inclusion = fork.Entry(3, 8).Inclusion }, err: tlog.ErrInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
			if _, err := prover.Prove(t.Context(), claims[3], l.Entry(3, 8)); err != nil {
				t.Fatal(err)
			}
			entry := l.Entry(3, 8)
			test.change(entry)
			_, err := prover.Prove(t.Context(), claims[3], entry)
			wantErr(t, err, test.err)
		})
	}
}

func TestKnownEntryWithAnotherPromise(t *testing.T) {
	l, claims := logged(t, 4)
	prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
	if _, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 4)); err != nil {
		t.Fatal(err)
	}
	entry := l.Promise(1)
	entry.SignedEntryTimestamp[9] ^= 1
	_, err := prover.Prove(t.Context(), claims[1], entry)
	wantErr(t, err, tlog.ErrSignedEntryTimestamp)
	if _, err := prover.Prove(t.Context(), claims[1], l.Promise(1)); err != nil {
		t.Errorf("a known entry is asked for again: %v", err)
	}
}

func TestReplicaThatLagsIsNoRollback(t *testing.T) {
	l, _ := logged(t, 30)
	server, history := serve(t, l), seeded(l, 30)
	prover := online(t, l, server, history)
	// One replica answers for the latest checkpoint, an up-to-date one for proofs.
	behind := serve(t, l)
	behind.Show(l, 25)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v1/log" {
			behind.Config.Handler.ServeHTTP(w, r)
			return true
		}
		return false
	})
	got, err := prover.Poll(t.Context())
	if err != nil || got.Size() != 25 {
		t.Errorf("got %v, %v", got, err)
	}
	if got := storedSize(t, l, history); got != 30 {
		t.Errorf("stored size went down to %d", got)
	}
}

func TestStoredNoteThatIsNotThisLogs(t *testing.T) {
	l, claims := logged(t, 4)
	otherKey := sameTree(l)
	otherTree := l.Fork(4)
	otherTree.TreeID++
	for name, note := range map[string]string{
		"of another key":                      otherKey.Checkpoint(4),
		"of another tree, under this origin":  otherTree.Checkpoint(4),
		"of an empty log":                     l.Checkpoint(0),
		"that is not a note":                  "garbage",
		"that is empty, but there":            "",
		"whose signature was cut off by hand": strings.SplitAfter(l.Checkpoint(4), "\n\n")[0],
	} {
		t.Run(name, func(t *testing.T) {
			history := tlog.NewMemoryHistory()
			history.Seed(l.Origin(), note)
			prover := online(t, l, serve(t, l), history)
			_, err := prover.Prove(t.Context(), claims[0], l.Entry(0, 4))
			wantErr(t, err, tlog.ErrInconsistent)
			if evidence := accused(history); evidence != nil {
				t.Errorf("a broken store accuses the log: %v", evidence)
			}
		})
	}
}

func TestStoreThatFailsIsUnavailable(t *testing.T) {
	l, claims := logged(t, 4)
	fork := l.Fork(2)
	fork.Grow(2)
	down := errors.New("etcd is away")
	t.Run("while it is read", func(t *testing.T) {
		history := &brokenHistory{MemoryHistory: tlog.NewMemoryHistory(), latest: down}
		prover := online(t, l, serve(t, l), history)
		_, err := prover.Prove(t.Context(), claims[0], l.Entry(0, 4))
		wantErr(t, err, tlog.ErrUnavailable)
		wantErr(t, err, down)
		_, err = prover.Poll(t.Context())
		wantErr(t, err, tlog.ErrUnavailable)
	})
	t.Run("while it is read for what is known", func(t *testing.T) {
		history := &brokenHistory{MemoryHistory: tlog.NewMemoryHistory()}
		prover := online(t, l, serve(t, l), history)
		if _, err := prover.Prove(t.Context(), claims[0], nil); err != nil {
			t.Fatal(err)
		}
		history.latest = down
		_, err := prover.Prove(t.Context(), claims[0], nil)
		wantErr(t, err, tlog.ErrUnavailable)
	})
	t.Run("while it is written", func(t *testing.T) {
		history := &brokenHistory{MemoryHistory: tlog.NewMemoryHistory(), advance: down}
		_, err := online(t, l, serve(t, l), history).Prove(t.Context(), claims[0], l.Entry(0, 4))
		wantErr(t, err, tlog.ErrUnavailable)
	})
	t.Run("while an empty log is looked at", func(t *testing.T) {
		history := &brokenHistory{MemoryHistory: tlog.NewMemoryHistory(), latest: down}
		_, err := online(t, l, serve(t, l.Fork(0)), history).Poll(t.Context())
		wantErr(t, err, tlog.ErrUnavailable)
	})
	t.Run("while evidence is written, which stays a refusal", func(t *testing.T) {
		history := &brokenHistory{MemoryHistory: seeded(l, 4), accuse: down}
		_, err := online(t, l, serve(t, fork), history).Poll(t.Context())
		wantErr(t, err, tlog.ErrInconsistent)
		wantErr(t, err, down)
		if !errors.As(err, new(*tlog.InconsistencyError)) {
			t.Errorf("the evidence is lost: %v", err)
		}
	})
}

func TestOfflineNothingCanBeShown(t *testing.T) {
	l, claims := logged(t, 12)
	for name, size := range map[string]int{"a larger checkpoint": 12, "a smaller checkpoint": 7} {
		t.Run(name, func(t *testing.T) {
			prover := tlog.NewProver(configured(t, l), nil, seeded(l, 9))
			_, err := prover.Prove(t.Context(), claims[3], l.Entry(3, size))
			wantErr(t, err, tlog.ErrUnavailable)
			if prover.Log().Name() != "corp" {
				t.Errorf("the log is %q", prover.Log().Name())
			}
		})
	}
}

func TestEmptyLog(t *testing.T) {
	empty := tlogtest.New(hostname)
	t.Run("that never had entries is fine", func(t *testing.T) {
		history := tlog.NewMemoryHistory()
		got, err := online(t, empty, serve(t, empty), history).Poll(t.Context())
		if err != nil || got.Size() != 0 || got.Origin() != empty.Origin() {
			t.Errorf("got %v, %v", got, err)
		}
		if got := storedSize(t, empty, history); got != 0 {
			t.Errorf("stored size is %d", got)
		}
	})
	t.Run("that had entries before is refused", func(t *testing.T) {
		l, _ := logged(t, 3)
		server, history := serve(t, l.Fork(0)), seeded(l, 3)
		synctest.Test(t, func(t *testing.T) {
			_, err := timeless(t, l, server, history).Poll(t.Context())
			wantErr(t, err, tlog.ErrInconsistent)
		})
	})
}

func TestShardsHaveTheirOwnHistories(t *testing.T) {
	l, claims := logged(t, 9)
	next := l.Fork(0)
	next.TreeID, next.FirstIndex = l.TreeID+1, 9
	nextClaims := extend(t, next, 4, "next ")
	history := tlog.NewMemoryHistory()
	prover := tlog.NewProver(configured(t, l), nil, history)
	for _, err := range []error{
		second(prover.Prove(t.Context(), claims[0], l.Entry(0, 9))),
		second(prover.Prove(t.Context(), nextClaims[1], next.Entry(1, 4))),
		second(prover.Prove(t.Context(), claims[1], l.Entry(1, 9))),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if storedSize(t, l, history) != 9 || storedSize(t, next, history) != 4 {
		t.Errorf("stored sizes are %d and %d", storedSize(t, l, history), storedSize(t, next, history))
	}
}

func second(_ tlog.Proof, err error) error { return err }
