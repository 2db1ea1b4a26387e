// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestStandingOfALog: a log stands when nothing contradicts what was seen of it, and it
// was seen lately.
func TestStandingOfALog(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(t *testing.T, l *tlogtest.Log, history *agingHistory)
		want error
	}{
		"it was seen a moment ago": {edit: func(*testing.T, *tlogtest.Log, *agingHistory) {}},
		"it answered last with what does not fit": {
			edit: func(_ *testing.T, _ *tlogtest.Log, h *agingHistory) { h.doubted = true }, want: tlog.ErrInconsistent,
		},
		"it was caught": {
			edit: func(t *testing.T, l *tlogtest.Log, h *agingHistory) {
				fork := l.Fork(3)
				fork.Grow(6)
				if err := h.Accuse(t.Context(), checkpointOf(t, l, 9), checkpointOf(t, fork, 9)); err != nil {
					t.Fatal(err)
				}
			}, want: tlog.ErrInconsistent,
		},
		"it is stale and away": {
			edit: func(_ *testing.T, _ *tlogtest.Log, h *agingHistory) { h.at = time.Now().Add(-2 * time.Hour) }, want: tlog.ErrStale,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := logged(t, 9)
			history := aging(l, 9)
			test.edit(t, l, history)
			known, err := tlog.NewProver(configured(t, l), nil, history).Standing(t.Context())
			wantErr(t, err, test.want)
			if err == nil && known.Limit != time.Hour {
				t.Errorf("freshness is %+v", known)
			}
		})
	}
}

// TestTheClientIsThatOfTheVersion asks each kind of log by what its type says, and by
// nothing that the log says.
func TestTheClientIsThatOfTheVersion(t *testing.T) {
	for _, l := range []*tlogtest.Log{tlogtest.New(hostname), tlogtest.NewTiled(hostname)} {
		l.Grow(3)
		server := serve(t, l)
		var paths []string
		server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			paths = append(paths, r.URL.Path)
			return false
		})
		base, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}})
		if err != nil {
			t.Fatal(err)
		}
		log := configured(t, l)
		polled, err := tlog.NewProver(log, tlog.NewClient(log, endpoints), tlog.NewMemoryHistory()).Poll(t.Context())
		if err != nil || polled.Size() != 3 {
			t.Errorf("%v: polled %v, %v", l.Version, polled, err)
		}
		for _, path := range paths {
			if strings.HasPrefix(path, "/api/v1/") != (l.Version == tlog.RekorV1) {
				t.Errorf("a log of type %v was asked for %s", l.Version, path)
			}
		}
		other := tlog.RekorV1 + tlog.RekorV2 - l.Version
		if !log.Holds(l.Version) || log.Holds(other) {
			t.Errorf("a log of type %v holds entries of %v: %t", l.Version, other, log.Holds(other))
		}
	}
}

// TestAProofSaysWhoseKey: thresholds count keys.
func TestAProofSaysWhoseKey(t *testing.T) {
	l, claims := logged(t, 5)
	proof, err := online(t, l, serve(t, l), tlog.NewMemoryHistory()).Prove(t.Context(), claims[2], l.Entry(2, 5))
	if err != nil || proof.KeyID() != configured(t, l).KeyID() || proof.Unasked() != "" {
		t.Errorf("proof %v by key %x, %v", proof, proof.KeyID(), err)
	}
}

// TestALocatedEntryNeedsItsWitnesses, as any other.
func TestALocatedEntryNeedsItsWitnesses(t *testing.T) {
	l, _ := logged(t, 5)
	log := withPolicy(t, l, "witness W %0\nquorum W\n", tlogtest.NewWitness("w.example"))
	prover := tlog.NewProver(log, dial(t, serve(t, l).URL), tlog.NewMemoryHistory())
	_, err := prover.LocateIndex(t.Context(), 2)
	wantErr(t, err, tlog.ErrWitnessQuorum)
}

// TestTilesThatDoNotShowAnEntry say nothing about it.
func TestTilesThatDoNotShowAnEntry(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := tlogtest.NewTiled(hostname)
	l.Grow(5)
	for what, answer := range map[string]func(http.ResponseWriter){
		"gone":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"wrong": func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 5*32)) },
		"away":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	} {
		server := serve(t, l)
		server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/tile/") {
				answer(w)
				return true
			}
			return false
		})
		if _, err := online(t, l, server, tlog.NewMemoryHistory()).LocateIndex(t.Context(), 2); !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("tiles that are %s: %v; want ErrUnavailable", what, err)
		}
	}
}
