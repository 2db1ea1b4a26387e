// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// KeylessAuthority is whoever holds a certificate with one of the identities,
// issued by an authority of a TrustRoot.
// +kubebuilder:validation:XValidation:rule="has(self.trustRootRef) || has(self.url)",message="trustRootRef or url must be set: no certificate authority is trusted by default"
// +kubebuilder:pruning:PreserveUnknownFields
type KeylessAuthority struct {
	// trustRootRef names the TrustRoot whose certificate authorities and
	// certificate transparency logs count. It defaults to the one that has a
	// certificate authority at url.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	TrustRootRef string `json:"trustRootRef,omitempty"`

	// url is where the certificate authority is, as in sigstore's API. It chooses, and
	// is never asked: of the trust root, only the certificate authorities whose uri it
	// is count. Without trustRootRef, exactly one TrustRoot must have such an authority.
	// It defaults to any authority of the trust root.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	URL string `json:"url,omitempty"`

	// identities are alternatives: the certificate must have one of them.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Identities []Identity `json:"identities,omitempty"` //nolint:kubeapilinter // Which fields are required, its two rules say.

	// insecureIgnoreSCT accepts a certificate that is in no certificate
	// transparency log: an authority that is broken into can then issue unseen.
	// It defaults to false.
	// +optional
	InsecureIgnoreSCT *bool `json:"insecureIgnoreSCT,omitempty"`
}

// SCTIgnored reports whether a certificate needs to be in no log.
func (k *KeylessAuthority) SCTIgnored() bool {
	return k != nil && k.InsecureIgnoreSCT != nil && *k.InsecureIgnoreSCT
}

// Identity is who a certificate is for. Regular expressions are RE2 (Go's), and
// must match the whole text: they are anchored at both ends by countersign.
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.issuerRegExp)",message="exactly one of issuer, issuerRegExp must be set"
// +kubebuilder:validation:XValidation:rule="has(self.subject) != has(self.subjectRegExp)",message="exactly one of subject, subjectRegExp must be set"
// +kubebuilder:pruning:PreserveUnknownFields
type Identity struct {
	// issuer is the URL of the OpenID Connect issuer that vouched for the
	// subject, as it is in the certificate.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer,omitempty"`

	// issuerRegExp matches the whole URL of the issuer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	IssuerRegExp string `json:"issuerRegExp,omitempty"`

	// subject is the certificate's subject alternative name: a workflow's URI,
	// or an e-mail address.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Subject string `json:"subject,omitempty"`

	// subjectRegExp matches the whole subject alternative name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	SubjectRegExp string `json:"subjectRegExp,omitempty"`

	// extensions are what further extensions of the certificate must be, exactly,
	// by the names that Fulcio's documentation gives them: sourceRepositoryURI,
	// buildSignerURI, runnerEnvironment, buildTrigger … It defaults to none.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=24
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['githubWorkflowTrigger','githubWorkflowSHA','githubWorkflowName','githubWorkflowRepository','githubWorkflowRef','buildSignerURI','buildSignerDigest','runnerEnvironment','sourceRepositoryURI','sourceRepositoryDigest','sourceRepositoryRef','sourceRepositoryIdentifier','sourceRepositoryOwnerURI','sourceRepositoryOwnerIdentifier','buildConfigURI','buildConfigDigest','buildTrigger','runInvocationURI','sourceRepositoryVisibilityAtSigning','deploymentEnvironment','tokenSubject'])",message="an extension has a name that Fulcio does not give"
	Extensions map[string]ExtensionValue `json:"extensions,omitempty"`
}

// ExtensionValue is the value of a certificate's extension.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
type ExtensionValue string
