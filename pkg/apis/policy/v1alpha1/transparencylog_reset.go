// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LogReset gives up what this cluster has seen of one tree of a log, and takes another
// history of it for the true one. It names both, and the evidence that is put away with
// the first, so that it can be about nothing else: it is carried out once, or refused.
// +kubebuilder:pruning:PreserveUnknownFields
type LogReset struct {
	// origin is the first line of the tree's checkpoints.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Origin string `json:"origin,omitempty"`

	// stored is what status holds of the tree: the history that is given up.
	// +required
	Stored LogPin `json:"stored,omitzero"`

	// accepted is a checkpoint of the history that counts from now on. The log must
	// show that what it shows now is of one history with it, and no smaller. It is that
	// of stored when the evidence is against somebody else than the log.
	// +required
	Accepted LogPin `json:"accepted,omitzero"`

	// inconsistencyFoundAt is status.inconsistency.foundAt: which evidence is put
	// away. It must be absent where status holds none.
	// +optional
	InconsistencyFoundAt *metav1.Time `json:"inconsistencyFoundAt,omitempty"`

	// requestedBy is the name of the user who writes this, as the API server knows it.
	// Another one is refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	RequestedBy string `json:"requestedBy,omitempty"`

	// reason says why, for whoever asks later.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// LogResetRecord is a reset that was carried out, and what it put away.
type LogResetRecord struct {
	// reset is what spec asked for.
	// +required
	Reset LogReset `json:"reset,omitzero"`

	// at is when it was carried out.
	// +required
	At metav1.Time `json:"at,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.

	// note is the signed checkpoint that was given up.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32768
	Note string `json:"note,omitempty"`

	// inconsistency is the evidence that was put away. It defaults to none.
	// +optional
	Inconsistency *LogInconsistency `json:"inconsistency,omitempty"`

	// earlier is what the resets before this one put away, the last one's first, without
	// the signatures. It defaults to nothing.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=192
	Earlier []LogPutAway `json:"earlier,omitempty"`
}

// LogPutAway names checkpoints that a reset put away. Signatures may still carry them: they
// are refused where they contradict the history that counts, and not counted against the
// log again.
type LogPutAway struct {
	// origin is the first line of the tree's checkpoints.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Origin string `json:"origin,omitempty"`

	// size is the number of entries of the checkpoint.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// rootHash is the root of the checkpoint, in lower-case hex, where it was evidence. It
	// defaults to none, which stands for every checkpoint of no more entries than size: a
	// history that was given up.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RootHash string `json:"rootHash,omitempty"`
}
