// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import "github.com/prometheus/client_golang/prometheus"

// logMetrics is what the monitor measures, by log. The series of a log exist in
// the replica that polls it: the leader.
type logMetrics struct {
	size            *prometheus.GaugeVec
	verified        *prometheus.GaugeVec
	inconsistencies *prometheus.CounterVec
}

func newLogMetrics() *logMetrics {
	labels := []string{"log"}
	return &logMetrics{
		size: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_tree_size",
			Help: "Number of entries in the last verified checkpoint of a transparency log.",
		}, labels),
		verified: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_last_verified_timestamp_seconds",
			Help: "When a transparency log was last polled and found consistent, in seconds since 1970 UTC.",
		}, labels),
		inconsistencies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_log_inconsistencies_total",
			Help: "How often a transparency log was caught with a checkpoint that is invalid, or inconsistent with its history.",
		}, labels),
	}
}

func (m *logMetrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.size, m.verified, m.inconsistencies} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the series of a log that was deleted.
func (m *logMetrics) forget(log string) {
	m.size.DeleteLabelValues(log)
	m.verified.DeleteLabelValues(log)
	m.inconsistencies.DeleteLabelValues(log)
}

// rootMetrics is what is measured of trust roots, by name, in the leader.
type rootMetrics struct {
	expiry *prometheus.GaugeVec
	fresh  *prometheus.GaugeVec
}

func newRootMetrics() *rootMetrics {
	labels := []string{"trustroot"}
	return &rootMetrics{
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_trustroot_expiry_timestamp_seconds",
			Help: "When the first part of a trust root ends, in seconds since 1970 UTC.",
		}, labels),
		fresh: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_trustroot_fresh",
			Help: "1 if what is in force of a trust root is what its source says now, and 0 if not.",
		}, labels),
	}
}

func (m *rootMetrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.expiry, m.fresh} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the series of a trust root that was deleted.
func (m *rootMetrics) forget(root string) {
	m.expiry.DeleteLabelValues(root)
	m.fresh.DeleteLabelValues(root)
}
