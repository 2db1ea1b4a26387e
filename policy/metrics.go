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
	excepted  *prometheus.CounterVec
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
		excepted: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_exception_uses_total",
			Help: "Refusals of a policy that an ImagePolicyException set aside, by policy and by the exception's namespace.",
		}, []string{"policy", "namespace"}),
	}
}

// measured is how metrics name a policy. Those of a namespace are one: their names are the
// owner's to choose, as many as he likes, and every value of a label is kept for ever.
func measured(policy ID) string {
	if policy.Namespace != "" {
		return policy.Namespace + "/*"
	}
	return policy.Short()
}

func (m *Metrics) observe(d time.Duration) { m.durations.Observe(d.Seconds()) }

func (m *Metrics) count(d Decision) {
	for _, r := range d.Policies {
		outcome, reason, _ := Outcome(r.Verdict)
		m.verdicts.WithLabelValues(measured(r.Policy), string(r.Mode), outcome, string(reason)).Inc()
		if r.Unlogged() {
			m.insecure.WithLabelValues(measured(r.Policy), "insecureIgnoreTlog").Inc()
		}
		if r.Exception != nil {
			m.excepted.WithLabelValues(measured(r.Policy), r.Exception.Namespace).Inc()
		}
		if lenient := r.Leniency(); lenient != nil {
			m.lenient.WithLabelValues(r.Policy.Short(), string(lenient.Rule), string(lenient.Cause)).Inc()
		}
	}
}
