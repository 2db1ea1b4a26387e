// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Authority is one who may vouch for an image: a key, the holder of a certificate
// with an identity, or a fixed answer.
// +kubebuilder:validation:XValidation:rule="[has(self.key), has(self.keyless), has(self.static)].filter(x, x).size() == 1",message="exactly one of key, keyless, static must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.static) || !has(self.ctlog)",fieldPath=".ctlog",message="ctlog does not apply to a static authority"
// +kubebuilder:validation:XValidation:rule="!has(self.static) || !(has(self.rfc3161timestamp) || has(self.attestations) || has(self.requireSignature) || has(self.annotations) || has(self.signatureFormat) || has(self.source))",message="a static authority looks at no signature: rfc3161timestamp, attestations, requireSignature, annotations, signatureFormat and source do not apply to it"
// +kubebuilder:validation:XValidation:rule="!has(self.requireSignature) || self.requireSignature || has(self.attestations)",fieldPath=".requireSignature",message="requireSignature: false needs attestations"
// +kubebuilder:validation:XValidation:rule="!has(self.requireSignature) || self.requireSignature || !has(self.annotations)",fieldPath=".annotations",message="annotations are in the image's signature, which requireSignature: false does not look at"
// +kubebuilder:pruning:PreserveUnknownFields
type Authority struct {
	// name is how messages, metrics and events name this authority.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the public key whose signature is required.
	// +optional
	Key *KeyAuthority `json:"key,omitempty"`

	// keyless is the identity whose signature is required.
	// +optional
	Keyless *KeylessAuthority `json:"keyless,omitempty"`

	// static is an answer that no signature changes.
	// +optional
	Static *StaticAuthority `json:"static,omitempty"`

	// ctlog says which transparency logs must hold the signature's entry. It
	// defaults to the default TransparencyLog.
	// +optional
	CTLog *CTLog `json:"ctlog,omitempty"`

	// source says where signatures and attestations are looked for. Several are
	// alternatives: what lies in any of them counts, and what lies beside the
	// image does not unless one of them is there. It defaults to beside the image.
	// All authorities of a policy together have at most 8 different ones.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Source []Source `json:"source,omitempty"` //nolint:kubeapilinter // As in sigstore's API: each of its fields can do without the others.

	// rfc3161timestamp demands a timestamp of every signature and attestation,
	// besides the proof of the transparency log. It defaults to none.
	// +optional
	RFC3161Timestamp *RFC3161Timestamp `json:"rfc3161timestamp,omitempty"` //nolint:kubeapilinter // What sigstore's API calls it.

	// attestations are all required, besides the image's signature: each must be
	// signed by this authority, and be in the logs as signatures are. It defaults
	// to none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Attestations []Attestation `json:"attestations,omitempty"`

	// requireSignature says whether the image's own signature is required, where
	// there are attestations. It defaults to true.
	// +optional
	RequireSignature *bool `json:"requireSignature,omitempty"`

	// annotations are claims that the image's signature must carry (cosign sign
	// -a), with exactly these values. It defaults to none.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// signatureFormat is the format that signatures and attestations must be
	// stored in: auto is any. It defaults to auto.
	// +optional
	SignatureFormat SignatureFormat `json:"signatureFormat,omitempty"`
}

// AnnotationValue is the value of a claim in a signature.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// SignatureRequired reports whether the image's own signature is looked at.
func (a *Authority) SignatureRequired() bool { return a.RequireSignature == nil || *a.RequireSignature }

// HashAlgorithm is the hash that a key signs.
// +kubebuilder:validation:Enum=sha256;sha384;sha512
type HashAlgorithm string

// KeyAuthority is a public key, or the certificate that holds it, or a key of which a
// key management service has the public part.
// +kubebuilder:validation:XValidation:rule="[has(self.data), has(self.secretRef), has(self.kms)].filter(x, x).size() == 1",message="exactly one of data, secretRef, kms must be set"
// +kubebuilder:pruning:PreserveUnknownFields
type KeyAuthority struct {
	// data is the public key in PEM form (PKIX, "BEGIN PUBLIC KEY"), or one
	// certificate ("BEGIN CERTIFICATE"), of which only the key counts: neither who
	// issued it nor when it is valid.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Data string `json:"data,omitempty"`

	// secretRef names the Secret, in countersign's own namespace, that holds
	// the public key. Its key defaults to cosign.pub.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`

	// kms is the URI of a key in a key management service, as cosign has it:
	// awskms://[ENDPOINT]/ID-OR-ARN-OR-ALIAS, azurekms://VAULT-HOST/KEY[/VERSION],
	// gcpkms://projects/…/cryptoKeys/KEY[/cryptoKeyVersions/VERSION] or
	// hashivault://KEY. Its public key is read by countersign, kept, and read again
	// at an interval; every version that the service holds to be good verifies.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(awskms|azurekms|gcpkms|hashivault)://[^\s]+$`
	KMS string `json:"kms,omitempty"`

	// hashAlgorithm is the hash that the key signs. It defaults to sha256.
	// +optional
	// +default="sha256"
	HashAlgorithm HashAlgorithm `json:"hashAlgorithm,omitempty"`
}

// StaticAction is the answer of a static authority.
// +kubebuilder:validation:Enum=pass;fail
type StaticAction string

// Answers of a static authority.
const (
	// StaticPass accepts every image that the policy covers.
	StaticPass StaticAction = "pass"
	// StaticFail accepts none, with the reason StaticDenied.
	StaticFail StaticAction = "fail"
)

// StaticAuthority answers without looking at the image.
// +kubebuilder:validation:XValidation:rule="self.action == 'fail' || !has(self.message)",fieldPath=".message",message="message is shown only when action is fail"
// +kubebuilder:pruning:PreserveUnknownFields
type StaticAuthority struct {
	// action is pass (accept every image) or fail (accept none).
	// +required
	Action StaticAction `json:"action,omitempty"`

	// message is shown to whoever is refused. It defaults to none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
