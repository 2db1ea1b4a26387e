// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controller keeps what admission needs in memory, in every replica:
// policies, and the logs, trust roots and keys that they name. In one replica, the
// leader, it also polls the logs and writes what it finds into the status of the
// objects.
package controller

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/policy"
)

// Config is what the controllers keep up to date.
type Config struct {
	// Policies is replaced as a whole whenever something that policies depend
	// on has changed.
	Policies *policy.Set
	// Logs, Roots and Secrets are where the references of policies lead, see
	// NewTrust.
	Logs    *trust.Logs
	Roots   *trust.Roots
	Secrets trust.SecretReader
	// KMS holds the keys that policies name by a URI.
	KMS *kms.Keys
	// Exceptions are kept up to date; MaxExceptionAge is how long one may last, and
	// ExceptionUses is to be told of their uses.
	Exceptions      *policy.Exceptions
	MaxExceptionAge time.Duration
	ExceptionUses   *ExceptionUses
	// Outages is to be told of what policies accept in an outage.
	Outages *Outages
	// Findings is to be told of what is admitted although a policy does not accept it.
	Findings *Findings
	// Sigstore says how objects of policy.sigstore.dev are read.
	Sigstore conversion.Options
	// requests is told of the requests to Logs.
	requests *logRequests
}

// Setup adds the controllers to m. The Readiness that it returns is ready once
// everything that exists has been loaded; add its Check to the health checks of m.
func Setup(m ctrl.Manager, config Config) (*Readiness, error) {
	ready := &Readiness{}
	loaded := make(signal, 1)
	refreshed := make(signal, 1)
	load := &loader{reader: m.GetClient(), config: config, ready: ready, loaded: loaded, again: make(signal, 1), refreshed: refreshed, named: make(signal, 1)}
	served, err := discovery.NewDiscoveryClientForConfigAndClient(m.GetConfig(), m.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	load.sigstore = &sigstoreKinds{served: served, objects: m.GetCache(), options: config.Sigstore, changed: load.again}
	load.theirs = &sigstoreStatus{client: m.GetClient(), kinds: load.sigstore, ready: ready, loaded: make(signal, 1)}
	if err := load.setup(m); err != nil {
		return nil, fmt.Errorf("loader of policies: %w", err)
	}
	status := &policyStatus{client: m.GetClient(), ready: ready, loaded: loaded}
	if err := status.setup(m); err != nil {
		return nil, fmt.Errorf("status of policies: %w", err)
	}
	refresh := &refresher{client: m.GetClient(), roots: config.Roots, changed: load.again, refreshed: refreshed}
	if err := refresh.setup(m); err != nil {
		return nil, fmt.Errorf("refresher of trust roots: %w", err)
	}
	roots := newRootStatus(m.GetClient(), config.Roots, m.GetEventRecorder("countersign"), refreshed)
	if err := roots.setup(m); err != nil {
		return nil, fmt.Errorf("status of trust roots: %w", err)
	}
	if err := roots.metrics.register(metrics.Registry); err != nil {
		return nil, fmt.Errorf("metrics of trust roots: %w", err)
	}
	load.theirs.policy, load.theirs.roots = status, roots
	if err := errors.Join(m.Add(load.sigstore), m.Add(load.theirs), m.Add(&sigstoreRefresher{refresh, load.theirs})); err != nil {
		return nil, fmt.Errorf("objects of %s: %w", v1alpha1.SigstoreGroup, err)
	}
	services := newKeyRefresher(config.KMS, load.again, load.named)
	if err := m.Add(services); err != nil {
		return nil, fmt.Errorf("refresher of keys in key services: %w", err)
	}
	if err := services.metrics.register(metrics.Registry); err != nil {
		return nil, fmt.Errorf("metrics of keys in key services: %w", err)
	}
	watch := newMonitor(m.GetClient(), config.Logs, m.GetEventRecorder("countersign"))
	if err := watch.setup(m); err != nil {
		return nil, fmt.Errorf("monitor of logs: %w", err)
	}
	if err := watch.metrics.register(metrics.Registry); err != nil {
		return nil, fmt.Errorf("metrics of logs: %w", err)
	}
	settle := &settler{client: m.GetClient(), logs: config.Logs, recorder: m.GetEventRecorder("countersign"), metrics: watch.metrics}
	if err := m.Add(settle); err != nil {
		return nil, fmt.Errorf("what follows an outage: %w", err)
	}
	if err := setupUses(m, config); err != nil {
		return nil, err
	}
	if err := metrics.Registry.Register(newLogConnections(config.Logs)); err != nil {
		return nil, fmt.Errorf("metrics of connections to logs: %w", err)
	}
	if err := config.requests.register(metrics.Registry); err != nil {
		return nil, fmt.Errorf("metrics of requests to logs: %w", err)
	}
	return ready, nil
}

// setupUses adds what shows each use of an exception or an outage rule, and what
// policies that do not refuse found.
func setupUses(m ctrl.Manager, config Config) error {
	exceptions := &exceptionStatus{client: m.GetClient(), maxAge: config.MaxExceptionAge}
	if err := exceptions.setup(m); err != nil {
		return fmt.Errorf("status of exceptions: %w", err)
	}
	config.ExceptionUses.client, config.ExceptionUses.recorder = m.GetClient(), m.GetEventRecorder("countersign")
	config.Outages.client, config.Outages.recorder = m.GetClient(), m.GetEventRecorder("countersign")
	config.Findings.recorder = m.GetEventRecorder("countersign")
	if err := errors.Join(m.Add(config.Outages), m.Add(config.ExceptionUses), m.Add(config.Findings)); err != nil {
		return fmt.Errorf("events about admissions: %w", err)
	}
	return nil
}

// NewTrust returns what policies of a cluster can refer to: its logs, whose history
// is in the status of their objects, its trust roots, and the Secrets of
// countersign's own namespace. Config.Policies is for the caller to fill in.
func NewTrust(c cluster.Cluster, namespace string) Config {
	secrets := trust.NewNamespaceSecrets(c.GetClient(), namespace)
	history := func(log *v1alpha1.TransparencyLog) tlog.History {
		return trust.NewStatusHistory(log, c.GetClient(), c.GetAPIReader(), c.GetClient().Status())
	}
	requests := newLogRequests()
	return Config{
		Logs:    trust.NewLogs(history, secrets, requests.of),
		Roots:   trust.NewRoots(trust.NewNamespaceConfigMaps(c.GetClient(), namespace)),
		Secrets: secrets,
		Outages: &Outages{}, Findings: &Findings{},

		Exceptions: &policy.Exceptions{}, MaxExceptionAge: v1alpha1.DefaultMaxExceptionAge, ExceptionUses: &ExceptionUses{},
		requests: requests,
	}
}

// CacheOptions returns the options for the manager's cache: of Secrets and
// ConfigMaps, it reads those in namespace and no others, which is all that
// countersign may.
func CacheOptions(namespace string) cache.Options {
	return cache.Options{
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:    {Namespaces: map[string]cache.Config{namespace: {}}},
			&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{namespace: {}}},
		},
		DefaultTransform: cache.TransformStripManagedFields(),
	}
}
