// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy/files"
)

func newLog() *cobra.Command {
	log := &cobra.Command{
		Use:   "log",
		Short: "Look at a transparency log, and at what this cluster has seen of it",
		Args:  cobra.NoArgs,
		RunE:  needCommand,
	}
	log.AddCommand(newLogStatus(), newLogPin(), newLogReset(), newLogProve(), newLogWatch())
	return log
}

// logOptions say where TransparencyLogs are: in files or in a cluster.
type logOptions struct {
	trust      []string
	kubeconfig string
	namespace  string
	output     string
	timeout    time.Duration
}

func (o *logOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.trust, trustFlag, nil, "file or folder of TransparencyLogs, TrustRoots and Secrets (repeatable; - is stdin)")
	o.registerCluster(f)
	f.StringVarP(&o.output, "output", "o", "text", "text, json or yaml")
	c.MarkFlagsMutuallyExclusive(trustFlag, "kubeconfig")
}

func (o *logOptions) registerCluster(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "the cluster whose logs they are; by default that of kubectl, or this Pod's")
	f.StringVar(&o.namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
}

func (o *logOptions) registerTimeout(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "timeout", time.Minute, "time for everything")
}

// logSource is the TransparencyLogs that a command is about.
type logSource struct {
	objects []v1alpha1.TransparencyLog
	logs    *trust.Logs
	// cluster is nil when the objects are from files.
	cluster client.Client
}

// load reads the objects. What they are asked over begins with the history that their
// status holds.
func (o *logOptions) load(ctx context.Context, c *cobra.Command) (*logSource, error) {
	if len(o.trust) > 0 {
		return o.fromFiles(ctx, c.InOrStdin(), c.ErrOrStderr())
	}
	cluster, err := o.connect()
	if err != nil {
		return nil, err
	}
	var logs v1alpha1.TransparencyLogList
	if err := cluster.List(ctx, &logs); err != nil {
		return nil, exitError{code: exitUnavailable, err: fmt.Errorf("reading TransparencyLogs from the cluster: %w", err)}
	}
	index := trust.LogsFromObjects(ctx, logs.Items, trust.NewNamespaceSecrets(cluster, o.namespace))
	return &logSource{objects: logs.Items, logs: index, cluster: cluster}, nil
}

func (o *logOptions) fromFiles(ctx context.Context, stdin io.Reader, stderr io.Writer) (*logSource, error) {
	objects, err := files.Read(o.trust, stdin)
	if err != nil {
		return nil, err
	}
	loaded := files.Load(objects, conversion.Options{Namespace: o.namespace})
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", warning)
	}
	if len(loaded.Problems) > 0 {
		var all []error
		for _, problem := range loaded.Problems {
			all = append(all, problem)
		}
		return nil, errors.Join(all...)
	}
	logs := withOwned(loaded, trust.RootsFromObjects(ctx, loaded.Roots, loaded.ConfigMaps), stderr)
	return &logSource{objects: logs, logs: trust.LogsFromObjects(ctx, logs, loaded.Secrets)}, nil
}

// connect returns a client for the cluster.
func (o *logOptions) connect() (client.Client, error) {
	config, err := clusterConfig(o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("no cluster is known: %w; --trust reads logs from files", err)
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	cluster, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, exitError{code: exitUnavailable, err: err}
	}
	return cluster, nil
}

// clusterConfig finds a cluster as kubectl does: in the file that is named, in those that
// KUBECONFIG names, in the one in the home folder, or around this Pod.
func clusterConfig(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}

// choose returns the log that a command names, or the only one.
func (s *logSource) choose(names []string) (*v1alpha1.TransparencyLog, error) {
	if len(names) == 0 && len(s.objects) == 1 {
		return &s.objects[0], nil
	}
	var known []string
	for i := range s.objects {
		if len(names) > 0 && s.objects[i].Name == names[0] {
			return &s.objects[i], nil
		}
		known = append(known, s.objects[i].Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("name one of %d TransparencyLogs: %s", len(known), strings.Join(known, ", "))
	}
	return nil, fmt.Errorf("%w: %q, there are: %s", trust.ErrLogNotFound, names[0], strings.Join(known, ", "))
}

// prover returns the prover of obj. That there is none is a mistake in the object, unless
// the cluster could not be asked for what it names.
func (s *logSource) prover(obj *v1alpha1.TransparencyLog) (*tlog.Prover, error) {
	prover, err := s.logs.Prover(obj.Name)
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return nil, exitError{code: exitUnavailable, err: err}
	}
	return prover, err
}

// logExit is the exit code of what a log said: an error of package tlog.
func logExit(err error) exitError {
	if _, rejected := verify.LogVerdict(err).(verify.Rejected); rejected {
		return exitError{code: exitRejected}
	}
	return exitError{code: exitUnavailable}
}

// finding is what is wrong with a log, as a reason of the closed set.
type finding struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	// Evidence holds two notes that the log signed and that cannot both be true.
	Evidence []string `json:"evidence,omitempty"`
}

func findingOf(err error) *finding {
	f := &finding{}
	switch v := verify.LogVerdict(err).(type) {
	case verify.Rejected:
		f.Reason, f.Detail = string(v.Reason), v.Detail
	case verify.Unavailable:
		f.Reason, f.Detail = string(v.Cause), v.Detail
	}
	if proven, ok := errors.AsType[*tlog.InconsistencyError](err); ok {
		f.Evidence = []string{proven.A.Note(), proven.B.Note()}
	}
	return f
}

func (f *finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.Reason, f.Detail)
	writeEvidence(&b, f.Evidence)
	return b.String()
}

// writeEvidence writes notes so that they can be cut out and verified elsewhere.
func writeEvidence(b *strings.Builder, notes []string) {
	for i, note := range notes {
		fmt.Fprintf(b, "  evidence %d of %d, signed by the log:\n%s", i+1, len(notes), quoted(note))
	}
}

// quoted is a note on lines of its own. It may be from a file, so what could drive a
// terminal is spelt out.
func quoted(note string) string {
	var b strings.Builder
	for line := range strings.Lines(note) {
		text := fmt.Sprintf("%q", strings.TrimSuffix(line, "\n"))
		fmt.Fprintf(&b, "    %s\n", text[1:len(text)-1])
	}
	return b.String()
}
