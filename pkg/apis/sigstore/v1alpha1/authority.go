// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Authority is one who may vouch for an image: exactly one of key, keyless, static.
// +kubebuilder:pruning:PreserveUnknownFields
type Authority struct {
	// name is how messages and policy name this authority. It defaults to authority-
	// and its place in the list.
	// +optional
	Name string `json:"name,omitempty"`
	// key is the public key whose signature is required.
	// +optional
	Key *KeyRef `json:"key,omitempty"`
	// keyless is the identity whose signature is required.
	// +optional
	Keyless *KeylessRef `json:"keyless,omitempty"`
	// static is an answer that no signature changes.
	// +optional
	Static *StaticRef `json:"static,omitempty"`
	// source says where signatures and attestations are looked for.
	// +optional
	Source []Source `json:"source,omitempty"`
	// ctlog is the transparency log that holds the signature's entry.
	// +optional
	CTLog *TLog `json:"ctlog,omitempty"`
	// attestations are all required, in the place of the image's signature.
	// +optional
	Attestations []Attestation `json:"attestations,omitempty"`
	// rfc3161timestamp demands a timestamp.
	// +optional
	RFC3161Timestamp *RFC3161Timestamp `json:"rfc3161timestamp,omitempty"`
	// signatureFormat is legacy or bundle.
	// +optional
	SignatureFormat string `json:"signatureFormat,omitempty"`
}

// KeyRef is a public key: exactly one of secretRef, data, kms.
// +kubebuilder:pruning:PreserveUnknownFields
type KeyRef struct {
	// secretRef names the Secret that holds the key.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
	// data is the key in PEM form.
	// +optional
	Data string `json:"data,omitempty"`
	// kms is the URI of a key in a key management service.
	// +optional
	KMS string `json:"kms,omitempty"`
	// hashAlgorithm is the hash that the key signs. It defaults to sha256.
	// +optional
	HashAlgorithm string `json:"hashAlgorithm,omitempty"`
}

// SecretReference names a Secret.
// +kubebuilder:pruning:PreserveUnknownFields
type SecretReference struct {
	// name is that of the Secret.
	// +optional
	Name string `json:"name,omitempty"`
	// namespace is that of the Secret. It defaults to the controller's own, and can be
	// no other.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// KeylessRef is whoever holds a certificate with one of the identities.
// +kubebuilder:pruning:PreserveUnknownFields
type KeylessRef struct {
	// url is where the certificate authority is.
	// +optional
	URL string `json:"url,omitempty"`
	// identities are alternatives.
	// +optional
	Identities []Identity `json:"identities,omitempty"`
	// ca-cert is the certificate of the authority.
	// +optional
	CACert *KeyRef `json:"ca-cert,omitempty"`
	// trustRootRef names the TrustRoot whose authorities count.
	// +optional
	TrustRootRef string `json:"trustRootRef,omitempty"`
	// insecureIgnoreSCT accepts a certificate that is in no certificate transparency log.
	// +optional
	InsecureIgnoreSCT *bool `json:"insecureIgnoreSCT,omitempty"`
}

// Identity is who a certificate is for. Regular expressions match anywhere in the text.
// +kubebuilder:pruning:PreserveUnknownFields
type Identity struct {
	// issuer is the OpenID Connect issuer.
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// subject is the certificate's subject alternative name.
	// +optional
	Subject string `json:"subject,omitempty"`
	// issuerRegExp matches a part of the issuer.
	// +optional
	IssuerRegExp string `json:"issuerRegExp,omitempty"`
	// subjectRegExp matches a part of the subject alternative name.
	// +optional
	SubjectRegExp string `json:"subjectRegExp,omitempty"`
}

// StaticRef is an answer without looking at the image.
// +kubebuilder:pruning:PreserveUnknownFields
type StaticRef struct {
	// action is pass or fail.
	// +optional
	Action string `json:"action,omitempty"`
	// message is shown to whoever is refused.
	// +optional
	Message string `json:"message,omitempty"`
}

// Source is a place for signatures and attestations.
// +kubebuilder:pruning:PreserveUnknownFields
type Source struct {
	// oci is the repository that holds them.
	// +optional
	OCI string `json:"oci,omitempty"`
	// signaturePullSecrets are Secrets in the namespace of the object that is judged.
	// +optional
	SignaturePullSecrets []LocalObjectReference `json:"signaturePullSecrets,omitempty"`
	// tagPrefix stands before the tags of signatures and attestations.
	// +optional
	TagPrefix *string `json:"tagPrefix,omitempty"`
}

// LocalObjectReference names an object in the namespace of the one that is judged.
// +kubebuilder:pruning:PreserveUnknownFields
type LocalObjectReference struct {
	// name is that of the object.
	// +optional
	Name string `json:"name,omitempty"`
}

// TLog is the transparency log that holds the signature's entry.
// +kubebuilder:pruning:PreserveUnknownFields
type TLog struct {
	// url is where the log is.
	// +optional
	URL string `json:"url,omitempty"`
	// trustRootRef names the TrustRoot whose logs count.
	// +optional
	TrustRootRef string `json:"trustRootRef,omitempty"`
}

// Attestation demands a signed statement about the image.
// +kubebuilder:pruning:PreserveUnknownFields
type Attestation struct {
	// name is how messages and policies name this requirement.
	// +optional
	Name string `json:"name,omitempty"`
	// predicateType is a URI, or one of cosign's short names.
	// +optional
	PredicateType string `json:"predicateType,omitempty"`
	// policy is evaluated over the statement.
	// +optional
	Policy *Policy `json:"policy,omitempty"`
}

// RFC3161Timestamp demands a timestamp over the signature.
// +kubebuilder:pruning:PreserveUnknownFields
type RFC3161Timestamp struct {
	// trustRootRef names the TrustRoot whose timestamp authorities count.
	// +optional
	TrustRootRef string `json:"trustRootRef,omitempty"`
}
