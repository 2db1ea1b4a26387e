// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the custom resources of policy.countersign.dev:
// ClusterImagePolicy, which says what must hold for an image, and
// TransparencyLog, a log that the cluster's owner configured.
//
// What the schema can say, the schema says (enums, sizes, exact unions by CEL).
// What it cannot say is in package validation, which the policy webhook and
// `countersign policy lint` share.
//
// Objects keep unknown fields (+kubebuilder:pruning:PreserveUnknownFields), for the
// policy webhook to refuse. The API server would drop a misspelt requirement, and
// refuse it only where the client asks for that (fieldValidation=Strict), as
// kubectl does and many others do not. What was stored all the same is read with its
// unknown fields in mind (Unread), and accepts nothing that they could be about.
//
// +kubebuilder:object:generate=true
// +groupName=policy.countersign.dev
package v1alpha1
