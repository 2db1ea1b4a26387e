// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// RFC3161Timestamp demands a timestamp over the signature. It never takes the
// place of the transparency log.
// +kubebuilder:pruning:PreserveUnknownFields
type RFC3161Timestamp struct {
	// trustRootRef names the TrustRoot whose timestamp authorities count.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	TrustRootRef string `json:"trustRootRef,omitempty"`
}

// SignatureFormat is how signatures and attestations are stored.
// +kubebuilder:validation:Enum=auto;legacy;bundle
type SignatureFormat string

// Formats of signatures.
const (
	// SignatureFormatAuto is whichever there is.
	SignatureFormatAuto SignatureFormat = "auto"
	// SignatureFormatLegacy is the tag sha256-<hex>.sig or .att.
	SignatureFormatLegacy SignatureFormat = "legacy"
	// SignatureFormatBundle is a sigstore bundle that refers to the image.
	SignatureFormatBundle SignatureFormat = "bundle"
)

// Attestation demands a signed statement about the image.
// +kubebuilder:pruning:PreserveUnknownFields
type Attestation struct {
	// name is how messages name this requirement.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// predicateType is what kind of statement it must be: a URI, or one of
	// cosign's short names (slsaprovenance, slsaprovenance02, slsaprovenance1,
	// spdx, spdxjson, cyclonedx, link, vuln, openvex, custom). As in cosign,
	// slsaprovenance is version 0.2; GitHub's provenance is slsaprovenance1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^((slsaprovenance|slsaprovenance02|slsaprovenance1|spdx|spdxjson|cyclonedx|link|vuln|openvex|custom)|[A-Za-z][A-Za-z0-9+.-]*:[^\s]+)$`
	PredicateType string `json:"predicateType,omitempty"`
}
