// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every resource in this package.
const GroupName = "policy.countersign.dev"

// Kinds, as they appear in manifests and in owner references.
const (
	ClusterImagePolicyKind = "ClusterImagePolicy"
	ImagePolicyKind        = "ImagePolicy"
	TransparencyLogKind    = "TransparencyLog"
	TrustRootKind          = "TrustRoot"

	ImagePolicyExceptionKind = "ImagePolicyException"
)

// GroupVersion returns the group and version of this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}
}

// AddToScheme registers the resources of this package with scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(),
		&ClusterImagePolicy{}, &ClusterImagePolicyList{},
		&ImagePolicy{}, &ImagePolicyList{},
		&ImagePolicyException{}, &ImagePolicyExceptionList{},
		&TransparencyLog{}, &TransparencyLogList{},
		&TrustRoot{}, &TrustRootList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
