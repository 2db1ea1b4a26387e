// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// sharded is a log with a retired tree of 5 entries and an active one of 7.
func sharded(t *testing.T) (active, retired *tlogtest.Log, server *tlogtest.Server) {
	t.Helper()
	retired = tlogtest.New(hostname)
	retired.Grow(5)
	active = retired.Fork(0)
	active.TreeID, active.FirstIndex = retired.TreeID+1, 5
	active.Grow(7)
	server = serve(t, active)
	server.Retire(retired)
	return active, retired, server
}

func TestLocatedEntries(t *testing.T) {
	active, retired, server := sharded(t)
	tiled := tlogtest.NewTiled(hostname)
	tiled.Grow(7)
	leaf := func(l *tlogtest.Log, index int) [32]byte { return tlog.LeafHash(l.Promise(index).Body) }
	v1 := online(t, active, server, tlog.NewMemoryHistory())
	v2 := online(t, tiled, serve(t, tiled), tlog.NewMemoryHistory())
	withoutProof := active.Promise(3)
	unpromised := active.Entry(3, 7)
	unpromised.SignedEntryTimestamp, unpromised.IntegratedTime = nil, 0

	for name, test := range map[string]struct {
		locate func() (tlog.Located, error)
		// index is the local one.
		index int64
		size  uint64
		leaf  [32]byte
	}{
		"by leaf hash in the active tree":                                      {func() (tlog.Located, error) { return v1.LocateLeaf(t.Context(), leaf(active, 2), -1) }, 2, 7, leaf(active, 2)},
		"by leaf hash in a retired tree":                                       {func() (tlog.Located, error) { return v1.LocateLeaf(t.Context(), leaf(retired, 2), -1) }, 2, 5, leaf(retired, 2)},
		"an index over all shards is that of the entry, not that of the shard": {func() (tlog.Located, error) { return v1.LocateIndex(t.Context(), 6) }, 1, 7, leaf(active, 1)},
		"an index of a retired tree":                                           {func() (tlog.Located, error) { return v1.LocateIndex(t.Context(), 4) }, 4, 5, leaf(retired, 4)},
		"an entry that brings its proof":                                       {func() (tlog.Located, error) { return v1.Locate(t.Context(), active.Entry(3, 6)) }, 3, 6, leaf(active, 3)},
		"an entry that brings no proof":                                        {func() (tlog.Located, error) { return v1.Locate(t.Context(), withoutProof) }, 3, 7, leaf(active, 3)},
		"an entry that brings a proof and no promise":                          {func() (tlog.Located, error) { return v1.Locate(t.Context(), unpromised) }, 3, 7, leaf(active, 3)},
		"an index of a Rekor v2 log":                                           {func() (tlog.Located, error) { return v2.LocateIndex(t.Context(), 6) }, 6, 7, leaf(tiled, 6)},
		"a leaf hash of a Rekor v2 log where it stands":                        {func() (tlog.Located, error) { return v2.LocateLeaf(t.Context(), leaf(tiled, 0), 0) }, 0, 7, leaf(tiled, 0)},
		"an entry of Rekor v2 without a proof":                                 {func() (tlog.Located, error) { return v2.Locate(t.Context(), tiled.Promise(5)) }, 5, 7, leaf(tiled, 5)},
	} {
		t.Run(name, func(t *testing.T) {
			located, err := test.locate()
			if err != nil {
				t.Fatal(err)
			}
			if located.Leaf != test.leaf || located.Entry.Inclusion.Index != test.index || located.Checkpoint.Size() != test.size {
				t.Errorf("located leaf %x at index %d of %v", located.Leaf, located.Entry.Inclusion.Index, located.Checkpoint)
			}
		})
	}
}

func TestEntriesThatAreNotLocated(t *testing.T) {
	active, _, server := sharded(t)
	tiled := tlogtest.NewTiled(hostname)
	tiled.Grow(7)
	tiles := serve(t, tiled)
	leaf := tlog.LeafHash(active.Promise(2).Body)
	other := active.Fork(3)
	other.Grow(9)
	changed := func(change func(*tlog.Entry)) *tlog.Entry {
		entry := active.Entry(3, 7)
		change(entry)
		return entry
	}
	for name, test := range map[string]struct {
		locate func(v1, v2 *tlog.Prover) (tlog.Located, error)
		answer func(entry map[string]any) // changes the log's answer
		want   error
	}{
		"a leaf hash that is in no tree": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateLeaf(t.Context(), [32]byte{1}, -1) },
			want:   tlog.ErrNotLogged,
		},
		"an index beyond the end": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateIndex(t.Context(), 12) },
			want:   tlog.ErrNotLogged,
		},
		"an index beyond the end of a Rekor v2": {
			locate: func(_, v2 *tlog.Prover) (tlog.Located, error) { return v2.LocateIndex(t.Context(), 7) },
			want:   tlog.ErrNotLogged,
		},
		"a leaf hash of a Rekor v2 without its index": {
			locate: func(_, v2 *tlog.Prover) (tlog.Located, error) { return v2.LocateLeaf(t.Context(), leaf, -1) },
			want:   tlog.ErrNotLogged,
		},
		"a leaf hash that is not at that index of a Rekor v2": {
			locate: func(_, v2 *tlog.Prover) (tlog.Located, error) { return v2.LocateLeaf(t.Context(), leaf, 3) },
			want:   tlog.ErrEntryMismatch,
		},
		"an index for which the log shows another entry": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateIndex(t.Context(), 6) },
			answer: func(entry map[string]any) { entry["logIndex"] = 7 },
			want:   tlog.ErrEntryMismatch,
		},
		"an index that the log's promise does not say": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateIndex(t.Context(), 6) },
			answer: func(entry map[string]any) { entry["integratedTime"] = 1_790_000_001 },
			want:   tlog.ErrSignedEntryTimestamp,
		},
		"an index for which the log promises nothing": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateIndex(t.Context(), 6) },
			answer: func(entry map[string]any) { delete(entry["verification"].(map[string]any), "signedEntryTimestamp") },
			want:   tlog.ErrEntryMismatch,
		},
		"a body that is not that of the leaf hash": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.LocateLeaf(t.Context(), leaf, -1) },
			answer: func(entry map[string]any) { entry["body"] = base64.StdEncoding.EncodeToString([]byte("other")) },
			want:   tlog.ErrEntryMismatch,
		},
		"an entry of another log": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) {
				return v1.Locate(t.Context(), changed(func(e *tlog.Entry) { e.LogID = bytes.Repeat([]byte{1}, 32) }))
			},
			want: tlog.ErrUnknownLog,
		},
		"an entry whose body was changed": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) {
				return v1.Locate(t.Context(), changed(func(e *tlog.Entry) { e.Body[0]++; e.SignedEntryTimestamp = nil }))
			},
			want: tlog.ErrInclusionProof,
		},
		"an entry whose promise was changed": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) {
				return v1.Locate(t.Context(), changed(func(e *tlog.Entry) { e.IntegratedTime++ }))
			},
			want: tlog.ErrSignedEntryTimestamp,
		},
		"an entry whose proof is for another index": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) {
				return v1.Locate(t.Context(), changed(func(e *tlog.Entry) { e.Inclusion.Index = 4 }))
			},
			want: tlog.ErrInclusionProof,
		},
		"an entry whose index of Rekor v2 is not that of its proof": {
			locate: func(_, v2 *tlog.Prover) (tlog.Located, error) {
				entry := tiled.Entry(3, 7)
				entry.LogIndex = 4
				return v2.Locate(t.Context(), entry)
			},
			want: tlog.ErrInclusionProof,
		},
		"an entry that is larger than any": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) {
				return v1.Locate(t.Context(), changed(func(e *tlog.Entry) { e.Body = make([]byte, tlog.MaxBodyBytes+1) }))
			},
			want: tlog.ErrLimit,
		},
		"an entry of a fork": {
			locate: func(v1, _ *tlog.Prover) (tlog.Located, error) { return v1.Locate(t.Context(), other.Entry(8, 12)) },
			want:   tlog.ErrInconsistent,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if test.answer == nil || !strings.Contains(r.URL.Path, "/entries") {
					return false
				}
				entry := answerFor(active, 1)
				if strings.HasSuffix(r.URL.Path, hex.EncodeToString(leaf[:])) {
					entry = answerFor(active, 2)
				}
				for _, fields := range entry {
					test.answer(fields)
				}
				_ = json.NewEncoder(w).Encode(entry)
				return true
			})
			v1 := online(t, active, server, tlog.NewMemoryHistory())
			v2 := online(t, tiled, tiles, tlog.NewMemoryHistory())
			if _, err := test.locate(v1, v2); !errors.Is(err, test.want) {
				t.Errorf("err = %v; want %v", err, test.want)
			}
		})
	}
}

// answerFor is what Rekor v1 says of an entry of a tree.
func answerFor(l *tlogtest.Log, index int) map[string]map[string]any {
	entry := l.Entry(index, l.Size())
	leaf := tlog.LeafHash(entry.Body)
	hashes := make([]string, len(entry.Inclusion.Hashes))
	for i, hash := range entry.Inclusion.Hashes {
		hashes[i] = hex.EncodeToString(hash)
	}
	return map[string]map[string]any{fmt.Sprintf("%016x%x", l.TreeID, leaf): {
		"body": base64.StdEncoding.EncodeToString(entry.Body), "integratedTime": entry.IntegratedTime,
		"logID": hex.EncodeToString(entry.LogID), "logIndex": entry.LogIndex,
		"verification": map[string]any{
			"signedEntryTimestamp": entry.SignedEntryTimestamp,
			"inclusionProof":       map[string]any{"checkpoint": entry.Inclusion.Checkpoint, "hashes": hashes, "logIndex": entry.Inclusion.Index},
		},
	}}
}

func TestWhatReplicasAndTreesShow(t *testing.T) {
	t.Parallel() // it waits more than it works
	active, retired, server := sharded(t)
	away := serve(t, active)
	away.Close()
	prover := tlog.NewProver(configured(t, active), replicas(t, server, away), tlog.NewMemoryHistory())
	seen := prover.Look(t.Context())
	if len(seen) != 2 || len(seen[0].Checkpoints) != 2 || seen[0].Err != nil || seen[0].Checkpoints[1].Origin() != retired.Origin() {
		t.Errorf("the replica that answers shows %+v", seen)
	}
	if !errors.Is(seen[1].Err, tlog.ErrUnavailable) || len(seen[1].Checkpoints) != 0 {
		t.Errorf("the replica that is away shows %+v", seen[1])
	}
	trees, err := prover.Trees(t.Context())
	if err != nil || len(trees) != 2 || trees[0].Size() != 7 || trees[1].Size() != 5 {
		t.Errorf("trees are %v, %v", trees, err)
	}

	config := configOf(active)
	config.Trees = []tlog.Tree{{ID: active.TreeID}}
	named, err := tlog.NewProver(newLog(t, config), dial(t, server.URL), tlog.NewMemoryHistory()).Trees(t.Context())
	if err != nil || len(named) != 1 || named[0].Origin() != active.Origin() {
		t.Errorf("of the trees that are named there are %v, %v", named, err)
	}
}

func TestTreesThatAreNotShown(t *testing.T) {
	for name, test := range map[string]struct {
		show func(active, retired *tlogtest.Log, server *tlogtest.Server)
		want error
	}{
		"one that is listed twice": {
			func(_, retired *tlogtest.Log, server *tlogtest.Server) { server.Retire(retired) }, tlog.ErrCheckpoint,
		},
		"one that is signed by another key": {
			func(_, _ *tlogtest.Log, server *tlogtest.Server) {
				stranger := tlogtest.New(hostname)
				stranger.Grow(3)
				server.Retire(stranger)
			}, tlog.ErrCheckpoint,
		},
		"more than a log has": {
			func(active, _ *tlogtest.Log, server *tlogtest.Server) {
				for i := range 70 {
					shard := active.Fork(1)
					shard.TreeID += int64(i + 1)
					server.Retire(shard)
				}
			}, tlog.ErrLimit,
		},
		"a fork of a tree that was seen": {
			func(active, _ *tlogtest.Log, server *tlogtest.Server) {
				fork := active.Fork(3)
				fork.Grow(9)
				server.Show(fork, 0)
			}, tlog.ErrInconsistent,
		},
		"those of a log that does not answer": {
			func(_, _ *tlogtest.Log, server *tlogtest.Server) {
				server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusNotFound)
					return true
				})
			}, tlog.ErrUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			active, retired, server := sharded(t)
			history := tlog.NewMemoryHistory()
			history.Seed(active.Origin(), active.Checkpoint(7))
			test.show(active, retired, server)
			trees, err := online(t, active, server, history).Trees(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("trees are %v, %v; want %v", trees, err, test.want)
			}
		})
	}
}

func TestNothingIsLocatedOffline(t *testing.T) {
	l := tlogtest.New(hostname)
	l.Grow(3)
	prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
	if seen := prover.Look(t.Context()); seen != nil {
		t.Errorf("offline, replicas show %v", seen)
	}
	for name, ask := range map[string]func() error{
		"trees":    func() error { _, err := prover.Trees(t.Context()); return err },
		"a leaf":   func() error { _, err := prover.LocateLeaf(t.Context(), [32]byte{}, 1); return err },
		"an index": func() error { _, err := prover.LocateIndex(t.Context(), 1); return err },
	} {
		if err := ask(); !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("%s: err = %v; want ErrUnavailable", name, err)
		}
	}
	if _, err := prover.ShowsHistory(t.Context(), l.Origin(), tlog.Pin{Size: 1}); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("what a reset accepts: err = %v; want ErrUnavailable", err)
	}
	if _, err := prover.Locate(t.Context(), l.Entry(1, 3)); err != nil {
		t.Errorf("an entry that brings its proof needs no log: %v", err)
	}
}

// TestTheHistoryThatAResetAccepts asks the log alone: what was stored before, and evidence
// against it, is what is given up.
func TestTheHistoryThatAResetAccepts(t *testing.T) {
	ended := tlog.Validity{NotAfter: time.Now().Add(-time.Hour)}
	for name, test := range map[string]struct {
		size     int // that is shown
		accepted int
		of       func(l, fork *tlogtest.Log) *tlogtest.Log // whose checkpoint is to be accepted
		edit     func(l *tlogtest.Log, config *tlog.Config)
		tree     string
		sharded  bool
		want     error
	}{
		"what the log shows":                {size: 9, accepted: 9},
		"a prefix of what the log shows":    {size: 9, accepted: 4},
		"more than the log shows":           {size: 9, accepted: 10, want: tlog.ErrInconsistent},
		"a fork":                            {size: 9, accepted: 7, of: func(_, fork *tlogtest.Log) *tlogtest.Log { return fork }, want: tlog.ErrInconsistent},
		"a fork of the size that is shown":  {size: 9, accepted: 9, of: func(_, fork *tlogtest.Log) *tlogtest.Log { return fork }, want: tlog.ErrInconsistent},
		"a tree that the log does not list": {size: 9, accepted: 9, tree: hostname + " - 7", sharded: true, want: tlog.ErrInconsistent},
		"a tree that is not named":          {size: 9, accepted: 9, edit: func(l *tlogtest.Log, c *tlog.Config) { c.Trees = []tlog.Tree{{ID: l.TreeID + 1}} }, sharded: true, want: tlog.ErrCheckpoint},
		"what contradicts the pin": {size: 9, accepted: 9, edit: func(l *tlogtest.Log, c *tlog.Config) {
			c.Trees = []tlog.Tree{{ID: l.TreeID, Pin: &tlog.Pin{Size: 5, Root: [32]byte{1}}}}
		}, sharded: true, want: tlog.ErrInconsistent},
		"what the key signed before its end":            {size: 9, accepted: 9, edit: func(_ *tlogtest.Log, c *tlog.Config) { c.Validity = ended }},
		"what the key, whose time is over, added since": {size: 9, accepted: 8, edit: func(_ *tlogtest.Log, c *tlog.Config) { c.Validity = ended }, want: tlog.ErrKeyValidity},
	} {
		for _, version := range []tlog.Version{tlog.RekorV1, tlog.RekorV2} {
			if test.sharded && version == tlog.RekorV2 {
				continue // it has one tree
			}
			t.Run(name+", "+version.String(), func(t *testing.T) {
				l := tlogtest.New(hostname)
				if version == tlog.RekorV2 {
					l = tlogtest.NewTiled(hostname)
				}
				l.Grow(12)
				fork := l.Fork(3)
				fork.Grow(9)
				server := serve(t, l)
				server.Show(l, test.size)
				config := configOf(l)
				if test.edit != nil {
					test.edit(l, &config)
				}
				var client tlog.Client = dial(t, server.URL)
				if version == tlog.RekorV2 {
					client = dialTiles(t, l, server.URL)
				}
				caught := tlog.NewMemoryHistory()
				if err := caught.Accuse(t.Context(), checkpointOf(t, l, 9), checkpointOf(t, fork, 9)); err != nil {
					t.Fatal(err)
				}
				of := l
				if test.of != nil {
					of = test.of(l, fork)
				}
				tree := test.tree
				if tree == "" {
					tree = l.Origin()
				}
				accepted := tlog.Pin{Size: uint64(test.accepted), Root: [32]byte(of.Root(test.accepted))}
				shown, err := tlog.NewProver(newLog(t, config), client, caught).ShowsHistory(t.Context(), tree, accepted)
				if !errors.Is(err, test.want) {
					t.Fatalf("err = %v; want %v", err, test.want)
				}
				if err == nil && shown.Size() != uint64(test.size) {
					t.Errorf("shown is %v", shown)
				}
				if errors.As(err, new(*tlog.InconsistencyError)) {
					t.Error("the log is accused of what it did not sign")
				}
			})
		}
	}
}
