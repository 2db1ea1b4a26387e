// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// checkpointRecord is a verified checkpoint as commands show it.
type checkpointRecord struct {
	Origin   string `json:"origin"`
	Size     uint64 `json:"size"`
	RootHash string `json:"rootHash"`
	Note     string `json:"note,omitempty"`
	// Witnesses says who has cosigned it, where the log must be witnessed.
	Witnesses string `json:"witnesses,omitempty"`
}

func recordOf(c tlog.Checkpoint) checkpointRecord {
	root := c.Root()
	return checkpointRecord{Origin: c.Origin(), Size: c.Size(), RootHash: hex.EncodeToString(root[:]), Note: c.Note(), Witnesses: c.Witnesses()}
}

// String names the tree and, as `log reset` takes it, size and root.
func (c checkpointRecord) String() string {
	return fmt.Sprintf("%s at %d:%s", c.Origin, c.Size, c.RootHash)
}
