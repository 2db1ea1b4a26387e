// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/pkg/image"
)

// How a request ended, as metrics name it.
const (
	outcomeAnswered     = "answered"     // 2xx, and what is as good: a redirect
	outcomeChallenged   = "challenged"   // 401 to who showed no credential
	outcomeAbsent       = "absent"       // 404
	outcomeUnauthorized = "unauthorized" // 401 to a credential, 403
	outcomeThrottled    = "throttled"    // 429
	outcomeRejected     = "rejected"     // any other 4xx
	outcomeFailed       = "failed"       // 5xx, or an answer that was cut
	outcomeForbidden    = "forbidden"    // by our own rules: not sent
	outcomeUntrusted    = "untrusted"    // its certificate does not verify
	outcomeUnreachable  = "unreachable"  // no connection, or one that ended early
	outcomeStalled      = "stalled"      // no answer in time
	outcomeAbandoned    = "abandoned"    // nobody waits for it any more
)

// otherRegistries is what all registries are called in metrics that nobody who may
// configure anything has named.
const otherRegistries = "other"

// Metrics measure the requests of a Client, the one that was made with them. They are a
// prometheus.Collector.
//
// Whoever creates a Pod names its registry, and every value of a label is kept for ever.
// So a registry has a label of its own only if the configuration or a policy of the
// cluster names it.
type Metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	leftAlone *prometheus.Desc
	named     func(registry string) bool
	core      atomic.Pointer[core]
}

// NewMetrics returns metrics that measure nothing yet. named says of a registry, as
// image.Reference.Registry has it, whether it may have a label of its own besides those
// in the configuration; nil means that it may not.
func NewMetrics(named func(registry string) bool) *Metrics {
	if named == nil {
		named = func(string) bool { return false }
	}
	return &Metrics{
		named: named,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_registry_requests_total",
			Help: "Requests to a registry, or to a host that it refers to, by how they ended.",
		}, []string{"registry", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "countersign_registry_request_duration_seconds",
			Help:    "How long requests to a registry, or to a host that it refers to, took until the answer had been read, whatever it was.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"registry"}),
		leftAlone: prometheus.NewDesc("countersign_registry_left_alone",
			"How many registries of this name (one, or several that are \"other\") are not asked now, because they are down, or throttle a credential.", []string{"registry", "cause"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	m.requests.Describe(descriptions)
	m.durations.Describe(descriptions)
	descriptions <- m.leftAlone
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	m.requests.Collect(metrics)
	m.durations.Collect(metrics)
	c := m.core.Load()
	if c == nil {
		return
	}
	type state struct{ down, throttled int }
	states := map[string]*state{}
	via := c.connections.Load()
	for _, l := range via.lanes.Values() {
		label := m.label(via, l.host)
		s, ok := states[label]
		if !ok {
			s = &state{}
			states[label] = s
		}
		if l.circuit.isOpen() {
			s.down++
		}
		if l.isThrottled() {
			s.throttled++
		}
	}
	for label, s := range states {
		metrics <- prometheus.MustNewConstMetric(m.leftAlone, prometheus.GaugeValue, float64(s.down), label, "down")
		metrics <- prometheus.MustNewConstMetric(m.leftAlone, prometheus.GaugeValue, float64(s.throttled), label, "throttled")
	}
}

// label is what a registry is called.
func (m *Metrics) label(via *connections, host string) string {
	normal := image.NormaliseHost(host)
	if via.named[host] || via.named[normal] || m.named(normal) {
		return normal
	}
	return otherRegistries
}

// count takes note of an exchange. m may be nil.
func (m *Metrics) count(req *http.Request, status int, took time.Duration, err error) {
	j, ok := req.Context().Value(journeyKey).(journey)
	if m == nil || !ok || errors.Is(err, errGuess) {
		return
	}
	label, outcome := m.label(j.via, j.home), outcomeOf(req, status, err)
	m.requests.WithLabelValues(label, outcome).Inc()
	if outcome != outcomeForbidden { // no request was made
		m.durations.WithLabelValues(label).Observe(took.Seconds())
	}
}

func outcomeOf(req *http.Request, status int, err error) string {
	if err != nil {
		return failureOf(req.Context(), status, err)
	}
	switch {
	case status == http.StatusUnauthorized && req.Header.Get("Authorization") == "":
		return outcomeChallenged
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return outcomeUnauthorized
	case status == http.StatusNotFound:
		return outcomeAbsent
	case status == http.StatusTooManyRequests:
		return outcomeThrottled
	case status >= http.StatusInternalServerError:
		return outcomeFailed
	case status >= http.StatusBadRequest:
		return outcomeRejected
	}
	return outcomeAnswered
}

// failureOf is the outcome of a request without an answer, or (if there is a status)
// with one that could not be read.
func failureOf(ctx context.Context, status int, err error) string {
	var (
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		network   net.Error
	)
	switch {
	case errors.Is(err, errRefused):
		return outcomeForbidden
	case errors.Is(err, errTooLarge): // which the verdict says
		return outcomeAnswered
	case errors.Is(ctx.Err(), context.Canceled):
		return outcomeAbandoned
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return outcomeStalled
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &hostname):
		return outcomeUntrusted
	case status != 0:
		return outcomeFailed
	}
	return outcomeUnreachable
}
