// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// SecretKeyReference names one key of a Secret in countersign's own namespace.
// A policy never reads a Secret of any other namespace.
// +kubebuilder:pruning:PreserveUnknownFields
type SecretKeyReference struct {
	// name is the name of the Secret, in countersign's own namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the key in the Secret's data that holds what is wanted. It
	// defaults to cosign.pub for the public key of an authority, to log.pub for
	// that of a TransparencyLog, and to token for its bearer token.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// SecretReference names a Secret in countersign's own namespace, whose keys are those
// of a type of Secrets.
// +kubebuilder:pruning:PreserveUnknownFields
type SecretReference struct {
	// name is the name of the Secret, in countersign's own namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// What SecretKeyReference.Key means when it is empty.
const (
	DefaultAuthoritySecretKey = "cosign.pub"
	DefaultLogSecretKey       = "log.pub"
)
