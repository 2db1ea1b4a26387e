// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
)

func TestOperationsThatACallerMadeUpAreOneSeries(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := newImages(verdicts())
	h.Metrics = NewMetrics(registry)
	for i := range 40 {
		req := create("", "Pod", pod(good))
		req.Operation = admissionv1.Operation(fmt.Sprintf("%d%s", i, strings.Repeat("x", 1000)))
		if got := send(t, h, req); got.Allowed {
			t.Fatal("an operation that does not exist was allowed")
		}
	}
	send(t, h, create("", "Pod", pod(good)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "countersign_admission_requests_total" {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "operation" {
					got[label.GetValue()] = series.GetCounter().GetValue()
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"CREATE": 1, "other": 40}, got); diff != "" {
		t.Errorf("requests by operation (-want +got):\n%s", diff)
	}
}
