// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// watched is a log that a monitor polls.
type watched struct {
	*replica
	log      *tlogtest.Log
	server   *tlogtest.Server
	monitor  *monitor
	recorder *events.FakeRecorder
}

func watch(t *testing.T, size int) *watched {
	t.Helper()
	log := tlogtest.New("rekor.test")
	log.Grow(size)
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	r := newReplica(t, logObject(t, "corp", log, server.URL))
	r.load()
	recorder := events.NewFakeRecorder(100)
	return &watched{replica: r, log: log, server: server, recorder: recorder, monitor: newMonitor(r.client, r.config.Logs, recorder)}
}

// poll polls once and returns what the conditions then say.
func (w *watched) poll() map[string]string {
	w.t.Helper()
	result, err := w.monitor.Reconcile(w.t.Context(), request("corp"))
	if err != nil {
		w.t.Fatal(err)
	}
	if result.RequeueAfter != v1alpha1.DefaultPollInterval {
		w.t.Errorf("next poll after %v; want the default interval", result.RequeueAfter)
	}
	return told(w.replica.log("corp").Status.Conditions)
}

// events returns the reasons of the Events so far.
func (w *watched) events() []string {
	var reasons []string
	for len(w.recorder.Events) > 0 {
		reasons = append(reasons, strings.Fields(<-w.recorder.Events)[1])
	}
	return reasons
}

func (w *watched) expect(when string, want map[string]string, wantEvents ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.poll()); diff != "" {
		w.t.Errorf("%s, conditions (-want +got):\n%s", when, diff)
	}
	if diff := cmp.Diff(wantEvents, w.events()); diff != "" {
		w.t.Errorf("%s, events (-want +got):\n%s", when, diff)
	}
}

var (
	good        = map[string]string{"Ready": "True", "Reachable": "True", "Consistent": "True", "Fresh": "True"}
	unreachable = map[string]string{"Ready": "Unavailable", "Reachable": "Unavailable", "Consistent": "True", "Fresh": "True"}
	stale       = map[string]string{"Ready": "Unavailable", "Reachable": "Unavailable", "Consistent": "True", "Fresh": "CheckpointStale"}
	lying       = map[string]string{"Ready": "LogInconsistent", "Reachable": "True", "Consistent": "LogInconsistent", "Fresh": "True"}
	malformed   = map[string]string{"Ready": "CheckpointInvalid", "Reachable": "True", "Consistent": "CheckpointInvalid", "Fresh": "True"}
)

func TestMonitorFollowsALog(t *testing.T) {
	w := watch(t, 3)
	w.expect("at first", good, "Reachable")
	w.log.Grow(4)
	w.expect("when it has grown", good)
	if got := w.replica.log("corp").Status.Checkpoint.Size; got != 7 {
		t.Errorf("stored size %d; want 7", got)
	}
	series := w.series()
	if got := series["countersign_log_tree_size"]; got != 7 {
		t.Errorf("countersign_log_tree_size is %v; want 7", got)
	}
	if got := series["countersign_log_last_verified_timestamp_seconds"]; time.Since(time.UnixMilli(int64(got*1000))) > time.Minute {
		t.Errorf("countersign_log_last_verified_timestamp_seconds is %v; want now", got)
	}
}

func TestMonitorTellsALogThatIsAwayFromOneThatLies(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := watch(t, 3)
	w.expect("at first", good, "Reachable")
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	w.expect("when it is away", unreachable, "Unavailable")
	w.expect("when it is still away", unreachable)
	w.server.Intercept(nil)
	w.expect("when it is back", good, "Reachable")
	if got := w.series()["countersign_log_inconsistencies_total"]; got != 0 {
		t.Errorf("an outage was counted as an inconsistency")
	}
}

func TestMonitorCatchesAFork(t *testing.T) {
	w := watch(t, 9)
	w.expect("at first", good, "Reachable")
	fork := w.log.Fork(5)
	fork.Grow(4)
	w.server.Show(fork, 0)
	if got := w.series()["countersign_log_consistent"]; got != 1 {
		t.Errorf("countersign_log_consistent is %v before the fork; want 1", got)
	}
	w.expect("when it shows a fork", lying, "LogInconsistent")
	w.expect("when it still does", lying)
	w.server.Show(w.log, 0)
	w.expect("when it shows the honest tree again", lying)
	if got, shown := w.series()["countersign_log_consistent"]; got != 0 || !shown {
		t.Errorf("countersign_log_consistent is %v, %t; want 0", got, shown)
	}

	if got := w.series()["countersign_log_inconsistencies_total"]; got != 1 {
		t.Errorf("countersign_log_inconsistencies_total is %v; want 1, however often it was polled", got)
	}
	status := w.replica.log("corp").Status
	if status.Inconsistency == nil || len(status.Inconsistency.Notes) != 2 {
		t.Fatalf("the evidence is not in status: %+v", status.Inconsistency)
	}
	for i, want := range []string{w.log.Checkpoint(9), fork.Checkpoint(9)} {
		if signedText(status.Inconsistency.Notes[i]) != signedText(want) {
			t.Errorf("note %d of the evidence is %q; want %q", i, status.Inconsistency.Notes[i], want)
		}
	}
}

func TestMonitorRefusesACheckpointOfAnotherKey(t *testing.T) {
	w := watch(t, 3)
	w.expect("at first", good, "Reachable")
	other := tlogtest.New("rekor.test")
	other.Grow(8)
	w.server.Show(other, 0)
	w.expect("under another key", malformed, "LogInconsistent")
	if got := w.replica.log("corp").Status; got.Checkpoint.Size != 3 || got.Inconsistency != nil {
		t.Errorf("a checkpoint that the log did not sign changed its history: %+v", got)
	}
}

func TestMonitorSaysWhyALogCannotBeUsed(t *testing.T) {
	w := watch(t, 3)
	object := w.replica.log("corp")
	object.Spec.PublicKey.Data, object.Generation = "nonsense", 2
	if err := w.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	w.load()
	w.expect("with a broken key", map[string]string{"Ready": "KeyInvalid", "Fresh": "Unavailable"})
}

func TestMonitorWaitsForTheLoader(t *testing.T) {
	w := watch(t, 3)
	object := w.replica.log("corp")
	object.Generation = 2
	if err := w.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	result, err := w.monitor.Reconcile(t.Context(), request("corp"))
	if err != nil || result.RequeueAfter != notLoadedDelay {
		t.Errorf("Reconcile = %+v, %v; want to wait for the loader", result, err)
	}
	if got := w.replica.log("corp").Status.Conditions; len(got) != 0 {
		t.Errorf("conditions of a generation that was not polled: %+v", got)
	}
}

func TestMonitorForgetsADeletedLog(t *testing.T) {
	w := watch(t, 3)
	w.poll()
	if err := w.client.Delete(t.Context(), w.replica.log("corp")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.monitor.Reconcile(t.Context(), request("corp")); err != nil {
		t.Fatal(err)
	}
	if left := w.series(); len(left) != 0 {
		t.Errorf("series of a deleted log are left: %v", left)
	}
}

func TestMonitorKeepsToTheInterval(t *testing.T) {
	now := time.Now()
	every := func(d time.Duration) v1alpha1.TransparencyLogSpec {
		return v1alpha1.TransparencyLogSpec{PollInterval: &metav1.Duration{Duration: d}}
	}
	tests := map[string]struct {
		spec     v1alpha1.TransparencyLogSpec
		verified time.Time
		want     time.Duration
	}{
		"the default":                          {v1alpha1.TransparencyLogSpec{}, now, 30 * time.Second},
		"what the log asks for":                {every(2 * time.Second), now, 2 * time.Second},
		"the default for nonsense":             {every(-1), now, 30 * time.Second},
		"a log that was never verified":        {every(2 * time.Hour), time.Time{}, 2 * time.Hour},
		"sooner, when the log becomes stale":   {every(2 * time.Hour), now.Add(-20 * time.Minute), 40*time.Minute + time.Second},
		"the interval, when it is stale":       {every(2 * time.Hour), now.Add(-2 * time.Hour), 2 * time.Hour},
		"the interval, when that comes sooner": {every(time.Minute), now.Add(-20 * time.Minute), time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.TransparencyLog{Spec: tc.spec}
			known := tlog.Freshness{VerifiedAt: tc.verified, Limit: time.Hour}
			if got := nextPoll(obj, known, now); got != tc.want {
				t.Errorf("nextPoll = %v; want %v", got, tc.want)
			}
		})
	}
}

// TestMonitorSaysThatALogIsStale also for a leader that was elected during the outage.
func TestMonitorSaysThatALogIsStale(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := watch(t, 3)
	w.expect("at first", good, "Reachable")
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	w.expect("when it is away", unreachable, "Unavailable")

	w.lastVerified(-61 * time.Minute)
	w.monitor = newMonitor(w.client, w.config.Logs, w.recorder)
	w.load()
	w.expect("an hour later", stale, "CheckpointStale")
	w.expect("still later", stale)
	series := w.series()
	if got := time.Since(time.UnixMilli(int64(series["countersign_log_last_verified_timestamp_seconds"] * 1000))); got < time.Hour || got > 2*time.Hour {
		t.Errorf("the metric says that the log was verified %v ago; want an hour", got)
	}
	if got := series["countersign_log_tree_size"]; got != 3 {
		t.Errorf("countersign_log_tree_size is %v; want 3", got)
	}
	w.server.Intercept(nil)
	w.expect("when it is back", good, "Reachable", "Fresh")
}

// lastVerified makes the log one that was verified at another time.
func (w *watched) lastVerified(ago time.Duration) {
	w.t.Helper()
	object := w.replica.log("corp")
	object.Status.Checkpoint.VerifiedAt = metav1.NewTime(time.Now().Add(ago))
	if err := w.client.Status().Update(w.t.Context(), object); err != nil {
		w.t.Fatal(err)
	}
	// As in a replica that was started anew: what this one wrote last it would
	// remember.
	w.config.Logs.Delete("corp")
}

// TestMonitorDoesNotBelieveALogThatIsFrozen: it answers, and shows for ever less than
// it did.
func TestMonitorDoesNotBelieveALogThatIsFrozen(t *testing.T) {
	w := watch(t, 7)
	w.expect("at first", good, "Reachable")
	frozen := tlogtest.NewServer(w.log.Fork(4))
	t.Cleanup(frozen.Close)
	w.server.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/log" {
			return false
		}
		frozen.Config.Handler.ServeHTTP(rw, r)
		return true
	})
	w.expect("when it lags", good)
	w.lastVerified(-61 * time.Minute)
	w.load()
	w.expect("when it lags for an hour", map[string]string{
		"Ready": "CheckpointStale", "Reachable": "True", "Consistent": "True", "Fresh": "CheckpointStale",
	}, "CheckpointStale")
}

// signedText is a note without its signature lines, which differ each time.
func signedText(note string) string {
	text, _, _ := strings.Cut(note, "\n\n")
	return text
}

// series returns the value of each series of the monitor, by the metric's name.
func (w *watched) series() map[string]float64 {
	w.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := w.monitor.metrics.register(registry); err != nil {
		w.t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}
