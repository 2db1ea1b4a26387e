// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// MaxPolicySources is the most different sources that all authorities of a policy
// together have.
const MaxPolicySources = 8

// Source is a place for signatures and attestations of images.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:pruning:PreserveUnknownFields
type Source struct {
	// oci is the repository that holds them in the place of the image's own, such
	// as registry.corp.example/signatures: what cosign takes as COSIGN_REPOSITORY.
	// It begins with the registry's host and has neither a tag nor a digest. It
	// defaults to the image's own repository.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	OCI string `json:"oci,omitempty"`

	// tagPrefix stands before the tags sha256-<hex>.sig and sha256-<hex>.att: what
	// cosign takes as --attachment-tag-prefix. Bundles have no such tags, and are
	// found whatever it is. It defaults to none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`
	TagPrefix string `json:"tagPrefix,omitempty"`

	// signaturePullSecrets name Secrets of type kubernetes.io/dockerconfigjson or
	// kubernetes.io/dockercfg in countersign's own namespace. What they hold for the
	// registry of this place is presented to it, besides the pull secrets of whoever
	// uses the image. They default to none.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +listType=map
	// +listMapKey=name
	SignaturePullSecrets []SecretReference `json:"signaturePullSecrets,omitempty"`
}
