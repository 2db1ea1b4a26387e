// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/config"
	"github.com/countersign-dev/countersign/pkg/registry/workload"
)

// insecureVariable names registries to speak to by plain HTTP, with commas between
// them, where no flag does: for a shell in which many commands are typed.
const insecureVariable = "COUNTERSIGN_INSECURE_REGISTRIES"

// configInterval is how often the configuration of registries is read. The kubelet
// takes longer than that to bring a ConfigMap's change to a Pod.
const configInterval = 10 * time.Second

// registryOptions say how registries are reached, in every command that asks them.
type registryOptions struct {
	config   string
	insecure []string
	// identities name the cloud providers whose identity is used at their registries.
	identities []string
}

func (o *registryOptions) register(f *pflag.FlagSet) {
	var named []string
	if list := os.Getenv(insecureVariable); list != "" {
		named = strings.Split(list, ",")
	}
	f.StringVar(&o.config, "registry-config", "", "file that says how registries are reached: certificates, proxies, mirrors (docs/registries.md)")
	f.StringArrayVar(&o.insecure, "insecure-registry", named, "host[:port] of a registry to speak to by plain HTTP (repeatable; else $"+insecureVariable+", with commas)")
}

// registerIdentities is for the commands that run in a cluster: people have logged in.
func (o *registryOptions) registerIdentities(f *pflag.FlagSet) {
	f.StringArrayVar(&o.identities, "registry-identity", nil, "amazon, azure or google: ask that provider's registries by the identity that it gives this workload (repeatable)")
}

// keychain returns this program's own credentials: what Docker's configuration says, and
// what its identities are given.
func (o *registryOptions) keychain() (authn.Keychain, error) {
	all := []authn.Keychain{authn.DefaultKeychain}
	providers := identityProviders()
	for _, name := range o.identities {
		p, ok := providers[name]
		if !ok {
			return nil, fmt.Errorf("--registry-identity: this build knows %q, not %q", slices.Sorted(maps.Keys(providers)), name)
		}
		all = append(all, workload.NewKeychain(p))
	}
	return authn.NewMultiKeychain(all...), nil
}

// open returns a client with further options, and the file to follow, which is nil if there is none.
func (o *registryOptions) open(options registry.Options) (*registry.Client, *config.File, error) {
	keychain, err := o.keychain()
	if err != nil {
		return nil, nil, err
	}
	options.Keychain, options.InsecureRegistries = keychain, o.insecure
	if o.config == "" {
		return registry.New(options), nil, nil
	}
	file, hosts, err := config.Open(o.config)
	if err != nil {
		return nil, nil, fmt.Errorf("--registry-config: %w", err)
	}
	options.Hosts = hosts
	return registry.New(options), file, nil
}

// follow returns a client that is measured, and follows the file for as long as m runs.
// named says which registries policies name.
func (o *registryOptions) follow(m manager.Manager, log logr.Logger, named func(string) bool) (*registry.Client, error) {
	measured := registry.NewMetrics(named)
	if err := metrics.Registry.Register(measured); err != nil {
		return nil, err
	}
	client, file, err := o.open(registry.Options{Logger: log, Metrics: measured})
	if err != nil || file == nil {
		return client, err
	}
	return client, m.Add(newRegistryFollower(file, client, log, metrics.Registry))
}

// registryFollower brings changes of the file to the client, in every replica.
// What cannot be used changes nothing: what was said last counts on.
type registryFollower struct {
	file   *config.File
	client *registry.Client
	log    logr.Logger
	good   prometheus.Gauge
}

func newRegistryFollower(file *config.File, client *registry.Client, log logr.Logger, registerer prometheus.Registerer) *registryFollower {
	good := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "countersign_registry_config_last_reload_successful",
		Help: "Whether the file --registry-config could be used when it was last read: 1, or 0 while an earlier content counts on.",
	})
	good.Set(1)
	registerer.MustRegister(good)
	return &registryFollower{file: file, client: client, log: log, good: good}
}

// Start implements manager.Runnable.
func (r *registryFollower) Start(ctx context.Context) error {
	r.file.Follow(ctx, configInterval, func(hosts registry.Hosts, err error) {
		if err != nil {
			r.good.Set(0)
			r.log.Error(err, "The configuration of registries has changed and cannot be used: what it said before counts on")
			return
		}
		r.client.SetHosts(hosts)
		r.good.Set(1)
		r.log.Info("The configuration of registries has changed", "registries", len(hosts))
	})
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*registryFollower) NeedLeaderElection() bool { return false }

// traceTo returns what writes each exchange to w, on one line.
func traceTo(w io.Writer) func(registry.Exchange) {
	var mu sync.Mutex
	return func(e registry.Exchange) {
		outcome := fmt.Sprintf("%d, %d bytes", e.Status, e.Bytes)
		if e.Problem != "" {
			outcome = e.Problem
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%7.1f ms  %-4s %s  → %s\n", float64(e.Took.Microseconds())/1000, e.Method, e.URL, outcome)
	}
}
