// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// LogShard is a tree of a Rekor v1 log that counts.
// +kubebuilder:pruning:PreserveUnknownFields
type LogShard struct {
	// treeID is the decimal number at the end of the first line of the tree's
	// checkpoints, as text: it is larger than some programs' numbers.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=19
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]*$`
	TreeID string `json:"treeID,omitempty"`

	// pin is a checkpoint that the tree is known to have had. It defaults to
	// none: the first checkpoint that the log shows is trusted.
	// +optional
	Pin *LogPin `json:"pin,omitempty"`
}

// LogPin is a checkpoint that is known from somewhere else than the log. Nothing is
// believed of a log that cannot show that it is of one history with it.
// +kubebuilder:pruning:PreserveUnknownFields
type LogPin struct {
	// size is the number of entries.
	// +required
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// rootHash is the root of the tree of that size, in lower-case hex.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RootHash string `json:"rootHash,omitempty"`
}
