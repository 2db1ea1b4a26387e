// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// logRequests is what is measured of the requests to logs, in every replica of
// countersign. What was asked for and how it ended are closed sets.
type logRequests struct {
	results   *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

func newLogRequests() *logRequests {
	return &logRequests{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_log_requests_total",
			Help: "Requests to the servers of a transparency log, by what was asked for and how it ended.",
		}, []string{"log", "operation", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "countersign_log_request_duration_seconds",
			Help:    "How long requests to the servers of a transparency log took, whatever came of them.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"log", "operation"}),
	}
}

// of returns who is told of the requests to one log.
func (r *logRequests) of(log string) tlog.Observer { return logObserver{r, log} }

type logObserver struct {
	requests *logRequests
	log      string
}

// Requested implements tlog.Observer.
func (o logObserver) Requested(operation tlog.Operation, outcome tlog.Outcome, took time.Duration) {
	o.requests.results.WithLabelValues(o.log, string(operation), string(outcome)).Inc()
	if outcome != tlog.Skipped { // no request was made
		o.requests.durations.WithLabelValues(o.log, string(operation)).Observe(took.Seconds())
	}
}

func (r *logRequests) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{r.results, r.durations} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the series of a log that was deleted.
func (r *logRequests) forget(log string) {
	r.results.DeletePartialMatch(prometheus.Labels{"log": log})
	r.durations.DeletePartialMatch(prometheus.Labels{"log": log})
}

// logConnections collects how logs are asked at the time of a scrape, so that nothing is
// left of a log, or of an address, that is not configured any more.
type logConnections struct {
	logs     *trust.Logs
	up       *prometheus.Desc
	insecure *prometheus.Desc
}

func newLogConnections(logs *trust.Logs) *logConnections {
	return &logConnections{
		logs: logs,
		up: prometheus.NewDesc("countersign_log_replica_up",
			"0 while a server of a transparency log is left alone because it did not answer, and else 1.", []string{"log", "url"}, nil),
		insecure: prometheus.NewDesc("countersign_log_insecure_skip_verify",
			"1 if any TLS certificate of a transparency log is accepted (spec.tls.insecureSkipVerify), and else 0.", []string{"log"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *logConnections) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.up
	descriptions <- c.insecure
}

// Collect implements prometheus.Collector.
func (c *logConnections) Collect(metrics chan<- prometheus.Metric) {
	for _, connection := range c.logs.Connections() {
		metrics <- prometheus.MustNewConstMetric(c.insecure, prometheus.GaugeValue, asGauge(connection.SkipsTLSVerification), connection.Log)
		seen := map[string]bool{} // an address may stand there twice, a series may not
		for _, replica := range connection.Replicas {
			if !seen[replica.URL] {
				seen[replica.URL] = true
				metrics <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, asGauge(!replica.Down), connection.Log, replica.URL)
			}
		}
	}
}

func asGauge(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
