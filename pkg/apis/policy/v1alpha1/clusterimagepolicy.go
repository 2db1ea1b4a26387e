// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Mode says what happens to an image that a policy does not accept.
// +kubebuilder:validation:Enum=enforce;warn;audit
type Mode string

// Modes of a policy.
const (
	// ModeEnforce refuses the object.
	ModeEnforce Mode = "enforce"
	// ModeWarn admits the object and warns whoever sent it.
	ModeWarn Mode = "warn"
	// ModeAudit admits the object and leaves an audit annotation.
	ModeAudit Mode = "audit"
)

// ClusterImagePolicy says what must hold for the images that it covers, in
// every namespace that countersign serves. Policies that cover the same image
// are all required.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=countersign,shortName=cimp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:pruning:PreserveUnknownFields
type ClusterImagePolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which images are covered and what must hold for them.
	// +required
	Spec ClusterImagePolicySpec `json:"spec,omitzero"`

	// status says whether the policy can be evaluated. It defaults to nothing
	// known.
	// +optional
	Status ClusterImagePolicyStatus `json:"status,omitempty,omitzero"` //nolint:kubeapilinter // The empty status is one that is left out.
}

// ClusterImagePolicySpec is what the cluster's owner writes.
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold <= size(self.authorities)",fieldPath=".threshold",message="threshold must not be larger than the number of authorities"
// +kubebuilder:pruning:PreserveUnknownFields
type ClusterImagePolicySpec struct {
	// mode says what happens to an image that the policy does not accept:
	// enforce refuses the object, warn admits it with a warning, audit admits
	// it with an audit annotation. It defaults to enforce.
	// +optional
	// +default="enforce"
	Mode Mode `json:"mode,omitempty"`

	// images are the images that the policy covers: an image is covered when
	// any of these patterns matches.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Images []ImagePattern `json:"images,omitempty"`

	// excludeImages are images that the policy does not cover although a
	// pattern of images matches. A pattern with a tag does not exclude a
	// reference that has a digest: the tag beside a digest is only a claim. It
	// defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	ExcludeImages []ImagePattern `json:"excludeImages,omitempty"`

	// namespaceSelector selects the namespaces in which the policy covers images, by
	// their labels. kubernetes.io/metadata.name, the namespace's name, is the one
	// label that nobody can change; others can be changed by whoever may update the
	// namespace, who then takes it out of the policy. Where the labels cannot be
	// read, the policy covers the image. It defaults to every namespace that
	// countersign serves.
	// +optional
	NamespaceSelector *LabelSelector `json:"namespaceSelector,omitempty"`

	// match selects the objects whose images the policy covers; any entry is enough.
	// Only Pods run, so a policy that leaves them out can be got around by whoever
	// creates a Pod. It defaults to every kind that countersign serves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Match []ResourceMatch `json:"match,omitempty"`

	// authorities are those who may vouch for an image. They are alternatives:
	// threshold of them must accept it.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Authorities []Authority `json:"authorities,omitempty"`

	// threshold is the number of authorities that must accept an image. It
	// defaults to 1.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Threshold int32 `json:"threshold,omitempty"`

	// requireDigest refuses an image that is named by its tag alone, however good
	// it is, with the reason DigestRequired. The images of Pods that countersign
	// pins (serve --pin-digests) have a digest when they are judged, so there it
	// is about workloads and custom resources: what is deployed is then what
	// somebody wrote down. It defaults to false.
	// +optional
	RequireDigest *bool `json:"requireDigest,omitempty"`

	// platforms says what of an image for several platforms must be signed. index:
	// the index, which is what its tag and a Pod's digest name, and which holds the
	// digests of all the rest. all: each manifest that the index lists and that a node
	// may run, by itself, and all of them; whether the index is signed does not matter
	// then. An image that is no index is judged by itself. It defaults to index.
	// +optional
	// +default="index"
	Platforms Platforms `json:"platforms,omitempty"`

	// exceptions says whether an ImagePolicyException can admit, in its namespace and
	// for some days, what the policy refuses. It defaults to deny: whoever may write
	// exceptions gets past those policies alone that say so.
	// +optional
	// +default="deny"
	Exceptions Exceptions `json:"exceptions,omitempty"`

	// onUnavailable says what happens to an image that cannot be verified in full
	// because a log or a registry does not answer. deny refuses it.
	// allowEmbeddedProof accepts a signature that brings its own proof of
	// inclusion, under a checkpoint that the log signed and that it cannot be asked
	// about at the moment. allowPreviouslyVerified accepts a digest that the same
	// replica verified in full under the same policy, keys and logs, not longer ago
	// than the log's maxStaleness. Both end when the log was last verified longer
	// ago than its maxStaleness, each use of them is shown, and neither accepts
	// anything that contradicts what is known. It defaults to deny.
	// +optional
	// +default="deny"
	OnUnavailable OnUnavailable `json:"onUnavailable,omitempty"`

	// Unread is what the object says besides. It is for nobody to write.
	Unread []Unread `json:"-"`
}

// KMSKeys returns the URIs of the keys that the policy's authorities name.
func (s *ClusterImagePolicySpec) KMSKeys() []string {
	var uris []string
	for i := range s.Authorities {
		if key := s.Authorities[i].Key; key != nil && key.KMS != "" {
			uris = append(uris, key.KMS)
		}
	}
	return uris
}

// Platforms says what of an image for several platforms must be signed.
// +kubebuilder:validation:Enum=index;all
type Platforms string

// What can have to be signed of an image for several platforms.
const (
	// PlatformsIndex is the index.
	PlatformsIndex Platforms = "index"
	// PlatformsAll is each manifest that the index lists and that can run.
	PlatformsAll Platforms = "all"
)

// OnUnavailable says what happens when something that is needed does not answer.
// +kubebuilder:validation:Enum=deny;allowEmbeddedProof;allowPreviouslyVerified
type OnUnavailable string

// What can happen when something that is needed does not answer.
const (
	// OnUnavailableDeny refuses.
	OnUnavailableDeny OnUnavailable = "deny"
	// OnUnavailableAllowEmbeddedProof does without the log's word on a checkpoint
	// that it signed.
	OnUnavailableAllowEmbeddedProof OnUnavailable = "allowEmbeddedProof"
	// OnUnavailableAllowPreviouslyVerified keeps to a recent verdict on the digest.
	OnUnavailableAllowPreviouslyVerified OnUnavailable = "allowPreviouslyVerified"
)

// ImagePattern selects images by name.
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePattern struct {
	// glob is compared with the whole repository, repository:tag or
	// repository@digest. `*` stays within one path segment, `**` does not;
	// docker.io, index.docker.io and the short forms are one name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Glob string `json:"glob,omitempty"`
}

// ClusterImagePolicyStatus is what countersign found.
type ClusterImagePolicyStatus struct {
	// conditions are Ready, KeysResolved, LogsReady and TrustRootsReady. They
	// default to none, which means that the policy has not been looked at yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// ClusterImagePolicyList is a list of ClusterImagePolicy.
// +kubebuilder:object:root=true
type ClusterImagePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClusterImagePolicy `json:"items"`
}
