// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/controller"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/pullsecrets"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/webhook"
)

// gracePeriod is for requests in flight once the servers have been told to end.
// It is longer than the timeout in config/webhook, and with the shutdown delay it
// fits into the termination grace period in config/manager.
const gracePeriod = 20 * time.Second

func newServe() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the admission webhook and the controllers",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			noMatch, err := policy.ParseNoMatch(o.noMatch)
			if err != nil {
				return fmt.Errorf("--no-match-policy: %w", err)
			}
			extractor, err := newExtractor(o.extractors)
			if err != nil {
				return err
			}
			if err := o.secrets.check(); err != nil {
				return err
			}
			handler, err := o.logHandler(c.ErrOrStderr())
			if err != nil {
				return err
			}
			keys, err := o.keys()
			if err != nil {
				return err
			}
			sigstore, err := o.sigstore.options(o.namespace)
			if err != nil {
				return err
			}
			log := logr.FromSlogHandler(handler)
			ctrl.SetLogger(log)
			klog.SetLogger(log)
			slog.SetDefault(slog.New(handler)) // what net/http says about handshakes
			if err := o.serve(c.Context(), log, decisions{noMatch, extractor, keys, sigstore}); err != nil {
				return exitError{code: exitRejected, err: err}
			}
			return nil
		},
	}
	o.register(c.Flags())
	return c
}

// decisions are flags that are more than text.
type decisions struct {
	noMatch   policy.NoMatch
	extractor *image.Extractor
	keys      *kms.Keys
	sigstore  conversion.Options
}

// serve runs until ctx ends and everything in flight has been answered.
func (o *serveOptions) serve(ctx context.Context, log logr.Logger, d decisions) error {
	certificate := webhook.NewCertificate(
		types.NamespacedName{Namespace: o.namespace, Name: certificateSecret},
		fmt.Sprintf("%s.%s.svc", o.webhookService, o.namespace), o.certDir, log.WithName("certificate"))
	m, err := o.newManager(log, certificate)
	if err != nil {
		return err
	}
	config := controller.NewTrust(m, o.namespace)
	config.Policies, config.KMS, config.Sigstore = policy.NewSet(), d.keys, d.sigstore
	config.MaxExceptionAge = o.exceptions
	loaded, err := controller.Setup(m, config)
	if err != nil {
		return err
	}
	registries, err := o.registries.follow(m, log.WithName("registry"), config.Policies.NamesRegistry)
	if err != nil {
		return err
	}
	namespaces, err := controller.NewNamespaces(ctx, m)
	if err != nil {
		return err
	}
	secrets, err := o.secrets.reader(m.GetConfig(), client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()}, pullsecrets.Options{Log: log.WithName("pull-secrets")})
	if err != nil {
		return err
	}
	evaluation := policy.Options{
		Policies: config.Policies, Registry: registries, Tenants: tenants{client: registries, secrets: secrets}, Namespaces: namespaces, Lenient: config.Outages.Note,
		Exceptions: config.Exceptions, Excepted: config.ExceptionUses.Note,
	}
	o.addHandlers(m, log.WithName("webhook"), evaluation, d, config.Findings, loaded.Check)
	rotation := webhook.Rotation{
		Certificate: certificate, Mutating: mutatingWebhook, Validating: validatingWebhook, LeaderElection: o.leaderElect,
	}
	if err := rotation.Add(m); err != nil {
		return fmt.Errorf("certificate rotation: %w", err)
	}
	var draining atomic.Bool
	if err := addChecks(m, certificate, loaded.Check, &draining); err != nil {
		return err
	}
	return m.Start(drained(ctx, log, o.shutdownDelay, &draining))
}

func (o *serveOptions) newManager(log logr.Logger, certificate *webhook.Certificate) (manager.Manager, error) {
	config, err := o.restConfig()
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	grace := gracePeriod
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        log,
		Cache:                         controller.CacheOptions(o.namespace),
		WebhookServer:                 webhook.NewServer(o.webhookAddress, o.webhookPort, certificate),
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaderLease,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
	})
}

func (o *serveOptions) addHandlers(m manager.Manager, log logr.Logger, options policy.Options, d decisions, findings *controller.Findings, loaded healthz.Checker) {
	options.Metrics, options.Log = policy.NewMetrics(metrics.Registry), log
	evaluator := policy.NewEvaluator(options)
	measured, inFlight := webhook.NewMetrics(metrics.Registry), webhook.NewInFlight()
	server := m.GetWebhookServer()
	server.Register(webhook.PathImages, webhook.Handler(webhook.WhenReady(loaded, &webhook.Images{
		Extractor: d.extractor, Decider: evaluator, NoMatch: d.noMatch, PinDigests: o.pinDigests, Admitted: findings.Note,
		Metrics: measured, Log: log,
	}), inFlight))
	pods := &webhook.Pods{Extractor: d.extractor, Pinner: evaluator, Metrics: measured, Log: log}
	if !o.pinDigests {
		pods.Pinner = unpinned{}
	}
	server.Register(webhook.PathPods, webhook.Handler(webhook.WhenReady(loaded, pods), inFlight))
	server.Register(webhook.PathPolicies, webhook.Handler(&webhook.Policies{
		Reader: m.GetClient(), Live: m.GetAPIReader(), Sigstore: d.sigstore, MaxExceptionAge: o.exceptions, Metrics: measured, Log: log,
	}, inFlight))
}

// unpinned is the Pinner for --pin-digests=false.
type unpinned struct{}

func (unpinned) Pin(_ context.Context, _ policy.Origin, image string) (string, error) {
	return image, nil
}

func addChecks(m manager.Manager, certificate *webhook.Certificate, loaded healthz.Checker, draining *atomic.Bool) error {
	ready := map[string]healthz.Checker{
		"certificate": certificate.Ready,
		"webhook":     m.GetWebhookServer().StartedChecker(),
		"policies":    loaded,
		"draining": func(*http.Request) error {
			if draining.Load() {
				return errors.New("shutting down")
			}
			return nil
		},
	}
	for name, check := range ready {
		if err := m.AddReadyzCheck(name, check); err != nil {
			return err
		}
	}
	return m.AddHealthzCheck("ping", healthz.Ping)
}

// drained returns a context that ends a while after ctx: readiness fails at once,
// and requests are served until whoever sends them has noticed.
func drained(ctx context.Context, log logr.Logger, delay time.Duration, draining *atomic.Bool) context.Context {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		draining.Store(true)
		log.Info("Shutting down", "delay", delay.String())
		time.AfterFunc(delay, cancel)
	})
	return later
}
