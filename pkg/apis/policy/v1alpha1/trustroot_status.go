// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TrustRootStatus is what countersign found.
type TrustRootStatus struct {
	// conditions are Ready, Fresh and ExpiresSoon. They default to none, which
	// means that the trust root has not been looked at yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// observedGeneration is the generation that the rest of the status is about.
	// It defaults to 0, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// certificateAuthorities is how many there are. It defaults to 0.
	// +optional
	// +kubebuilder:validation:Minimum=1
	CertificateAuthorities int32 `json:"certificateAuthorities,omitempty"`

	// ctLogs is how many certificate transparency logs there are. It defaults
	// to 0.
	// +optional
	// +kubebuilder:validation:Minimum=1
	CTLogs int32 `json:"ctLogs,omitempty"`

	// timestampAuthorities is how many there are. It defaults to 0.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TimestampAuthorities int32 `json:"timestampAuthorities,omitempty"` //nolint:kubeapilinter // What RFC 3161 calls it.

	// tLogs is how many transparency logs there are. It defaults to 0.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TLogs int32 `json:"tLogs,omitempty"`

	// expiry is what of it ends first. It defaults to nothing that ends.
	// +optional
	Expiry *TrustRootExpiry `json:"expiry,omitempty"`

	// tuf is the state of the TUF repository. It defaults to none.
	// +optional
	TUF *TUFStatus `json:"tuf,omitempty"`
}

// TrustRootExpiry is the end of something that is trusted.
type TrustRootExpiry struct {
	// at is when it ends.
	// +required
	At metav1.Time `json:"at,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.

	// what names it: an authority or log, or a role of TUF.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	What string `json:"what,omitempty"`
}

// TUFStatus holds the versions that were seen. They never go down: a mirror that
// serves older ones is not believed.
type TUFStatus struct {
	// rootVersion is the version of the root.
	// +required
	// +kubebuilder:validation:Minimum=1
	RootVersion int64 `json:"rootVersion,omitempty"`

	// timestampVersion is the version of the timestamp.
	// +required
	// +kubebuilder:validation:Minimum=1
	TimestampVersion int64 `json:"timestampVersion,omitempty"` //nolint:kubeapilinter // What TUF calls it.

	// snapshotVersion is the version of the snapshot.
	// +required
	// +kubebuilder:validation:Minimum=1
	SnapshotVersion int64 `json:"snapshotVersion,omitempty"`

	// targetsVersion is the version of the targets.
	// +required
	// +kubebuilder:validation:Minimum=1
	TargetsVersion int64 `json:"targetsVersion,omitempty"`

	// changedAt is when those versions were first seen.
	// +required
	ChangedAt metav1.Time `json:"changedAt,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.
}
