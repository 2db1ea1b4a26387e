// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrustRoot is who issues certificates and timestamps: the certificate
// authorities, certificate transparency logs, timestamp authorities and
// transparency logs of one sigstore instance. Nothing is trusted that is not in
// one: there is no public instance that one falls back to.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=countersign,shortName=troot
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Fresh",type=string,JSONPath=`.status.conditions[?(@.type=="Fresh")].status`
// +kubebuilder:printcolumn:name="Expires",type=string,format=date-time,JSONPath=`.status.expiry.at`
// +kubebuilder:printcolumn:name="CAs",type=integer,JSONPath=`.status.certificateAuthorities`,priority=1
// +kubebuilder:printcolumn:name="TSAs",type=integer,JSONPath=`.status.timestampAuthorities`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:pruning:PreserveUnknownFields
type TrustRoot struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the trusted certificates and keys come from.
	// +required
	Spec TrustRootSpec `json:"spec,omitzero"` //nolint:kubeapilinter // One of its fields is required, as its rule says.

	// status says what was found there, and how long it is good for. It defaults
	// to nothing known.
	// +optional
	Status TrustRootStatus `json:"status,omitempty,omitzero"` //nolint:kubeapilinter // The empty status is one that is left out.
}

// TrustRootSpec is what the cluster's owner writes.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="[has(self.sigstoreKeys), has(self.remote), has(self.repository), has(self.trustedRoot)].filter(x, x).size() == 1",message="exactly one of sigstoreKeys, remote, repository, trustedRoot must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.logTypes) || !has(self.sigstoreKeys)",fieldPath=".logTypes",message="with sigstoreKeys the type stands in each of tLogs"
// +kubebuilder:pruning:PreserveUnknownFields
type TrustRootSpec struct {
	// sigstoreKeys lists certificates and keys one by one.
	// +optional
	SigstoreKeys *SigstoreKeys `json:"sigstoreKeys,omitempty"`

	// remote is a TUF repository that serves a trusted_root.json. It is asked
	// again at an interval, so that rotated keys arrive by themselves.
	// +optional
	Remote *RemoteRepository `json:"remote,omitempty"`

	// repository is a copy of a TUF repository, for clusters that can reach
	// none. Nobody is asked.
	// +optional
	Repository *EmbeddedRepository `json:"repository,omitempty"`

	// trustedRoot is the text of a trusted_root.json, as `cosign trusted-root
	// create` writes it.
	// +optional
	TrustedRoot *TrustedRootText `json:"trustedRoot,omitempty"`

	// logTypes says which of the transparency logs in a trusted_root.json, from
	// wherever it comes, are Rekor v2: the file does not say it, and an ID tells
	// it only where the key is no ECDSA key. A log that is not named here is what
	// its ID says, and with an ECDSA key rekor-v1. It defaults to none. With
	// sigstoreKeys the type stands in each of tLogs.
	// +optional
	// +listType=map
	// +listMapKey=baseURL
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	LogTypes []TransparencyLogType `json:"logTypes,omitempty"`

	// Unread is what the object says besides. It is for nobody to write.
	Unread []Unread `json:"-"`
}

// RemoteRepository is a TUF repository and the root that one begins to trust it
// with (The Update Framework specification, section 5.2).
// +kubebuilder:pruning:PreserveUnknownFields
type RemoteRepository struct {
	// root is the TUF root.json that is trusted to begin with: JSON, or base64
	// of it. Later roots must be signed by it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=524288
	Root string `json:"root,omitempty"`

	// mirror is where the repository's metadata is served.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	Mirror string `json:"mirror,omitempty"`

	// targets is the folder, below mirror, that target files are in. It defaults
	// to targets.
	// +optional
	// +default="targets"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$`
	Targets string `json:"targets,omitempty"`

	// trustedRootTarget is the name of the target that is the trusted root. It
	// defaults to trusted_root.json.
	// +optional
	// +default="trusted_root.json"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$`
	TrustedRootTarget string `json:"trustedRootTarget,omitempty"`

	// refreshInterval is how often the mirror is asked, between 1s and 24h. While
	// it does not answer, what it said last stays in force until that expires. It
	// defaults to 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +default="1h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="refreshInterval must be between 1s and 24h"
	RefreshInterval *metav1.Duration `json:"refreshInterval,omitempty"`
}

// Interval is how often the mirror is asked.
func (r *RemoteRepository) Interval() time.Duration {
	if r.RefreshInterval == nil || r.RefreshInterval.Duration <= 0 {
		return DefaultRefreshInterval
	}
	return r.RefreshInterval.Duration
}

// EmbeddedRepository is a copy of a TUF repository. It must be replaced before
// its metadata expires, see status.expiry.
// +kubebuilder:pruning:PreserveUnknownFields
type EmbeddedRepository struct {
	// root is the TUF root.json that is trusted to begin with: JSON, or base64
	// of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=524288
	Root string `json:"root,omitempty"`

	// mirrorFS is the repository, metadata and targets: base64 of a tar file
	// that is compressed by gzip.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1048576
	MirrorFS []byte `json:"mirrorFS,omitempty"`

	// targets is the folder, beside the metadata, that target files are in. It
	// defaults to targets.
	// +optional
	// +default="targets"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$`
	Targets string `json:"targets,omitempty"`

	// trustedRootTarget is the name of the target that is the trusted root. It
	// defaults to trusted_root.json.
	// +optional
	// +default="trusted_root.json"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$`
	TrustedRootTarget string `json:"trustedRootTarget,omitempty"`
}

// TrustedRootText is where the text of a trusted_root.json is.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.data) != has(self.configMapRef)",message="exactly one of data, configMapRef must be set"
// +kubebuilder:pruning:PreserveUnknownFields
type TrustedRootText struct {
	// data is the text itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1048576
	Data string `json:"data,omitempty"`

	// configMapRef names the ConfigMap, in countersign's own namespace, that
	// holds the text.
	// +optional
	ConfigMapRef *ConfigMapKeyReference `json:"configMapRef,omitempty"`
}

// ConfigMapKeyReference names one key of a ConfigMap in countersign's own
// namespace.
// +kubebuilder:pruning:PreserveUnknownFields
type ConfigMapKeyReference struct {
	// name is the name of the ConfigMap, in countersign's own namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key is the key in the ConfigMap's data. It defaults to trusted_root.json.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// TrustRootList is a list of TrustRoot.
// +kubebuilder:object:root=true
type TrustRootList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrustRoot `json:"items"`
}
