// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// What --sigstore-compat-tlog can be.
const (
	tlogRequired = "required"
	tlogOptional = "optional"
)

// sigstoreOptions say how objects of policy.sigstore.dev are read.
type sigstoreOptions struct{ tlog string }

func (o *sigstoreOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.tlog, "sigstore-compat-tlog", tlogRequired,
		"which log an authority of policy.sigstore.dev needs that has a key and names no log: required (the default TransparencyLog) or optional (none, as in policy-controller)")
}

// options returns what the flags say, for a countersign in a namespace.
func (o *sigstoreOptions) options(namespace string) (conversion.Options, error) {
	switch o.tlog {
	case tlogRequired, tlogOptional:
		return conversion.Options{Namespace: namespace, OptionalTLog: o.tlog == tlogOptional}, nil
	default:
		return conversion.Options{}, fmt.Errorf("--sigstore-compat-tlog: %q is neither %s nor %s", o.tlog, tlogRequired, tlogOptional)
	}
}

// readSigstore reads the objects of policy.sigstore.dev in a cluster, if it has their kinds.
func readSigstore(ctx context.Context, cluster client.Reader, options conversion.Options) (policies []conversion.Policy, roots []conversion.Root, err error) {
	for _, kind := range []string{sigstore.ClusterImagePolicyKind, sigstore.TrustRootKind} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: sigstore.GroupName, Version: sigstore.Version, Kind: kind + "List"})
		err := cluster.List(ctx, list)
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading objects of %s: %w", sigstore.GroupName, err)
		}
		for i := range list.Items {
			raw, err := list.Items[i].MarshalJSON()
			if err != nil {
				return nil, nil, fmt.Errorf("%s %q: %w", kind, list.Items[i].GetName(), err)
			}
			if kind == sigstore.TrustRootKind {
				root := conversion.TrustRoot(raw)
				root.Qualify()
				roots = append(roots, root)
				continue
			}
			p := conversion.ClusterImagePolicy(raw, options)
			p.Qualify()
			policies = append(policies, p)
		}
	}
	return policies, roots, nil
}
