// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Keys of the Secrets that a connection to a log names. Those of certificates and of
// basic credentials are fixed by Kubernetes' types of Secrets.
const (
	SecretKeyUsername      = "username"
	SecretKeyPassword      = "password"
	SecretKeyCertificate   = "tls.crt"
	SecretKeyPrivateKey    = "tls.key"
	DefaultBearerSecretKey = "token"
)

// LogTLS is how the log's servers are known, and how they know countersign.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:pruning:PreserveUnknownFields
type LogTLS struct {
	// caBundle holds the certificates (PEM) of the authorities that the log's
	// certificates may be issued by, besides those that the system trusts. It
	// defaults to none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=131072
	CABundle string `json:"caBundle,omitempty"`

	// clientCertSecretRef names the Secret, in countersign's own namespace, whose
	// certificate and key (tls.crt and tls.key, as in a Secret of type
	// kubernetes.io/tls) are shown to the log. It defaults to none.
	// +optional
	ClientCertSecretRef *SecretReference `json:"clientCertSecretRef,omitempty"`

	// insecureSkipVerify accepts any certificate of the log. Its answers are still
	// held against its key and its history; but whoever sits in between can read
	// the credentials, and hold answers back. It defaults to false.
	// +optional
	InsecureSkipVerify *bool `json:"insecureSkipVerify,omitempty"`
}

// LogAuth is what countersign says to the log to be let in.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.basicSecretRef) != has(self.bearerSecretRef)",message="exactly one of basicSecretRef, bearerSecretRef must be set"
// +kubebuilder:pruning:PreserveUnknownFields
type LogAuth struct {
	// basicSecretRef names the Secret, in countersign's own namespace, that holds a
	// user name and a password (username and password, as in a Secret of type
	// kubernetes.io/basic-auth).
	// +optional
	BasicSecretRef *SecretReference `json:"basicSecretRef,omitempty"`

	// bearerSecretRef names the Secret, in countersign's own namespace, that holds
	// a bearer token. Its key defaults to token.
	// +optional
	BearerSecretRef *SecretKeyReference `json:"bearerSecretRef,omitempty"`
}

// SkipsTLSVerification reports whether any certificate of the log is accepted.
func (s *TransparencyLogSpec) SkipsTLSVerification() bool {
	return s.TLS != nil && s.TLS.InsecureSkipVerify != nil && *s.TLS.InsecureSkipVerify
}
