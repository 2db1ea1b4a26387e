// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"slices"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// maxPutAway bounds what is remembered of the resets of a log: up to three things of each of
// the last 64. It is the limit of the schema, too.
const maxPutAway = 192

// putAway returns what the resets of a log have put away, the last one's first. A checkpoint
// of the record that cannot be read names nothing.
func putAway(record *v1alpha1.LogResetRecord) []v1alpha1.LogPutAway {
	if record == nil {
		return nil
	}
	var all []v1alpha1.LogPutAway
	add := func(p v1alpha1.LogPutAway) {
		if p.Size > 0 && len(all) < maxPutAway && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if reset := record.Reset; reset.Stored != reset.Accepted {
		add(v1alpha1.LogPutAway{Origin: reset.Origin, Size: reset.Stored.Size})
	}
	if record.Inconsistency != nil {
		for _, note := range record.Inconsistency.Notes {
			if p, err := tlog.PutAwayNote(note); err == nil {
				add(v1alpha1.LogPutAway{Origin: p.Origin, Size: int64(p.Size), RootHash: hex.EncodeToString(p.Root[:])}) //nolint:gosec // What does not fit is below 0, and names nothing.
			}
		}
	}
	for _, earlier := range record.Earlier {
		add(earlier)
	}
	return all
}

// putAwayOf is putAway as package tlog has it.
func putAwayOf(record *v1alpha1.LogResetRecord) []tlog.PutAway {
	var all []tlog.PutAway
	for _, named := range putAway(record) {
		p := tlog.PutAway{Origin: named.Origin, Size: uint64(named.Size)} //nolint:gosec // It is above 0.
		if named.RootHash != "" {
			pin, err := pinOf(&v1alpha1.LogPin{Size: named.Size, RootHash: named.RootHash})
			if err != nil {
				continue // it must not come to stand for more than one checkpoint
			}
			p.Root = &pin.Root
		}
		all = append(all, p)
	}
	return all
}
