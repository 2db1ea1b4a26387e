// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// logMetrics is what the monitor measures, by log. The series of a log exist in
// the replica that polls it: the leader.
type logMetrics struct {
	size            *prometheus.GaugeVec
	witnessed       *prometheus.GaugeVec
	verified        *prometheus.GaugeVec
	consistent      *prometheus.GaugeVec
	inconsistencies *prometheus.CounterVec
	resets          *prometheus.CounterVec
	// unasked exists in every replica.
	unasked *prometheus.GaugeVec
}

func newLogMetrics() *logMetrics {
	labels := []string{"log"}
	return &logMetrics{
		size: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_tree_size",
			Help: "Number of entries in the last verified checkpoint of a transparency log.",
		}, labels),
		witnessed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_witnessed_tree_size",
			Help: "Number of entries in the last checkpoint of a transparency log that enough witnesses have cosigned, where the log asks for witnesses.",
		}, labels),
		verified: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_last_verified_timestamp_seconds",
			Help: "When a transparency log was last polled and found consistent, in seconds since 1970 UTC.",
		}, labels),
		consistent: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_consistent",
			Help: "0 while what a transparency log shows does not fit what was seen of it before (condition Consistent is False), and else 1.",
		}, labels),
		inconsistencies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_log_inconsistencies_total",
			Help: "How often a transparency log was caught with a checkpoint that is invalid, or inconsistent with its history.",
		}, labels),
		resets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_log_resets_total",
			Help: "How often what was seen of a transparency log was given up, or evidence against it put away, because spec.reset asked for it.",
		}, labels),
		unasked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_log_unasked_checkpoints",
			Help: "Checkpoints of a transparency log that this replica accepted while the log could not be asked about them, and has not asked about since.",
		}, labels),
	}
}

func (m *logMetrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.size, m.witnessed, m.verified, m.consistent, m.inconsistencies, m.resets, m.unasked} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the series of a log that was deleted.
func (m *logMetrics) forget(log string) {
	m.size.DeleteLabelValues(log)
	m.witnessed.DeleteLabelValues(log)
	m.verified.DeleteLabelValues(log)
	m.consistent.DeleteLabelValues(log)
	m.inconsistencies.DeleteLabelValues(log)
	m.resets.DeleteLabelValues(log)
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

// keyMetrics is what is measured of keys in key services, by URI, in every replica.
type keyMetrics struct {
	read  *prometheus.GaugeVec
	fresh *prometheus.GaugeVec
}

func newKeyMetrics() *keyMetrics {
	labels := []string{"key"}
	return &keyMetrics{
		read: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_kms_key_read_timestamp_seconds",
			Help: "When a key was last read from its key service, in seconds since 1970 UTC.",
		}, labels),
		fresh: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_kms_key_fresh",
			Help: "1 if what is in force of a key is what its key service said when it was asked last, and 0 if it did not answer or there is no key.",
		}, labels),
	}
}

func (m *keyMetrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.read, m.fresh} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// measure shows what is known of all keys, and nothing of those that were forgotten.
func (m *keyMetrics) measure(states map[string]kms.State) {
	m.read.Reset()
	m.fresh.Reset()
	for uri, state := range states {
		fresh := 0.0
		if state.Err == nil && state.Stale == nil {
			fresh = 1
		}
		m.fresh.WithLabelValues(uri).Set(fresh)
		if state.Err == nil {
			m.read.WithLabelValues(uri).Set(float64(state.ReadAt.Unix()))
		}
	}
}
