// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/registry/pullsecrets"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/policy"
)

// Names of the objects in config/ that countersign itself reads or writes.
const (
	defaultNamespace  = "countersign-system"
	certificateSecret = "countersign-webhook-cert"
	mutatingWebhook   = "countersign-mutating"
	validatingWebhook = "countersign-validating"
	leaderLease       = "countersign"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	kubeconfig, namespace string

	webhookAddress string
	webhookPort    int
	webhookService string
	certDir        string

	metricsAddress, probeAddress string
	leaderElect                  bool
	shutdownDelay                time.Duration

	noMatch    string
	pinDigests bool
	sigstore   sigstoreOptions
	exceptions time.Duration
	registries registryOptions
	secrets    pullSecretOptions
	extractors string

	kmsRefreshInterval, kmsMaxAge time.Duration

	logLevel, logFormat string
}

func (o *serveOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server; by default as a Pod of the cluster")
	f.StringVar(&o.namespace, "namespace", defaultNamespace, "countersign's own namespace")
	f.StringVar(&o.webhookAddress, "webhook-bind-address", "0.0.0.0", "address that the webhook is served at")
	f.IntVar(&o.webhookPort, "webhook-port", 9443, "port that the webhook is served at")
	f.StringVar(&o.webhookService, "webhook-service", "countersign-webhook", "name of the Service in front of the webhook, which the certificate is for")
	f.StringVar(&o.certDir, "cert-dir", filepath.Join(os.TempDir(), "countersign"), "folder for the public part of the webhook's certificate; it must be writable")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address that metrics are served at; 0 for none")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address that /healthz and /readyz are served at")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "have one of several replicas do the background work")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", 5*time.Second, "time to go on serving after the signal to end, until nobody sends requests any more")
	f.StringVar(&o.noMatch, "no-match-policy", string(policy.NoMatchAllow), "what happens to an image that no policy covers: allow, warn or deny")
	f.BoolVar(&o.pinDigests, "pin-digests", true, "pin the images of Pods to digests, and refuse Pods whose covered images are not")
	o.sigstore.register(f)
	f.DurationVar(&o.exceptions, "max-exception-age", v1alpha1.DefaultMaxExceptionAge, "how long an ImagePolicyException may last from its creation; one that lasts longer does nothing")
	o.registries.register(f)
	o.registries.registerIdentities(f)
	o.secrets.register(f, pullsecrets.None)
	registerExtractors(f, &o.extractors)
	f.DurationVar(&o.kmsRefreshInterval, "kms-refresh-interval", kms.DefaultRefreshInterval, "time after which a key service is asked again for a public key")
	f.DurationVar(&o.kmsMaxAge, "kms-max-age", kms.DefaultMaxAge, "time for which a public key is believed while its key service does not answer")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "json", "json or text")
}

// minKMSRefresh keeps a slip of the hand from being a burden to a key service.
const minKMSRefresh = time.Second

// keys returns the index of keys in key services that the flags ask for.
func (o *serveOptions) keys() (*kms.Keys, error) {
	if o.kmsRefreshInterval < minKMSRefresh {
		return nil, fmt.Errorf("--kms-refresh-interval: %v is less than %v", o.kmsRefreshInterval, minKMSRefresh)
	}
	if o.kmsMaxAge < o.kmsRefreshInterval {
		return nil, fmt.Errorf("--kms-max-age: %v is less than --kms-refresh-interval", o.kmsMaxAge)
	}
	return kms.New(kms.Options{Providers: kmsProviders(), RefreshInterval: o.kmsRefreshInterval, MaxAge: o.kmsMaxAge}), nil
}

// logHandler returns the handler of logs that the flags ask for.
func (o *serveOptions) logHandler(w io.Writer) (slog.Handler, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: plainLevel}
	switch o.logFormat {
	case "json":
		return slog.NewJSONHandler(w, options), nil
	case "text":
		return slog.NewTextHandler(w, options), nil
	default:
		return nil, fmt.Errorf("--log-format: %q is neither json nor text", o.logFormat)
	}
}

// plainLevel names every level below info "DEBUG": logr has many of them.
func plainLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && level < slog.LevelInfo {
		a.Value = slog.StringValue(slog.LevelDebug.String())
	}
	return a
}

// restConfig says how to reach the API server.
func (o *serveOptions) restConfig() (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	if o.kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	}
	if err != nil {
		return nil, err
	}
	config.UserAgent = "countersign"
	// The API server has its own fairness; ours must not slow a rotation down.
	config.QPS, config.Burst = 100, 200
	return config, nil
}

// newScheme returns the kinds that countersign reads and writes.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, v1alpha1.AddToScheme(scheme)
}
