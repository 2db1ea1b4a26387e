// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// Bounds of the schema of an ImagePolicy, which a namespace's owner writes and the whole
// cluster pays for.
const (
	maxOwnPatterns    = 32
	maxOwnMatch       = 8
	maxOwnAuthorities = 4
)

// ImagePolicy returns what makes policy unusable. Like ClusterImagePolicy it reads nothing
// but the object.
func ImagePolicy(policy *v1alpha1.ImagePolicy) field.ErrorList {
	spec, path := &policy.Spec, field.NewPath("spec")
	errs := ClusterImagePolicy(&v1alpha1.ClusterImagePolicy{Spec: spec.AsCluster()})
	for _, list := range []struct {
		name        string
		length, max int
	}{
		{"images", len(spec.Images), maxOwnPatterns}, {"excludeImages", len(spec.ExcludeImages), maxOwnPatterns},
		{"match", len(spec.Match), maxOwnMatch}, {"authorities", len(spec.Authorities), maxOwnAuthorities},
	} {
		if list.length > list.max {
			errs = append(errs, field.TooMany(path.Child(list.name), list.length, list.max))
		}
	}
	for i := range spec.Authorities {
		errs = append(errs, ownAuthority(path.Child("authorities").Index(i), &spec.Authorities[i])...)
	}
	return errs
}

// ownAuthority refuses what would make countersign use its own rights, or the cluster's
// network, for whoever owns a namespace.
func ownAuthority(path *field.Path, a *v1alpha1.Authority) field.ErrorList {
	var errs field.ErrorList
	if a.Key != nil && a.Key.SecretRef != nil {
		errs = append(errs, field.Forbidden(path.Child("key", "secretRef"), "an ImagePolicy has its keys in data: countersign would read the Secret with its own rights"))
	}
	if a.Key != nil && a.Key.KMS != "" {
		errs = append(errs, field.Forbidden(path.Child("key", "kms"), "an ImagePolicy has its keys in data: countersign would ask the key service with its own rights"))
	}
	if len(a.Source) > 0 {
		errs = append(errs, field.Forbidden(path.Child("source"), "an ImagePolicy has no source: signatures are looked for beside the image"))
	}
	if a.Static != nil && a.Static.Action == v1alpha1.StaticPass {
		errs = append(errs, field.Forbidden(path.Child("static", "action"), "an ImagePolicy adds to what others demand: a static authority in it can only fail"))
	}
	return errs
}

// ImagePolicyWarnings returns what is legal in policy and probably not meant, or
// dangerous, one sentence each.
func ImagePolicyWarnings(policy *v1alpha1.ImagePolicy, known Known) []string {
	return PolicyWarnings(&v1alpha1.ClusterImagePolicy{Spec: policy.Spec.AsCluster()}, known)
}
