// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LogType is the protocol that a log speaks. It comes from configuration and
// never from what a signature says.
// +kubebuilder:validation:Enum=rekor-v1;rekor-v2
type LogType string

const (
	// LogTypeRekorV1 is Rekor with a Trillian tree behind it.
	LogTypeRekorV1 LogType = "rekor-v1"
	// LogTypeRekorV2 is rekor-tiles: a log that is read as tiles of hashes.
	LogTypeRekorV2 LogType = "rekor-v2"
)

// TransparencyLog is a log that the cluster's owner configured, and what the
// cluster has seen of it.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=countersign,shortName=tlog
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Origin",type=string,JSONPath=`.spec.origin`
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.status.checkpoint.size`
// +kubebuilder:printcolumn:name="Consistent",type=string,JSONPath=`.status.conditions[?(@.type=="Consistent")].status`
// +kubebuilder:printcolumn:name="Fresh",type=string,JSONPath=`.status.conditions[?(@.type=="Fresh")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1
// +kubebuilder:printcolumn:name="Reachable",type=string,JSONPath=`.status.conditions[?(@.type=="Reachable")].status`,priority=1
// +kubebuilder:printcolumn:name="Witnessed",type=string,JSONPath=`.status.conditions[?(@.type=="Witnessed")].status`,priority=1
// +kubebuilder:printcolumn:name="Default",type=boolean,JSONPath=`.spec.default`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// What was seen of a log is given up by a reset, and by nothing else: the API server itself
// refuses any other way back, whoever writes the status.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.inconsistency) || (has(self.status) && has(self.status.inconsistency) && self.status.inconsistency.foundAt == oldSelf.status.inconsistency.foundAt) || (has(self.status) && has(self.status.lastReset) && has(self.spec.reset) && (!has(oldSelf.status.lastReset) || oldSelf.status.lastReset.at != self.status.lastReset.at) && self.status.lastReset.reset.origin == self.spec.reset.origin && self.status.lastReset.reset.stored.size == self.spec.reset.stored.size && self.status.lastReset.reset.stored.rootHash == self.spec.reset.stored.rootHash && self.status.lastReset.reset.accepted.size == self.spec.reset.accepted.size && self.status.lastReset.reset.accepted.rootHash == self.spec.reset.accepted.rootHash)",message="the evidence against a log is put away by spec.reset alone"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.checkpoint) || (has(self.status) && (has(self.status.checkpoint) && self.status.checkpoint.origin == oldSelf.status.checkpoint.origin && (self.status.checkpoint.size > oldSelf.status.checkpoint.size || self.status.checkpoint.size == oldSelf.status.checkpoint.size && self.status.checkpoint.rootHash == oldSelf.status.checkpoint.rootHash) || has(self.status.shards) && self.status.shards.exists(n, n.origin == oldSelf.status.checkpoint.origin && (n.size > oldSelf.status.checkpoint.size || n.size == oldSelf.status.checkpoint.size && n.rootHash == oldSelf.status.checkpoint.rootHash)))) || (has(self.status) && has(self.status.lastReset) && has(self.spec.reset) && (!has(oldSelf.status.lastReset) || oldSelf.status.lastReset.at != self.status.lastReset.at) && self.status.lastReset.reset.origin == self.spec.reset.origin && self.status.lastReset.reset.stored.size == self.spec.reset.stored.size && self.status.lastReset.reset.stored.rootHash == self.spec.reset.stored.rootHash && self.status.lastReset.reset.accepted.size == self.spec.reset.accepted.size && self.status.lastReset.reset.accepted.rootHash == self.spec.reset.accepted.rootHash && oldSelf.status.checkpoint.origin == self.spec.reset.origin)",message="a stored checkpoint gives way to a larger one of its tree, or to spec.reset"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.shards) || (has(self.status) && oldSelf.status.shards.all(o, (has(self.status.checkpoint) && self.status.checkpoint.origin == o.origin && (self.status.checkpoint.size > o.size || self.status.checkpoint.size == o.size && self.status.checkpoint.rootHash == o.rootHash) || has(self.status.shards) && self.status.shards.exists(n, n.origin == o.origin && (n.size > o.size || n.size == o.size && n.rootHash == o.rootHash))) || (has(self.status) && has(self.status.lastReset) && has(self.spec.reset) && (!has(oldSelf.status.lastReset) || oldSelf.status.lastReset.at != self.status.lastReset.at) && self.status.lastReset.reset.origin == self.spec.reset.origin && self.status.lastReset.reset.stored.size == self.spec.reset.stored.size && self.status.lastReset.reset.stored.rootHash == self.spec.reset.stored.rootHash && self.status.lastReset.reset.accepted.size == self.spec.reset.accepted.size && self.status.lastReset.reset.accepted.rootHash == self.spec.reset.accepted.rootHash && o.origin == self.spec.reset.origin)))",message="the stored checkpoint of a shard gives way to a larger one of its tree, or to spec.reset"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.lastReset) && (!has(self.status) || !has(self.status.lastReset)) || has(oldSelf.status.lastReset) && has(self.status) && has(self.status.lastReset) && self.status.lastReset.at == oldSelf.status.lastReset.at && self.status.lastReset.reset.origin == oldSelf.status.lastReset.reset.origin && self.status.lastReset.reset.stored.size == oldSelf.status.lastReset.reset.stored.size && self.status.lastReset.reset.stored.rootHash == oldSelf.status.lastReset.reset.stored.rootHash && self.status.lastReset.reset.accepted.size == oldSelf.status.lastReset.reset.accepted.size && self.status.lastReset.reset.accepted.rootHash == oldSelf.status.lastReset.reset.accepted.rootHash && has(self.status.lastReset.inconsistency) == has(oldSelf.status.lastReset.inconsistency) && (!has(self.status.lastReset.inconsistency) || self.status.lastReset.inconsistency.notes == oldSelf.status.lastReset.inconsistency.notes) && has(self.status.lastReset.earlier) == has(oldSelf.status.lastReset.earlier) && (!has(self.status.lastReset.earlier) || self.status.lastReset.earlier == oldSelf.status.lastReset.earlier) || has(self.status) && has(self.status.lastReset) && has(self.spec.reset) && (!has(oldSelf.status.lastReset) || oldSelf.status.lastReset.at != self.status.lastReset.at) && self.status.lastReset.reset.origin == self.spec.reset.origin && self.status.lastReset.reset.stored.size == self.spec.reset.stored.size && self.status.lastReset.reset.stored.rootHash == self.spec.reset.stored.rootHash && self.status.lastReset.reset.accepted.size == self.spec.reset.accepted.size && self.status.lastReset.reset.accepted.rootHash == self.spec.reset.accepted.rootHash",message="the record of the last reset is written when spec.reset is carried out, and stays as it is"
// +kubebuilder:pruning:PreserveUnknownFields
type TransparencyLog struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the log is and what its checkpoints must look like.
	// +required
	Spec TransparencyLogSpec `json:"spec,omitzero"`

	// status is what this cluster has seen of the log. Its checkpoints are
	// what makes a rollback or a fork visible. It defaults to nothing seen.
	// +optional
	Status TransparencyLogStatus `json:"status,omitempty,omitzero"` //nolint:kubeapilinter // The empty status is one that is left out.
}

// TransparencyLogSpec is what the cluster's owner writes.
// +kubebuilder:validation:XValidation:rule="!has(self.shards) || self.type == 'rekor-v1'",fieldPath=".shards",message="only a rekor-v1 log has shards"
// +kubebuilder:validation:XValidation:rule="!has(self.pin) || self.type != 'rekor-v1' || (has(self.shards) && size(self.shards) == 1 && !has(self.shards[0].pin))",fieldPath=".pin",message="the pin of a rekor-v1 log is of one tree: name that one in shards, or pin each tree there"
// +kubebuilder:validation:XValidation:rule="!has(self.readURLs) || self.type == 'rekor-v2'",fieldPath=".readURLs",message="only a rekor-v2 log has readURLs: a rekor-v1 log is read where it is written"
// +kubebuilder:pruning:PreserveUnknownFields
type TransparencyLogSpec struct {
	// type is the protocol that the log speaks. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type cannot be changed: create another TransparencyLog"
	Type LogType `json:"type,omitempty"`

	// urls is where the log answers: one to eight base URLs, without /api, of
	// replicas of this one log. They are asked in this order until one answers.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	URLs []string `json:"urls,omitempty"`

	// readURLs is where the tiles of a log of type rekor-v2 are served, when that
	// is elsewhere than its API: the base URL below which checkpoint and
	// tile/0/000 are found, often of an object store. Several are copies of one
	// log. What tls and auth say counts for these, too. It defaults to /api/v2
	// below each of urls. Only a log of type rekor-v2 has it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	ReadURLs []string `json:"readURLs,omitempty"`

	// origin is the host name with which the log's checkpoints begin: for type
	// rekor-v2 their first line, for rekor-v1 what stands before " - <tree ID>"
	// there. It is the name of the signing key, too, and need not be the host
	// name of the URL. It cannot be changed: the history in status belongs to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="origin cannot be changed: create another TransparencyLog"
	Origin string `json:"origin,omitempty"`

	// publicKey is the key that signs the log's checkpoints and entry
	// timestamps. It is never taken from the log itself.
	// +required
	PublicKey LogPublicKey `json:"publicKey,omitzero"`

	// tls is how the log's servers are known, and how they know countersign. It
	// defaults to the authorities that the system trusts.
	// +optional
	TLS *LogTLS `json:"tls,omitempty"`

	// auth is what countersign says to the log to be let in. It defaults to
	// nothing.
	// +optional
	Auth *LogAuth `json:"auth,omitempty"`

	// validity is when the key may sign. An entry whose time lies outside is
	// refused; after the end nothing new counts that bears no time. It defaults
	// to always.
	// +optional
	Validity *Validity `json:"validity,omitempty"`

	// shards are the trees of a Rekor v1 log that count: checkpoints of others are
	// refused. It defaults to all trees that the log lists.
	// +optional
	// +listType=map
	// +listMapKey=treeID
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=33
	Shards []LogShard `json:"shards,omitempty"`

	// pin is a checkpoint that the log is known to have had, which takes the place
	// of trust on first use. Of a Rekor v1 log it is one of the one tree that
	// shards then names; the pins of several trees stand in shards. It defaults to
	// none.
	// +optional
	Pin *LogPin `json:"pin,omitempty"`

	// reset takes another history of a tree for the true one, after the log was
	// caught or was restored from a backup: the only way back there is. It is
	// carried out once, see status.lastReset, and means nothing afterwards. It
	// defaults to none.
	// +optional
	Reset *LogReset `json:"reset,omitempty"`

	// witnesses says who must have cosigned a tree that holds an entry before the
	// entry counts, in the syntax of https://c2sp.org/tlog-policy. It defaults to
	// nobody.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=131072
	Witnesses string `json:"witnesses,omitempty"`

	// default makes this the log of every authority that names none. At most
	// one TransparencyLog may be the default; with two, neither is. It
	// defaults to false.
	// +optional
	Default *bool `json:"default,omitempty"`

	// pollInterval is how often the log is asked for its latest checkpoint,
	// between 1s and 24h. It defaults to 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +default="30s"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="pollInterval must be between 1s and 24h"
	PollInterval *metav1.Duration `json:"pollInterval,omitempty"`

	// maxStaleness is how long ago the log may last have been verified,
	// between 1s and 720h. When it is longer ago, and the log cannot be
	// verified at that moment, whatever needs the log is denied with
	// CheckpointStale, proofs that come with a signature included: a log that
	// is kept away from this cluster could hide what was added to it. So it is
	// also how long an outage of the log can last before it denies. It
	// defaults to 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +default="1h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="maxStaleness must be between 1s and 720h"
	MaxStaleness *metav1.Duration `json:"maxStaleness,omitempty"`

	// Unread is what the object says besides. It is for nobody to write.
	Unread []Unread `json:"-"`
}

// Interval is how often the log is asked for its latest checkpoint.
func (s *TransparencyLogSpec) Interval() time.Duration {
	return positive(s.PollInterval, DefaultPollInterval)
}

// Staleness is how long ago the log may last have been verified.
func (s *TransparencyLogSpec) Staleness() time.Duration {
	return positive(s.MaxStaleness, DefaultMaxStaleness)
}

// positive is the value of a duration, or that which takes the place of one that
// is absent or makes no sense.
func positive(d *metav1.Duration, fallback time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return fallback
	}
	return d.Duration
}

// IsDefault reports whether the log is marked as the default one.
func (s *TransparencyLogSpec) IsDefault() bool { return s.Default != nil && *s.Default }

// LogPublicKey is the log's public key.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.data) != has(self.secretRef)",message="exactly one of data, secretRef must be set"
// +kubebuilder:pruning:PreserveUnknownFields
type LogPublicKey struct {
	// data is the public key in PEM form (PKIX, "BEGIN PUBLIC KEY").
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Data string `json:"data,omitempty"`

	// secretRef names the Secret, in countersign's own namespace, that holds
	// the public key. Its key defaults to log.pub.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`
}

// TransparencyLogList is a list of TransparencyLog.
// +kubebuilder:object:root=true
type TransparencyLogList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TransparencyLog `json:"items"`
}
