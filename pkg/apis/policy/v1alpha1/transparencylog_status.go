// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TransparencyLogStatus is what this cluster has seen of the log.
type TransparencyLogStatus struct {
	// conditions are Ready, Reachable, Consistent and Fresh, Witnessed where
	// the spec asks for witnesses, and Reset where it asks for one. They default to none, which means that the log
	// has not been polled yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// checkpoint is the last verified checkpoint of the tree that advanced
	// last: the active one. It is replaced only by a checkpoint that was proven
	// to extend it.
	// +optional
	Checkpoint *LogCheckpoint `json:"checkpoint,omitempty"`

	// shards are the last verified checkpoints of the log's other trees.
	// +optional
	// +listType=map
	// +listMapKey=origin
	// +kubebuilder:validation:MaxItems=32
	Shards []LogCheckpoint `json:"shards,omitempty"`

	// inconsistency is the evidence that the log contradicted itself. While it
	// stands, the log proves nothing. Only spec.reset puts it away.
	// +optional
	Inconsistency *LogInconsistency `json:"inconsistency,omitempty"`

	// lastReset is the last reset that was carried out: who asked for it and why,
	// and what it put away. It defaults to none.
	// +optional
	LastReset *LogResetRecord `json:"lastReset,omitempty"`
}

// LogCheckpoint is a checkpoint that was verified under the log's key.
type LogCheckpoint struct {
	// origin is the first line of the checkpoint, tree ID included.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Origin string `json:"origin,omitempty"`

	// size is the number of entries in the tree.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// rootHash is the root of the tree, in lower-case hex.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RootHash string `json:"rootHash,omitempty"`

	// note is the signed checkpoint, byte for byte.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32768
	Note string `json:"note,omitempty"`

	// verifiedAt is when the log itself last showed this checkpoint, or proved
	// that this one continues what was stored before. While the log shows
	// nothing new it is written anew only now and then: at least ten times in
	// the log's maxStaleness, if the log is polled as often.
	// +required
	VerifiedAt metav1.Time `json:"verifiedAt,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.

	// firstContact is how this cluster came to trust the first checkpoint of
	// this tree.
	// +optional
	FirstContact *FirstContact `json:"firstContact,omitempty"`

	// witnessed is the largest checkpoint of this tree that as many witnesses have
	// cosigned as the log's policy asks for. It defaults to none, which is so where
	// no witness is asked for.
	// +optional
	Witnessed *WitnessedCheckpoint `json:"witnessed,omitempty"`
}

// WitnessedCheckpoint is a checkpoint of the same tree with its cosignatures.
type WitnessedCheckpoint struct {
	// size is the number of entries that the witnesses have seen.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// note is the signed checkpoint with the cosignatures.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32768
	Note string `json:"note,omitempty"`

	// verifiedAt is when the quorum was found to be met.
	// +required
	VerifiedAt metav1.Time `json:"verifiedAt,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.
}

// FirstContactMethod is how the first checkpoint of a tree came to be trusted.
// +kubebuilder:validation:Enum=TrustOnFirstUse;Pinned;Reset
type FirstContactMethod string

const (
	// FirstContactTrustOnFirstUse says that the first checkpoint with a good
	// signature was taken.
	FirstContactTrustOnFirstUse FirstContactMethod = "TrustOnFirstUse"
	// FirstContactPinned says that the log has shown that its tree is of one
	// history with the checkpoint that the spec pins.
	FirstContactPinned FirstContactMethod = "Pinned"
	// FirstContactReset says that an operator's reset has accepted this history.
	FirstContactReset FirstContactMethod = "Reset"
)

// FirstContact is the first checkpoint of a tree that this cluster trusted.
// Everything since then is proven to extend it.
type FirstContact struct {
	// method is TrustOnFirstUse, Pinned, or Reset.
	// +required
	Method FirstContactMethod `json:"method,omitempty"`

	// size is the number of entries that the tree had then, or that the pin or the
	// reset says.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// rootHash is the root of the tree of that size, in lower-case hex.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RootHash string `json:"rootHash,omitempty"`

	// at is when that was.
	// +required
	At metav1.Time `json:"at,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.
}

// LogInconsistency is a proof that the log contradicted itself: notes that are
// all signed by its key and cannot all be true.
type LogInconsistency struct {
	// notes are the signed checkpoints, byte for byte.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=32768
	Notes []string `json:"notes,omitempty"`

	// foundAt is when the contradiction was found.
	// +required
	FoundAt metav1.Time `json:"foundAt,omitempty"` //nolint:kubeapilinter // It is a string on the wire, so it has no zero value.
}
