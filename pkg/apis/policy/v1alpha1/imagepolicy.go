// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ImagePolicy says what must hold for images in its own namespace, besides what
// ClusterImagePolicies say: every policy that covers an image is required, so it can
// add to them and never weaken one. It is written by a namespace's owner, who is not
// trusted with anything else: it names no Secret, no key service and no other registry,
// since countersign would ask those with its own rights and in the cluster's name.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=countersign,shortName=imp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which images are covered and what must hold for them.
	// +required
	Spec ImagePolicySpec `json:"spec,omitzero"`

	// status says whether the policy can be evaluated. It defaults to nothing
	// known.
	// +optional
	Status ClusterImagePolicyStatus `json:"status,omitempty,omitzero"` //nolint:kubeapilinter // The empty status is one that is left out.
}

// ImagePolicySpec is what a namespace's owner writes: that of a ClusterImagePolicy, less
// what would make countersign act on the owner's behalf.
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold <= size(self.authorities)",fieldPath=".threshold",message="threshold must not be larger than the number of authorities"
// +kubebuilder:validation:XValidation:rule="self.authorities.all(a, !has(a.key) || has(a.key.data))",fieldPath=".authorities",message="an ImagePolicy has its keys in data: secretRef and kms would be read with countersign's own rights"
// +kubebuilder:validation:XValidation:rule="self.authorities.all(a, !has(a.source))",fieldPath=".authorities",message="an ImagePolicy has no source: signatures are looked for beside the image"
// +kubebuilder:validation:XValidation:rule="self.authorities.all(a, !has(a.static) || a.static.action == 'fail')",fieldPath=".authorities",message="an ImagePolicy adds to what others demand: a static authority in it can only fail"
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePolicySpec struct {
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
	// +kubebuilder:validation:MaxItems=32
	Images []ImagePattern `json:"images,omitempty"`

	// excludeImages are images that the policy does not cover although a
	// pattern of images matches. A pattern with a tag does not exclude a
	// reference that has a digest: the tag beside a digest is only a claim. It
	// defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	ExcludeImages []ImagePattern `json:"excludeImages,omitempty"`

	// match selects the objects whose images the policy covers; any entry is enough.
	// Only Pods run, so a policy that leaves them out can be got around by whoever
	// creates a Pod. It defaults to every kind that countersign serves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Match []ResourceMatch `json:"match,omitempty"`

	// authorities are those who may vouch for an image. They are alternatives:
	// threshold of them must accept it. Logs and trust roots are the cluster's, by
	// name; keys stand in the policy.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Authorities []Authority `json:"authorities,omitempty"`

	// threshold is the number of authorities that must accept an image. It
	// defaults to 1.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4
	Threshold int32 `json:"threshold,omitempty"`

	// requireDigest refuses an image that is named by its tag alone, however good
	// it is, with the reason DigestRequired. It defaults to false.
	// +optional
	RequireDigest *bool `json:"requireDigest,omitempty"`

	// Unread is what the object says besides. It is for nobody to write.
	Unread []Unread `json:"-"`
}

// AsCluster returns the specification of a ClusterImagePolicy that says the same
// everywhere.
func (s *ImagePolicySpec) AsCluster() ClusterImagePolicySpec {
	return ClusterImagePolicySpec{
		Mode: s.Mode, Images: s.Images, ExcludeImages: s.ExcludeImages, Match: s.Match, Authorities: s.Authorities,
		Threshold: s.Threshold, RequireDigest: s.RequireDigest, Platforms: PlatformsIndex,
		OnUnavailable: OnUnavailableDeny, Exceptions: ExceptionsDeny, Unread: s.Unread,
	}
}

// ImagePolicyList is a list of ImagePolicy.
// +kubebuilder:object:root=true
type ImagePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ImagePolicy `json:"items"`
}
