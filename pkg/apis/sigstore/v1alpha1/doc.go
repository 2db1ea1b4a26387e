// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the wire format of policy.sigstore.dev/v1alpha1, the custom
// resources of sigstore's policy-controller: ClusterImagePolicy and TrustRoot.
//
// These are types of our own because policy-controller's bring in its whole program,
// Knative and cosign's verifiers among it, and read an object leniently: what is
// misspelt is dropped there, and refused here. The fields and what they mean are those
// of policy-controller v0.13.1; package conversion says what becomes of each.
//
// Objects keep unknown fields (+kubebuilder:pruning:PreserveUnknownFields), for the
// policy webhook to refuse.
//
// +groupName=policy.sigstore.dev
package v1alpha1

// Names of the API, as they appear in manifests.
const (
	GroupName              = "policy.sigstore.dev"
	Version                = "v1alpha1"
	ClusterImagePolicyKind = "ClusterImagePolicy"
	TrustRootKind          = "TrustRoot"
)
