// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SigstoreKeys lists the certificates and keys of one sigstore instance.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.ctLogs) || self.ctLogs.all(l, !has(l.type))",fieldPath=".ctLogs",message="a certificate transparency log has no type"
// +kubebuilder:pruning:PreserveUnknownFields
type SigstoreKeys struct {
	// certificateAuthorities issue the certificates that signatures are made
	// with, such as Fulcio. It defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	CertificateAuthorities []CertificateAuthority `json:"certificateAuthorities,omitempty"`

	// ctLogs are the certificate transparency logs that those certificates are
	// in. It defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	CTLogs []TransparencyLogInstance `json:"ctLogs,omitempty"`

	// timestampAuthorities sign RFC 3161 timestamps. It defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TimestampAuthorities []CertificateAuthority `json:"timestampAuthorities,omitempty"` //nolint:kubeapilinter // What RFC 3161 and sigstore's API call it.

	// tLogs are the transparency logs that signatures are in. As with
	// the logs of the other forms, each appears as a
	// TransparencyLog object that this object owns: its name is this object's, a
	// hyphen, and the first 8 hexadecimal digits of the log's ID, which is the
	// SHA-256 of its key unless it is a Rekor v2 with an Ed25519 or RSA key. It
	// defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TLogs []TransparencyLogInstance `json:"tLogs,omitempty"`
}

// CertificateAuthority is an authority by its certificate chain.
// +kubebuilder:pruning:PreserveUnknownFields
type CertificateAuthority struct {
	// subject is what the root certificate's subject must be. It defaults to
	// whatever it is.
	// +optional
	Subject *DistinguishedName `json:"subject,omitempty"`

	// uri is where the authority is. It is a name, and never asked.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	URI string `json:"uri,omitempty"`

	// certChain are the authority's certificates, the root last: PEM, or base64
	// of it. The chain of a timestamp authority begins with the certificate that
	// signs, unless timestamps carry it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=131072
	CertChain string `json:"certChain,omitempty"`

	// validity is when the authority may be relied upon. It defaults to the
	// validity of its certificates, which bounds it in any case.
	// +optional
	Validity *Validity `json:"validity,omitempty"`
}

// DistinguishedName is the part of an X.501 name that tells authorities apart.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:pruning:PreserveUnknownFields
type DistinguishedName struct {
	// organization is the first O of the name. It defaults to whatever it is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Organization string `json:"organization,omitempty"`

	// commonName is the CN of the name. It defaults to whatever it is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	CommonName string `json:"commonName,omitempty"`
}

// MerkleHash is the hash algorithm of a log's Merkle tree.
// +kubebuilder:validation:Enum=sha-256;sha256
type MerkleHash string

// TransparencyLogInstance is a log by its key.
// +kubebuilder:pruning:PreserveUnknownFields
type TransparencyLogInstance struct {
	// baseURL is where the log is. A certificate transparency log is never
	// asked; the host name of a transparency log's URL is its origin, as in
	// sigstore's clients.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	BaseURL string `json:"baseURL,omitempty"`

	// hashAlgorithm is the hash algorithm of the log's Merkle tree. It defaults
	// to sha-256, which is the only one there is.
	// +optional
	// +default="sha-256"
	HashAlgorithm MerkleHash `json:"hashAlgorithm,omitempty"`

	// publicKey is the log's public key: PEM (PKIX), or base64 of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	PublicKey string `json:"publicKey,omitempty"`

	// validity is when the log may be relied upon. It defaults to always.
	// +optional
	Validity *Validity `json:"validity,omitempty"`

	// type is the protocol that a transparency log speaks: rekor-v1 or rekor-v2.
	// It defaults to rekor-v1. A certificate transparency log has none.
	// +optional
	Type LogType `json:"type,omitempty"`
}

// TransparencyLogType says which protocol one log of a trust root speaks.
// +kubebuilder:pruning:PreserveUnknownFields
type TransparencyLogType struct {
	// baseURL is that of the log, as the trust root has it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	BaseURL string `json:"baseURL,omitempty"`

	// type is the protocol that the log speaks.
	// +required
	Type LogType `json:"type,omitempty"`
}

// Validity is a span of time.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter",message="notBefore must be before notAfter"
// +kubebuilder:pruning:PreserveUnknownFields
type Validity struct {
	// notBefore is the first moment. It defaults to no bound.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is the last moment. It defaults to no bound.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}
