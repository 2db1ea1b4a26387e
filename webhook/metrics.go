// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	admissionv1 "k8s.io/api/admission/v1"
)

// Metrics are what the handlers measure.
type Metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

// NewMetrics registers the metrics with r, or nowhere when r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	factory := promauto.With(r)
	return &Metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_admission_requests_total",
			Help: "Admission requests, by webhook (images, pods, policies), operation (other for none that exists), and decision (allow, warn, deny, error).",
		}, []string{"webhook", "operation", "decision"}),
		durations: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "countersign_admission_duration_seconds",
			Help:    "Time from an admission request to its answer, by webhook.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"webhook"}),
	}
}

func (m *Metrics) observe(webhook string, operation admissionv1.Operation, decision string, since time.Time) {
	m.requests.WithLabelValues(webhook, operationLabel(operation), decision).Inc()
	m.durations.WithLabelValues(webhook).Observe(time.Since(since).Seconds())
}

// operationLabel keeps what a caller made up out of the metrics, whose every
// label value is kept for ever.
func operationLabel(operation admissionv1.Operation) string {
	switch operation {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect:
		return string(operation)
	default:
		return "other"
	}
}
