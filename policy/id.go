// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// ID says of which object a policy was compiled. Policies of several kinds are in
// force together, and may have one name.
type ID struct {
	Kind schema.GroupKind
	// Namespace is "" for a kind that has none.
	Namespace, Name string
}

// ClusterPolicy is the ID of the ClusterImagePolicy that is known by a name: of
// policy.sigstore.dev, where v1alpha1.SigstoreName made it.
func ClusterPolicy(name string) ID {
	if theirs, ok := v1alpha1.CutSigstoreName(name); ok {
		return ID{Kind: schema.GroupKind{Group: v1alpha1.SigstoreGroup, Kind: v1alpha1.ClusterImagePolicyKind}, Name: theirs}
	}
	return ID{Kind: v1alpha1.GroupVersion().WithKind(v1alpha1.ClusterImagePolicyKind).GroupKind(), Name: name}
}

// String is the ID for a person: `ClusterImagePolicy "payments"`, `ImagePolicy
// "shop/payments"`, and with its group where that is not ours: `policy.sigstore.dev
// ClusterImagePolicy "payments"`.
func (id ID) String() string {
	kind := id.Kind.Kind
	if group := id.Kind.Group; group != "" && group != v1alpha1.GroupName {
		kind = group + " " + kind
	}
	name := id.Name
	if id.Namespace != "" {
		name = id.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %q", kind, name)
}

// Short is the ID in one word, for metrics, audit events and reports: payments,
// shop/payments, policy.sigstore.dev/payments. No two policies have the same: the name
// of a namespace has no dot, and that of a foreign group has one.
func (id ID) Short() string {
	switch {
	case id.Namespace != "":
		return id.Namespace + "/" + id.Name
	case id.Kind.Group != v1alpha1.GroupVersion().Group:
		return id.Kind.Group + "/" + id.Name
	default:
		return id.Name
	}
}

// MarshalText writes the ID in its short form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.Short()), nil }

// compare orders IDs: those of the cluster before those of namespaces, by name.
func (id ID) compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Namespace, other.Namespace),
		cmp.Compare(id.Name, other.Name),
		cmp.Compare(id.Kind.Group, other.Kind.Group),
		cmp.Compare(id.Kind.Kind, other.Kind.Kind),
	)
}
