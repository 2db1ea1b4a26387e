// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TrustRoot holds certificates and keys that policies refer to.
// +kubebuilder:resource:scope=Cluster,categories={all,sigstore}
// +kubebuilder:subresource:status
// +kubebuilder:pruning:PreserveUnknownFields
type TrustRoot struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the certificates and keys come from: exactly one of its fields.
	// +optional
	Spec TrustRootSpec `json:"spec,omitempty"`

	// status is what controllers found.
	// +optional
	Status Status `json:"status,omitempty"`
}

// TrustRootSpec is exactly one of remote, repository, sigstoreKeys.
// +kubebuilder:pruning:PreserveUnknownFields
type TrustRootSpec struct {
	// remote is a TUF repository.
	// +optional
	Remote *Remote `json:"remote,omitempty"`
	// repository is a copy of a TUF repository.
	// +optional
	Repository *Repository `json:"repository,omitempty"`
	// sigstoreKeys lists certificates and keys one by one.
	// +optional
	SigstoreKeys *SigstoreKeys `json:"sigstoreKeys,omitempty"`
}

// Remote is a TUF repository that is asked.
// +kubebuilder:pruning:PreserveUnknownFields
type Remote struct {
	// root is base64 of the root.json that is trusted to begin with.
	// +optional
	Root string `json:"root,omitempty"`
	// mirror is where the repository is served.
	// +optional
	Mirror string `json:"mirror,omitempty"`
	// targets is the folder of target files. It defaults to targets.
	// +optional
	Targets string `json:"targets,omitempty"`
	// trustedRootTarget is the target that is the trusted root. It defaults to
	// trusted_root.json.
	// +optional
	TrustedRootTarget string `json:"trustedRootTarget,omitempty"`
}

// Repository is a copy of a TUF repository.
// +kubebuilder:pruning:PreserveUnknownFields
type Repository struct {
	// root is base64 of the root.json that is trusted to begin with.
	// +optional
	Root string `json:"root,omitempty"`
	// mirrorFS is base64 of the repository's tar file, compressed by gzip.
	// +optional
	MirrorFS []byte `json:"mirrorFS,omitempty"`
	// targets is the folder of target files. It defaults to targets.
	// +optional
	Targets string `json:"targets,omitempty"`
	// trustedRootTarget is the target that is the trusted root. It defaults to
	// trusted_root.json.
	// +optional
	TrustedRootTarget string `json:"trustedRootTarget,omitempty"`
}

// SigstoreKeys lists certificates and keys one by one.
// +kubebuilder:pruning:PreserveUnknownFields
type SigstoreKeys struct {
	// certificateAuthorities issue the certificates that signatures are made with.
	// +optional
	CertificateAuthorities []CertificateAuthority `json:"certificateAuthorities,omitempty"`
	// tLogs are the transparency logs that signatures are in.
	// +optional
	TLogs []TransparencyLogInstance `json:"tLogs,omitempty"`
	// ctLogs are the transparency logs that certificates are in.
	// +optional
	CTLogs []TransparencyLogInstance `json:"ctLogs,omitempty"`
	// timestampAuthorities sign timestamps.
	// +optional
	TimestampAuthorities []CertificateAuthority `json:"timestampAuthorities,omitempty"`
}

// CertificateAuthority is a chain of certificates.
// +kubebuilder:pruning:PreserveUnknownFields
type CertificateAuthority struct {
	// subject is what the root certificate is said to be for. It is not compared.
	// +optional
	Subject DistinguishedName `json:"subject,omitempty"`
	// uri is where the authority is.
	// +optional
	URI string `json:"uri,omitempty"`
	// certChain is base64 of the certificates in PEM form, the root last.
	// +optional
	CertChain string `json:"certChain,omitempty"`
}

// DistinguishedName is a part of a certificate's subject.
// +kubebuilder:pruning:PreserveUnknownFields
type DistinguishedName struct {
	// organization is the O of the name.
	// +optional
	Organization string `json:"organization,omitempty"`
	// commonName is the CN of the name.
	// +optional
	CommonName string `json:"commonName,omitempty"`
}

// TransparencyLogInstance is a log and its key.
// +kubebuilder:pruning:PreserveUnknownFields
type TransparencyLogInstance struct {
	// baseURL is where the log is.
	// +optional
	BaseURL string `json:"baseURL,omitempty"`
	// hashAlgorithm is that of the log's Merkle tree.
	// +optional
	HashAlgorithm string `json:"hashAlgorithm,omitempty"`
	// publicKey is base64 of the log's key in PEM form.
	// +optional
	PublicKey string `json:"publicKey,omitempty"`
}
