// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1beta1 holds policy.sigstore.dev/v1beta1, whose ClusterImagePolicy is that of
// v1alpha1 under another name: an object of one is an object of the other.
//
// +groupName=policy.sigstore.dev
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// Version is the name of this version in manifests.
const Version = "v1beta1"

// ClusterImagePolicy says what must hold for the images that it covers. Policies that
// cover the same image are all required.
// +kubebuilder:resource:scope=Cluster,categories={all,sigstore},shortName=cip
// +kubebuilder:subresource:status
// +kubebuilder:pruning:PreserveUnknownFields
type ClusterImagePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which images are covered and what must hold for them.
	// +optional
	Spec v1alpha1.ClusterImagePolicySpec `json:"spec,omitempty"`

	// status is what controllers found.
	// +optional
	Status v1alpha1.Status `json:"status,omitempty"`
}
