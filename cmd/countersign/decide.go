// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/controller"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/registry/pullsecrets"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/policy/files"
)

// decideOptions say by which policies to decide, and how to show it.
type decideOptions struct {
	policies, trust []string
	kubeconfig      string
	namespace       string
	sigstore        sigstoreOptions
	asNamespace     string
	registries      registryOptions
	secrets         pullSecretOptions
	verbose         bool
	noMatch         string
	output          string
	timeout         time.Duration
}

func (o *decideOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.policies, "policy", nil, "file or folder of policies, and of the logs and Secrets that they name (repeatable; - is stdin)")
	f.StringArrayVar(&o.trust, "trust", nil, "file or folder of further TransparencyLogs and Secrets (repeatable)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "take policies, logs and Secrets from this cluster instead")
	f.StringVar(&o.namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
	o.sigstore.register(f)
	f.StringVar(&o.asNamespace, "as-namespace", "", "namespace that the images are to run in, where an object does not say; by default nobody knows, and policies cover them whatever namespaces they select")
	o.registries.register(f)
	o.secrets.register(f, pullsecrets.All)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show each request to a registry, on standard error: how long it took and what came of it, without credentials")
	f.StringVar(&o.noMatch, "no-match-policy", string(policy.NoMatchDeny), "what an image is that no policy covers: allow, warn or deny")
	f.StringVarP(&o.output, "output", "o", "text", "text, json or yaml")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "time for all images together")
	c.MarkFlagsMutuallyExclusive("policy", "kubeconfig")
	c.MarkFlagsMutuallyExclusive("trust", "kubeconfig")
	for _, flag := range []string{pullSecretsFlag, pullSecretNameFlag} { // which are in a cluster
		c.MarkFlagsMutuallyExclusive("policy", flag)
	}
	c.MarkFlagsOneRequired("policy", "kubeconfig")
}

// verify decides about the images, which are those of manifests if there are any, and
// prints the decisions. The error is an
// exitError with the code of the worst verdict.
func (o *decideOptions) verify(c *cobra.Command, images []located, without int, manifests []files.Object) error {
	noMatch, err := policy.ParseNoMatch(o.noMatch)
	if err != nil {
		return fmt.Errorf("--no-match-policy: %w", err)
	}
	if err := o.secrets.check(); err != nil {
		return err
	}
	show, err := printerFor(o.output)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
	defer cancel()
	evaluator, hasOwn, err := o.evaluator(ctx, manifests, c.InOrStdin(), c.ErrOrStderr())
	if err != nil {
		return err
	}
	if placeless := slices.ContainsFunc(images, func(i located) bool { return i.origin.Namespace == "" }); placeless && hasOwn {
		return errors.New("--as-namespace: which ImagePolicies cover an image depends on its namespace, and nobody says which that is")
	}
	report := newReport(ctx, evaluator, images, without, noMatch)
	if err := show(c.OutOrStdout(), report); err != nil {
		return exitError{code: exitUnavailable, err: err}
	}
	if code := report.exitCode(); code != exitVerified {
		return exitError{code: code}
	}
	return nil
}

// evaluator returns the evaluator of admission, under policies from files or from
// a cluster, and whether there are policies of namespaces.
func (o *decideOptions) evaluator(ctx context.Context, manifests []files.Object, stdin io.Reader, stderr io.Writer) (*policy.Evaluator, bool, error) {
	var set *policy.Set
	var namespaces policy.Namespaces
	var secrets *pullsecrets.Reader
	var err error
	if o.kubeconfig != "" {
		set, namespaces, secrets, err = o.fromCluster(ctx, stderr)
	} else {
		set, namespaces, err = o.fromFiles(ctx, manifests, stdin, stderr)
	}
	if err != nil {
		return nil, false, err
	}
	if set.Len() == 0 {
		return nil, false, errors.New("there is no ClusterImagePolicy or ImagePolicy to decide by")
	}
	var trace func(registry.Exchange)
	if o.verbose {
		trace = traceTo(stderr)
	}
	registries, _, err := o.registries.open(registry.Options{Trace: trace})
	if err != nil {
		return nil, false, err
	}
	options := policy.Options{Policies: set, Registry: registries, Namespaces: namespaces}
	if secrets != nil {
		options.Tenants = tenants{client: registries, secrets: secrets, nowhere: namespaceless()}
	}
	return policy.NewEvaluator(options), set.HasOwn(), nil
}

// namespaceless says why an object has no pull secrets of which nobody knows where it is.
func namespaceless() *keyring.Keyring {
	return keyring.New(keyring.Part{Owner: "pull secrets", Problem: "are not read, since nobody says in which namespace they are (--as-namespace)"})
}

func (o *decideOptions) fromFiles(ctx context.Context, manifests []files.Object, stdin io.Reader, stderr io.Writer) (*policy.Set, policy.Namespaces, error) {
	options, err := o.sigstore.options(o.namespace)
	if err != nil {
		return nil, nil, err
	}
	objects, err := files.Read(append(append([]string{}, o.policies...), o.trust...), stdin)
	if err != nil {
		return nil, nil, err
	}
	loaded := files.Load(objects, options)
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", warning)
	}
	if len(loaded.Problems) > 0 {
		var all []error
		for _, problem := range loaded.Problems {
			all = append(all, problem)
		}
		return nil, nil, errors.Join(all...)
	}
	if err := loaded.Namespaces.Add(manifests); err != nil {
		return nil, nil, err
	}
	if n := len(loaded.Exceptions); n > 0 {
		fmt.Fprintf(stderr, "warning: %d ImagePolicyExceptions are left out: they say nothing of an image\n", n)
	}
	roots := trust.RootsFromObjects(ctx, loaded.Roots, loaded.ConfigMaps)
	logs := trust.LogsFromObjects(ctx, withOwned(loaded, roots, stderr), loaded.Secrets)
	all := ours(loaded.Policies)
	return compileAll(ctx, all, loaded.Own, policy.Trust{Logs: logs, Roots: roots, Secrets: loaded.Secrets, KMS: keysOf(ctx, all)}, stderr), loaded.Namespaces, nil
}

// withOwned returns the logs in the files, and those that a cluster would make of
// the trust roots there. Of those that it would make none of, a warning says why.
func withOwned(loaded files.Resources, roots *trust.Roots, stderr io.Writer) []v1alpha1.TransparencyLog {
	logs := loaded.Logs
	for i := range loaded.Roots {
		state, _ := roots.State(&loaded.Roots[i])
		all, err := trust.OwnedLogs(&loaded.Roots[i], state)
		if err != nil {
			fmt.Fprintf(stderr, "warning: TrustRoot %q: %v\n", loaded.Roots[i].Name, err)
		}
		for _, owned := range all {
			if !slices.ContainsFunc(logs, func(l v1alpha1.TransparencyLog) bool { return l.Name == owned.Name }) {
				logs = append(logs, owned)
			}
		}
	}
	return logs
}

func (o *decideOptions) fromCluster(ctx context.Context, stderr io.Writer) (*policy.Set, policy.Namespaces, *pullsecrets.Reader, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, nil, nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, nil, nil, err
	}
	cluster, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, nil, exitError{code: exitUnavailable, err: err}
	}
	var policies v1alpha1.ClusterImagePolicyList
	var own v1alpha1.ImagePolicyList
	var logs v1alpha1.TransparencyLogList
	var trustRoots v1alpha1.TrustRootList
	for _, list := range []client.ObjectList{&policies, &own, &logs, &trustRoots} {
		if err := cluster.List(ctx, list); err != nil {
			return nil, nil, nil, exitError{code: exitUnavailable, err: fmt.Errorf("reading policies and logs from the cluster: %w", err)}
		}
	}
	options, err := o.sigstore.options(o.namespace)
	if err != nil {
		return nil, nil, nil, err
	}
	theirs, theirRoots, err := readSigstore(ctx, cluster, options)
	if err != nil {
		return nil, nil, nil, exitError{code: exitUnavailable, err: err}
	}
	for i := range theirRoots {
		trustRoots.Items = append(trustRoots.Items, *theirRoots[i].Object)
	}
	all := append(ours(policies.Items), theirs...)
	secrets := trust.NewNamespaceSecrets(cluster, o.namespace)
	index := trust.LogsFromObjects(ctx, logs.Items, secrets)
	roots := trust.RootsFromObjects(ctx, trustRoots.Items, trust.NewNamespaceConfigMaps(cluster, o.namespace))
	pull, err := o.secrets.reader(config, client.Options{Scheme: scheme}, pullsecrets.Options{As: "the user of --kubeconfig"})
	if err != nil {
		return nil, nil, nil, exitError{code: exitUnavailable, err: err}
	}
	set := compileAll(ctx, all, own.Items, policy.Trust{Logs: index, Roots: roots, Secrets: secrets, KMS: keysOf(ctx, all)}, stderr)
	return set, controller.NamespacesFrom(cluster), pull, nil
}

// ours returns policies with nothing to refuse in them.
func ours(policies []v1alpha1.ClusterImagePolicy) []conversion.Policy {
	all := make([]conversion.Policy, 0, len(policies))
	for i := range policies {
		all = append(all, conversion.Policy{Object: &policies[i]})
	}
	return all
}

// keysOf asks key services for the keys that policies name, once.
func keysOf(ctx context.Context, policies []conversion.Policy) *kms.Keys {
	keys := kms.New(kms.Options{Providers: kmsProviders()})
	var uris []string
	for _, p := range policies {
		uris = append(uris, p.Object.Spec.KMSKeys()...)
	}
	keys.Use(ctx, uris)
	return keys
}

func compileAll(ctx context.Context, cluster []conversion.Policy, own []v1alpha1.ImagePolicy, t policy.Trust, stderr io.Writer) *policy.Set {
	var all []*policy.Policy
	add := func(compiled *policy.Policy) {
		for _, problem := range compiled.Problems() {
			fmt.Fprintf(stderr, "warning: %v is not ready, and refuses what it covers: %s: %v\n", compiled.ID(), problem.Path, problem.Err)
		}
		all = append(all, compiled)
	}
	for _, p := range cluster {
		compiled := policy.Compile(ctx, p.Object, t)
		compiled.Refuse(p.Refused)
		add(compiled)
		if p.CoversNothing {
			all = all[:len(all)-1]
		}
	}
	for i := range own {
		add(policy.CompileOwn(ctx, &own[i], t))
	}
	return policy.NewSet(all...)
}
