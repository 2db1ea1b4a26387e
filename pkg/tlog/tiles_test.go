// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestTilesShowEveryPrefix: from 70,000 entries on there are three levels of tiles.
func TestTilesShowEveryPrefix(t *testing.T) {
	l := tlogtest.NewTiled(hostname)
	l.Grow(70_000)
	other := l.Fork(100)
	other.Grow(69_900)
	server := serve(t, l)
	sizes := []int{1, 2, 3, 101, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 65_792, 69_999, 70_000}
	for i, last := range sizes {
		client := dialTiles(t, l, server.URL)
		for _, first := range sizes[:i] {
			wantErr(t, client.ShowPrefix(t.Context(), checkpointOf(t, l, first), checkpointOf(t, l, last)), nil)
			if first <= 100 {
				continue
			}
			err := client.ShowPrefix(t.Context(), checkpointOf(t, other, first), checkpointOf(t, l, last))
			if evidence, ok := err.(*tlog.InconsistencyError); !ok || evidence.A.Size() != uint64(first) || evidence.B.Size() != uint64(last) { //nolint:errorlint // the evidence itself
				t.Errorf("another tree of %d entries before %d: got error %v, want evidence", first, last, err)
			}
		}
	}
}

func TestTilesShowNoPrefixOf(t *testing.T) {
	l, _ := tiled(t, 300)
	for name, test := range map[string]struct {
		older, newer tlog.Checkpoint
	}{
		"a checkpoint of size 0":  {newer: checkpointOf(t, l, 300)},
		"a larger one":            {older: checkpointOf(t, l, 300), newer: checkpointOf(t, l, 299)},
		"one of the same size":    {older: checkpointOf(t, l, 300), newer: checkpointOf(t, l, 300)},
		"one and another of zero": {},
	} {
		t.Run(name, func(t *testing.T) {
			wantErr(t, dialTiles(t, l, serve(t, l).URL).ShowPrefix(t.Context(), test.older, test.newer), tlog.ErrInconsistent)
		})
	}
}

// TestTiledForkAtEveryDepth is TestForkAtEveryDepth for a Rekor v2 log, whose tiles prove
// every fork.
func TestTiledForkAtEveryDepth(t *testing.T) {
	const size = 1000
	l, _ := tiled(t, size)
	server := serve(t, l)
	log := configured(t, l)
	client := dialTilesThrough(t, log, &inMemory{server: server})
	for depth := range size {
		fork := l.Fork(depth)
		for fork.Size() <= size {
			fork.Append([]byte("a different entry"))
		}
		server.Show(fork, 0)
		history := seeded(l, size)
		_, err := tlog.NewProver(log, client, history).Poll(t.Context())
		checkFork(t, "larger", depth, err, history, true)

		server.Show(l, 0)
		history = seeded(l, size)
		_, err = proveBody(t, tlog.NewProver(log, client, history), fork, depth, depth+1)
		checkFork(t, "smaller", depth, err, history, true)
	}
}

// TestTiledHistory shows a cluster that knows 1,000 entries something else.
func TestTiledHistory(t *testing.T) {
	const size = 1000
	l, _ := tiled(t, size+24)
	other := l.Fork(size - 1)
	other.Grow(1)
	renamed := tlogtest.NewTiled("other.example.test")
	renamed.Grow(size)
	for name, test := range map[string]struct {
		shown    *tlogtest.Log
		size     int
		note     string // instead of a checkpoint of shown
		err      error
		provable bool
		stored   uint64
	}{
		"the same":                      {shown: l, size: size, stored: size},
		"one more":                      {shown: l, size: size + 1, stored: size + 1},
		"as many as make tiles full":    {shown: l, size: size + 24, stored: size + 24},
		"one less":                      {shown: l, size: size - 1, err: tlog.ErrInconsistent, stored: size},
		"999 less":                      {shown: l, size: 1, err: tlog.ErrInconsistent, stored: size},
		"nothing":                       {shown: l, note: l.Checkpoint(0), err: tlog.ErrInconsistent, stored: size},
		"as many, another root":         {shown: other, size: size, err: tlog.ErrInconsistent, provable: true},
		"another log of as many":        {shown: renamed, size: size, err: tlog.ErrCheckpoint, stored: size},
		"a Rekor v1 checkpoint of them": {shown: l, note: v1Checkpoint(t, l, size+1), err: tlog.ErrCheckpoint, stored: size},
	} {
		t.Run(name, func(t *testing.T) {
			server, history := serve(t, l), seeded(l, size)
			server.Show(test.shown, test.size)
			if test.note != "" {
				server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != "/checkpoint" {
						return false
					}
					_, _ = w.Write([]byte(test.note))
					return true
				})
			}
			var err error
			synctest.Test(t, func(t *testing.T) { _, err = timeless(t, l, server, history).Poll(t.Context()) })
			wantErr(t, err, test.err)
			if evidence := accused(history); (evidence != nil) != test.provable {
				t.Fatalf("got evidence %v, provable %v", evidence, test.provable)
			}
			if test.provable {
				return
			}
			if got := storedSize(t, l, history); got != test.stored {
				t.Errorf("stored size is %d, want %d", got, test.stored)
			}
		})
	}
}

// TestTiledRollbackToWhatWasSeen: that tiles are remembered does not hide that the log has
// them no more.
func TestTiledRollbackToWhatWasSeen(t *testing.T) {
	l, claims := tiled(t, 1000)
	server, history := serve(t, l), tlog.NewMemoryHistory()
	synctest.Test(t, func(t *testing.T) {
		prover := timeless(t, l, server, history)
		for _, size := range []int{700, 999, 1000} {
			server.Show(l, size)
			if _, err := prover.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := prover.Prove(t.Context(), claims[5], l.Entry(5, 999)); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{999, 700} {
			server.Show(l, size)
			_, err := prover.Poll(t.Context())
			checkFork(t, "rolled back", size, err, history, false)
		}
		// What it shows is behind, and it still has what is stored.
		server.Show(l, 1000)
		server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/checkpoint" {
				return false
			}
			_, _ = w.Write([]byte(l.Checkpoint(999)))
			return true
		})
		polled, err := prover.Poll(t.Context())
		if err != nil || polled.Size() != 999 || storedSize(t, l, history) != 1000 {
			t.Errorf("got %v, %v", polled, err)
		}
	})
}

// v1Checkpoint is a checkpoint of l with a tree ID in its origin, as Rekor v1 makes them,
// signed by l's key under l's name and key ID.
func v1Checkpoint(t *testing.T, l *tlogtest.Log, size int) string {
	t.Helper()
	text, _, _ := strings.Cut(l.Checkpoint(size), "\n\n")
	return l.SignNote(strings.Replace(text, l.Hostname, l.Hostname+" - 42", 1) + "\n")
}

// TestEmptyTiledLog: a log that has no entries yet is no rollback, and is not stored.
func TestEmptyTiledLog(t *testing.T) {
	l, _ := tiled(t, 0)
	history := tlog.NewMemoryHistory()
	prover := online(t, l, serve(t, l), history)
	for range 2 {
		checkpoint, err := prover.Poll(t.Context())
		if err != nil || checkpoint.Size() != 0 {
			t.Fatalf("got %v, %v", checkpoint, err)
		}
	}
	claims := extend(t, l, 3, "entry ")
	if _, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 3)); err != nil {
		t.Fatal(err)
	}
	if got := storedSize(t, l, history); got != 3 {
		t.Errorf("stored size is %d", got)
	}
}

// asked records the paths of requests.
type asked struct {
	mu    sync.Mutex
	paths []string
}

func (a *asked) watch(server *tlogtest.Server) {
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.paths = append(a.paths, strings.TrimPrefix(r.URL.Path, "/"))
		return false
	})
}

// take returns, sorted, what was asked since it was called last.
func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	paths := a.paths
	a.paths = nil
	slices.Sort(paths)
	return paths
}

// TestTilesAreAskedForOnce: authenticated tiles are kept, and a wider tile serves for each
// narrower one.
func TestTilesAreAskedForOnce(t *testing.T) {
	l, claims := tiled(t, 1000)
	server, history := serve(t, l), tlog.NewMemoryHistory()
	prover := online(t, l, server, history)
	var requests asked
	requests.watch(server)
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"first contact: the log's own checkpoint", func() error {
			_, err := prover.Prove(t.Context(), claims[998], l.Entry(998, 1000))
			return err
		}, []string{"checkpoint"}},
		{"an older checkpoint: the right edge of the stored tree, and of the older one", func() error {
			_, err := prover.Prove(t.Context(), claims[5], l.Entry(5, 700))
			return err
		}, []string{"tile/0/002", "tile/0/003.p/232", "tile/1/000.p/3"}},
		{"another one at the same tile", func() error {
			_, err := prover.Prove(t.Context(), claims[6], l.Entry(6, 701))
			return err
		}, nil},
		{"another tile", func() error {
			_, err := prover.Prove(t.Context(), claims[6], l.Entry(6, 7))
			return err
		}, []string{"tile/0/000"}},
		{"a larger checkpoint: its right edge alone", func() error {
			l.Grow(23)
			_, err := prover.Prove(t.Context(), claims[6], l.Entry(6, 1023))
			return err
		}, []string{"tile/0/003.p/255"}},
		{"the stored one was once the last: no request", func() error {
			_, err := prover.Prove(t.Context(), claims[7], l.Entry(7, 1001))
			return err
		}, nil},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := requests.take(); !slices.Equal(got, step.want) {
			t.Errorf("%s: asked for %v, want %v", step.name, got, step.want)
		}
	}
}

func TestTilePaths(t *testing.T) {
	for path, tile := range map[string]tlog.Tile{
		"tile/0/000":                {L: 0, N: 0, W: 256},
		"tile/0/000.p/1":            {L: 0, N: 0, W: 1},
		"tile/1/999":                {L: 1, N: 999, W: 256},
		"tile/1/x001/000.p/255":     {L: 1, N: 1000, W: 255},
		"tile/5/x001/x234/067":      {L: 5, N: 1_234_067, W: 256},
		"tile/0/x123/x456/789.p/17": {L: 0, N: 123_456_789, W: 17},
	} {
		if got := tlog.TilePath(tile); got != path {
			t.Errorf("%+v: got %s, want %s", tile, got, path)
		}
	}
}
