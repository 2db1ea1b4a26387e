// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultMaxExceptionAge is how long an ImagePolicyException can last, from its creation,
// unless countersign is told otherwise.
const DefaultMaxExceptionAge = 7 * 24 * time.Hour

// Exceptions says whether a policy can be set aside by an ImagePolicyException.
// +kubebuilder:validation:Enum=deny;allow
type Exceptions string

// What a policy can say of exceptions.
const (
	// ExceptionsDeny takes none.
	ExceptionsDeny Exceptions = "deny"
	// ExceptionsAllow takes those of the image's namespace.
	ExceptionsAllow Exceptions = "allow"
)

// ImagePolicyException admits images in its own namespace that a ClusterImagePolicy with
// exceptions: allow refuses, for some days. Every use of it is shown. It is for those to
// whom an administrator gives the right to write it: no role has it by itself.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=countersign,shortName=impx
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expires`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.conditions[?(@.type=="Active")].status`
// +kubebuilder:printcolumn:name="Approved By",type=string,JSONPath=`.spec.approvedBy`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePolicyException struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which images are admitted, for how long and why.
	// +required
	Spec ImagePolicyExceptionSpec `json:"spec,omitzero"`

	// status says whether the exception counts. It defaults to nothing known.
	// +optional
	Status ImagePolicyExceptionStatus `json:"status,omitempty,omitzero"` //nolint:kubeapilinter // The empty status is one that is left out.
}

// ImagePolicyExceptionSpec is what whoever may make exceptions writes.
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePolicyExceptionSpec struct {
	// images are the images that are admitted: repositories, or digests in them
	// (registry.corp.example/app@sha256:…). A pattern cannot have a tag: beside a
	// digest that is only a claim, and Pods are pinned.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Images []ImagePattern `json:"images,omitempty"`

	// reason is why, for whoever sees that the exception is used.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// expires is when the exception ends. It must be within seven days of the
	// object's creation, unless countersign is told otherwise
	// (--max-exception-age); one that lasts longer does nothing.
	// +required
	Expires metav1.Time `json:"expires,omitzero"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.

	// approvedBy says who approved it. It is what the object's author writes; who
	// that was is in the API server's audit log. It defaults to nobody.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ApprovedBy string `json:"approvedBy,omitempty"`

	// reference is where more about it is written, such as a ticket. It defaults to
	// nowhere.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reference string `json:"reference,omitempty"` //nolint:kubeapilinter // It refers to no object: a ticket, an address.

	// Unread is what the object says besides. It is for nobody to write.
	Unread []Unread `json:"-"`
}

// ImagePolicyExceptionStatus is what countersign found.
type ImagePolicyExceptionStatus struct {
	// conditions are Active. They default to none, which means that the exception
	// has not been looked at yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=4
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// ImagePolicyExceptionList is a list of ImagePolicyException.
// +kubebuilder:object:root=true
type ImagePolicyExceptionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ImagePolicyException `json:"items"`
}
