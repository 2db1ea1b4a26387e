// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are what an Evaluator measures.
type Metrics struct {
	verdicts  *prometheus.CounterVec
	durations prometheus.Histogram
	panics    prometheus.Counter
	insecure  *prometheus.CounterVec
	lenient   *prometheus.CounterVec
}

// NewMetrics registers the metrics with r, or nowhere when r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	factory := promauto.With(r)
	return &Metrics{
		verdicts: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_image_verdicts_total",
			Help: "Verdicts on images, by policy, its mode, outcome (Verified, Rejected, Unavailable) and reason.",
		}, []string{"policy", "mode", "outcome", "reason"}),
		durations: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_image_evaluation_duration_seconds",
			Help:    "Time to evaluate one image under all policies that cover it, shared evaluations counted once.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		panics: factory.NewCounter(prometheus.CounterOpts{
			Name: "countersign_evaluation_panics_total",
			Help: "Evaluations that panicked and were turned into refusals. Each is a bug.",
		}),
		insecure: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_insecure_acceptances_total",
			Help: "Images that a policy accepted only because of a field whose name begins with insecure.",
		}, []string{"policy", "field"}),
		lenient: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_lenient_acceptances_total",
			Help: "Images that a policy accepted without verifying them in full, by the rule in its onUnavailable and the cause.",
		}, []string{"policy", "rule", "cause"}),
	}
}

func (m *Metrics) observe(d time.Duration) { m.durations.Observe(d.Seconds()) }

func (m *Metrics) count(d Decision) {
	for _, r := range d.Policies {
		outcome, reason, _ := Outcome(r.Verdict)
		m.verdicts.WithLabelValues(r.Policy.Short(), string(r.Mode), outcome, string(reason)).Inc()
		if r.Unlogged() {
			m.insecure.WithLabelValues(r.Policy.Short(), "insecureIgnoreTlog").Inc()
		}
		if lenient := r.Leniency(); lenient != nil {
			m.lenient.WithLabelValues(r.Policy.Short(), string(lenient.Rule), string(lenient.Cause)).Inc()
		}
	}
}
