// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// TestRequestsToALogAreMeasured, and nothing is left of a log that was deleted.
func TestRequestsToALogAreMeasured(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := watch(t, 3)
	registry := prometheus.NewPedanticRegistry()
	if err := w.config.requests.register(registry); err != nil {
		t.Fatal(err)
	}
	if err := registry.Register(newLogConnections(w.config.Logs)); err != nil {
		t.Fatal(err)
	}
	expect := func(when, names, want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), strings.Fields(names)...); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	w.expect("at first", good, "Reachable")
	expect("at first", "countersign_log_requests_total countersign_log_replica_up countersign_log_insecure_skip_verify", `
# HELP countersign_log_insecure_skip_verify 1 if any TLS certificate of a transparency log is accepted (spec.tls.insecureSkipVerify), and else 0.
# TYPE countersign_log_insecure_skip_verify gauge
countersign_log_insecure_skip_verify{log="corp"} 0
# HELP countersign_log_replica_up 0 while a server of a transparency log is left alone because it did not answer, and else 1.
# TYPE countersign_log_replica_up gauge
countersign_log_replica_up{log="corp",url="`+w.server.URL+`"} 1
# HELP countersign_log_requests_total Requests to the servers of a transparency log, by what was asked for and how it ended.
# TYPE countersign_log_requests_total counter
countersign_log_requests_total{log="corp",operation="checkpoint",outcome="answered"} 2
`)
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
	for range 2 {
		w.poll()
	}
	expect("when it is down", "countersign_log_replica_up", `
# HELP countersign_log_replica_up 0 while a server of a transparency log is left alone because it did not answer, and else 1.
# TYPE countersign_log_replica_up gauge
countersign_log_replica_up{log="corp",url="`+w.server.URL+`"} 0
`)
	if err := w.client.Delete(t.Context(), w.replica.log("corp")); err != nil {
		t.Fatal(err)
	}
	w.load()
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series of a log that was deleted, %v", n, err)
	}
}

// TestALogOfWhichAnyCertificateIsAcceptedSaysSo in its status.
func TestALogOfWhichAnyCertificateIsAcceptedSaysSo(t *testing.T) {
	w := watch(t, 3)
	yes, obj := true, w.replica.log("corp")
	obj.Generation++
	obj.Spec.TLS = &v1alpha1.LogTLS{InsecureSkipVerify: &yes}
	if err := w.client.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	w.load()
	w.expect("with insecureSkipVerify", good, "Reachable")
	ready := meta.FindStatusCondition(w.replica.log("corp").Status.Conditions, v1alpha1.ConditionReady)
	if !strings.Contains(ready.Message, "spec.tls.insecureSkipVerify") {
		t.Errorf("Ready says %q", ready.Message)
	}
}

// TestAReplicaThatIsSilentShowsInTheStatus, and the log is used as before.
func TestAReplicaThatIsSilentShowsInTheStatus(t *testing.T) {
	w := watch(t, 3)
	obj := w.replica.log("corp")
	obj.Generation++
	obj.Spec.URLs = []string{"http://127.0.0.1:1", w.server.URL}
	if err := w.client.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	w.load()
	w.expect("with one replica that is down", good, "Reachable")
	reachable := meta.FindStatusCondition(w.replica.log("corp").Status.Conditions, v1alpha1.ConditionReachable)
	if !strings.Contains(reachable.Message, "1 of its replicas did not") || !strings.Contains(reachable.Message, "http://127.0.0.1:1") {
		t.Errorf("Reachable says %q", reachable.Message)
	}
}
