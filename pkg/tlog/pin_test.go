// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// pinnedTo is l as configured with a pin of another log's tree, at a size.
func pinnedTo(t testing.TB, l, pinned *tlogtest.Log, size int) *tlog.Log {
	t.Helper()
	config := configOf(l)
	config.Trees = []tlog.Tree{{ID: l.TreeID, Pin: &tlog.Pin{Size: uint64(size), Root: [32]byte(pinned.Root(size))}}}
	return newLog(t, config)
}

// TestPin: a log of 20 entries, and another of the same key that shares the first 10.
// Whatever is shown to a cluster that has pinned one, only that one is believed.
func TestPin(t *testing.T) {
	l, _ := logged(t, 20)
	fork := l.Fork(10)
	extend(t, fork, 20, "fork ")
	for name, test := range map[string]struct {
		pin      int // of the right log
		shown    *tlogtest.Log
		size     int
		seeded   int // what was stored before there was a pin, of the shown log
		proveAt  int
		want     error
		evidence bool
	}{
		"the log at the pin's size":                              {pin: 12, shown: l, size: 12, proveAt: 12},
		"the log, grown":                                         {pin: 12, shown: l, size: 20, proveAt: 20},
		"the log, grown, and an old proof":                       {pin: 12, shown: l, size: 20, proveAt: 5},
		"the log, and a proof between the pin and what it shows": {pin: 12, shown: l, size: 20, proveAt: 15},
		"the log, lagging behind the pin":                        {pin: 12, shown: l, size: 8, proveAt: 8, want: tlog.ErrInconsistent}, // it cannot show the pin
		"a fork that ends before the pin":                        {pin: 12, shown: fork, size: 11, proveAt: 11, want: tlog.ErrInconsistent},
		"a fork of the pin's size":                               {pin: 12, shown: fork, size: 12, proveAt: 12, want: tlog.ErrInconsistent},
		"a fork, grown":                                          {pin: 12, shown: fork, size: 20, proveAt: 20, want: tlog.ErrInconsistent},
		"a fork, and a proof from what they share":               {pin: 12, shown: fork, size: 20, proveAt: 9, want: tlog.ErrInconsistent},
		"a fork after the pin":                                   {pin: 10, shown: fork, size: 20, proveAt: 20},
		"a pin of size 1":                                        {pin: 1, shown: l, size: 20, proveAt: 20},
		"the log, stored before it was pinned":                   {pin: 12, shown: l, size: 20, seeded: 15, proveAt: 20},
		"the log, stored at a smaller size before it was pinned": {pin: 12, shown: l, size: 20, seeded: 5, proveAt: 20},
		"the log, stored at the pin's size":                      {pin: 12, shown: l, size: 20, seeded: 12, proveAt: 20},
		"a fork, stored before the log was pinned":               {pin: 12, shown: fork, size: 20, seeded: 15, proveAt: 20, want: tlog.ErrInconsistent},
		"a fork, stored at the size that is pinned":              {pin: 12, shown: fork, size: 20, seeded: 12, proveAt: 20, want: tlog.ErrInconsistent},
		"a fork, of which what they share was stored":            {pin: 12, shown: fork, size: 20, seeded: 9, proveAt: 20, want: tlog.ErrInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			server, history := serve(t, test.shown), tlog.NewMemoryHistory()
			server.Show(test.shown, test.size)
			if test.seeded > 0 {
				history = seeded(test.shown, test.seeded)
			}
			p := tlog.NewProver(pinnedTo(t, l, l, test.pin), dial(t, server.URL), history)
			_, err := proveBody(t, p, test.shown, test.proveAt-1, test.proveAt)
			wantErr(t, err, test.want)
			if evidence := accused(history); evidence != nil {
				t.Errorf("the log has not signed the pin, and is accused: %v", evidence)
			}
			if test.want != nil && test.seeded == 0 && storedSize(t, l, history) != 0 {
				t.Error("what contradicts the pin is stored")
			}
			if test.want != nil && (err == nil || !strings.Contains(err.Error(), "pin")) {
				t.Errorf("got error %v, which does not name the pin", err)
			}
			if _, err := p.Poll(t.Context()); (err != nil) != (test.want != nil) {
				t.Errorf("a poll after that gives %v", err)
			}
		})
	}
}

// TestPinIsShownOnce: the log is asked once whether it holds its pin, and not again as it
// grows.
func TestPinIsShownOnce(t *testing.T) {
	l, _ := logged(t, 20)
	server, history := serve(t, l), seeded(l, 13)
	p := tlog.NewProver(pinnedTo(t, l, l, 3), dial(t, server.URL), history)
	var asked proofRequests
	asked.watch(server)
	for _, size := range []int{14, 15, 17} {
		server.Show(l, size)
		if _, err := p.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(asked.take(), " "); got != "3-13 13-14 14-15 15-17" {
		t.Errorf("the log was asked for %s", got)
	}
}

func TestPinAndAnOutage(t *testing.T) {
	t.Parallel() // it waits more than it works
	l, claims := logged(t, 20)
	server, history := serve(t, l), seeded(l, 13)
	server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	pinned := pinnedTo(t, l, l, 3)
	for name, p := range map[string]*tlog.Prover{
		"the log is down":   tlog.NewProver(pinned, dial(t, server.URL), history),
		"there is no log":   tlog.NewProver(pinned, nil, history),
		"nothing is stored": tlog.NewProver(pinned, nil, tlog.NewMemoryHistory()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Prove(t.Context(), claims[3], l.Entry(3, 13))
			wantErr(t, err, tlog.ErrUnavailable)
			if errors.Is(err, tlog.ErrInconsistent) {
				t.Errorf("an outage is taken for an inconsistency: %v", err)
			}
		})
	}
	t.Run("offline, the checkpoint is the pin", func(t *testing.T) {
		t.Parallel()
		_, err := tlog.NewProver(pinned, nil, tlog.NewMemoryHistory()).Prove(t.Context(), claims[2], l.Entry(2, 3))
		wantErr(t, err, nil)
	})
}

// TestPinAfterAReset: a history that an operator has put back must hold the pin anew.
func TestPinAfterAReset(t *testing.T) {
	l, _ := logged(t, 20)
	fork := l.Fork(5)
	extend(t, fork, 15, "fork ")
	server, history := serve(t, l), seeded(l, 13)
	p := tlog.NewProver(pinnedTo(t, l, l, 10), dial(t, server.URL), history)
	if _, err := p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	history.Seed(fork.Origin(), fork.Checkpoint(12))
	server.Show(fork, 0)
	_, err := p.Poll(t.Context())
	wantErr(t, err, tlog.ErrInconsistent)
}

func TestNamedTrees(t *testing.T) {
	active, claims := logged(t, 10)
	retired, other := active.Fork(0), active.Fork(0)
	retired.TreeID, other.TreeID = 17, 18
	extend(t, retired, 5, "old ")
	extend(t, other, 5, "other ")
	server := serve(t, active)
	server.Retire(retired)
	server.Retire(other)
	config := configOf(active)
	config.Trees = []tlog.Tree{{ID: active.TreeID}, {ID: 17, Pin: &tlog.Pin{Size: 5, Root: [32]byte(retired.Root(5))}}}
	log := newLog(t, config)
	p := tlog.NewProver(log, dial(t, server.URL), tlog.NewMemoryHistory())
	_, err := p.Prove(t.Context(), claims[3], active.Entry(3, 8))
	wantErr(t, err, nil)
	_, err = proveBody(t, p, retired, 2, 5)
	wantErr(t, err, nil)
	_, err = proveBody(t, p, other, 2, 5)
	wantErr(t, err, tlog.ErrCheckpoint)
	if err == nil || !strings.Contains(err.Error(), `- 18" is not one of the trees`) {
		t.Errorf("got error %v, which does not name the tree", err)
	}
	t.Run("the active tree is not named", func(t *testing.T) {
		server.Show(other, 0)
		_, err := p.Poll(t.Context())
		wantErr(t, err, tlog.ErrCheckpoint)
		server.Retire(active)
		_, err = p.Prove(t.Context(), claims[4], active.Entry(4, 8))
		wantErr(t, err, nil)
	})
}

func TestTreesThatCannotBe(t *testing.T) {
	l := tlogtest.New(hostname)
	for name, test := range map[string]struct {
		change func(*tlog.Config)
		want   string
	}{
		"tree 0":                           {func(c *tlog.Config) { c.Trees = []tlog.Tree{{ID: 0}} }, "0 is not a tree ID"},
		"tree -1":                          {func(c *tlog.Config) { c.Trees = []tlog.Tree{{ID: -1}} }, "-1 is not a tree ID"},
		"a tree twice":                     {func(c *tlog.Config) { c.Trees = []tlog.Tree{{ID: 1}, {ID: 1}} }, "tree 1 is named twice"},
		"a pin of size 0":                  {func(c *tlog.Config) { c.Trees = []tlog.Tree{{ID: 1, Pin: &tlog.Pin{}}} }, "pinned at size 0"},
		"a log that is known by its key":   {func(c *tlog.Config) { c.Origin, c.KeyOnly, c.Trees = "", true, []tlog.Tree{{ID: 1}} }, "without an origin"},
		"a tree ID for a log that has one": {func(c *tlog.Config) { c.Version, c.Trees = tlog.RekorV2, []tlog.Tree{{ID: 1}} }, "has one tree"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(l)
			test.change(&config)
			_, err := tlog.NewLog(config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
	t.Run("Rekor v2 has one tree, which can be pinned", func(t *testing.T) {
		config := configOf(l)
		config.Version, config.Trees = tlog.RekorV2, []tlog.Tree{{Pin: &tlog.Pin{Size: 1}}}
		newLog(t, config)
	})
}

// TestPinBeyondWhatIsStored: that the stored checkpoint is a prefix of the pin says nothing
// of what follows it. The log shows the honest proof from the one to the other, and then a
// fork.
func TestPinBeyondWhatIsStored(t *testing.T) {
	l, _ := logged(t, 20)
	fork := l.Fork(10)
	extend(t, fork, 20, "fork ")
	server, history := serve(t, fork), seeded(l, 9)
	honest := serve(t, l)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.FormValue("firstSize") == "9" && r.FormValue("lastSize") == "12" {
			honest.Config.Handler.ServeHTTP(w, r)
			return true
		}
		return false
	})
	p := tlog.NewProver(pinnedTo(t, l, l, 12), dial(t, server.URL), history)
	for range 2 {
		server.Show(fork, 20)
		_, err := p.Poll(t.Context())
		wantErr(t, err, tlog.ErrInconsistent)
	}
	if got := storedSize(t, l, history); got != 9 {
		t.Errorf("stored size is %d, want 9", got)
	}
}
