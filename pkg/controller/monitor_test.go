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
	good        = map[string]string{"Ready": "True", "Reachable": "True", "Consistent": "True"}
	unreachable = map[string]string{"Ready": "Unavailable", "Reachable": "Unavailable", "Consistent": "True"}
	lying       = map[string]string{"Ready": "LogInconsistent", "Reachable": "True", "Consistent": "LogInconsistent"}
	malformed   = map[string]string{"Ready": "CheckpointInvalid", "Reachable": "True", "Consistent": "CheckpointInvalid"}
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
	w.expect("when it shows a fork", lying, "LogInconsistent")
	w.expect("when it still does", lying)
	w.server.Show(w.log, 0)
	w.expect("when it shows the honest tree again", lying)

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

func TestMonitorRecoversWhenAnOperatorResets(t *testing.T) {
	w := watch(t, 9)
	w.poll()
	fork := w.log.Fork(5)
	fork.Grow(4)
	w.server.Show(fork, 0)
	w.poll()
	w.events()
	object := w.replica.log("corp")
	object.Status = v1alpha1.TransparencyLogStatus{}
	if err := w.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	w.expect("after the reset", good, "Reachable")
	w.server.Show(w.log, 0)
	w.expect("when it forks again", lying, "LogInconsistent")
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
	w.expect("with a broken key", map[string]string{"Ready": "KeyInvalid"})
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
	tests := map[string]struct {
		interval *metav1.Duration
		want     time.Duration
	}{
		"the default":              {nil, 30 * time.Second},
		"what the log asks for":    {&metav1.Duration{Duration: 2 * time.Second}, 2 * time.Second},
		"the default for nonsense": {&metav1.Duration{Duration: -1}, 30 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.TransparencyLog{Spec: v1alpha1.TransparencyLogSpec{PollInterval: tc.interval}}
			if got := interval(obj); got != tc.want {
				t.Errorf("interval = %v; want %v", got, tc.want)
			}
		})
	}
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
