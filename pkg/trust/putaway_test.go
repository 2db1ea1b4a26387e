// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestWhatResetsPutAway: a record names what its reset put away and what those before it
// did, each once, and no more than it says.
func TestWhatResetsPutAway(t *testing.T) {
	l := tlogtest.New("rekor.test")
	l.Grow(9)
	pin := func(size int) v1alpha1.LogPin {
		return v1alpha1.LogPin{Size: int64(size), RootHash: hex.EncodeToString(l.Root(size))}
	}
	named := func(size int) v1alpha1.LogPutAway {
		return v1alpha1.LogPutAway{Origin: l.Origin(), Size: int64(size), RootHash: hex.EncodeToString(l.Root(size))}
	}
	upTo := func(size int64) v1alpha1.LogPutAway { return v1alpha1.LogPutAway{Origin: l.Origin(), Size: size} }
	evidence := func(notes ...string) *v1alpha1.LogInconsistency {
		return &v1alpha1.LogInconsistency{Notes: notes}
	}
	kept := v1alpha1.LogReset{Origin: l.Origin(), Stored: pin(9), Accepted: pin(9)}
	var many []v1alpha1.LogPutAway
	for size := range int64(maxPutAway) {
		many = append(many, upTo(size+100))
	}
	for name, tc := range map[string]struct {
		record *v1alpha1.LogResetRecord
		want   []v1alpha1.LogPutAway
	}{
		"no reset":                     {},
		"another history was accepted": {&v1alpha1.LogResetRecord{Reset: v1alpha1.LogReset{Origin: l.Origin(), Stored: pin(9), Accepted: pin(5)}}, []v1alpha1.LogPutAway{upTo(9)}},
		"evidence was put away, the history is kept": {&v1alpha1.LogResetRecord{Reset: kept, Inconsistency: evidence(l.Checkpoint(9), l.Checkpoint(8))}, []v1alpha1.LogPutAway{named(9), named(8)}},
		"those before it are kept, each once": {&v1alpha1.LogResetRecord{Reset: kept, Inconsistency: evidence(l.Checkpoint(9), l.Checkpoint(8)),
			Earlier: []v1alpha1.LogPutAway{named(8), upTo(3), named(7)}}, []v1alpha1.LogPutAway{named(9), named(8), upTo(3), named(7)}},
		"of too many the oldest are forgotten": {&v1alpha1.LogResetRecord{Reset: kept, Inconsistency: evidence(l.Checkpoint(9), l.Checkpoint(8)), Earlier: many},
			append([]v1alpha1.LogPutAway{named(9), named(8)}, many[:maxPutAway-2]...)},
		"notes that are none":        {&v1alpha1.LogResetRecord{Reset: kept, Inconsistency: evidence("x", l.Origin()+"\n3\nYWJj\n\n")}, nil},
		"a size that is not one":     {&v1alpha1.LogResetRecord{Reset: kept, Earlier: []v1alpha1.LogPutAway{upTo(0), upTo(-1)}}, nil},
		"a note of a size of no one": {&v1alpha1.LogResetRecord{Reset: kept, Inconsistency: evidence(strings.Replace(l.Checkpoint(9), "\n9\n", "\n18446744073709551615\n", 1), l.Checkpoint(8))}, []v1alpha1.LogPutAway{named(8)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, putAway(tc.record)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := putAwayOf(tc.record); len(got) != len(tc.want) {
				t.Errorf("a prover is told %v", got)
			}
		})
	}
	// A root that cannot be read must not come to stand for every root.
	broken := &v1alpha1.LogResetRecord{Reset: kept, Earlier: []v1alpha1.LogPutAway{{Origin: l.Origin(), Size: 9, RootHash: "x"}}}
	if got := putAwayOf(broken); len(got) != 0 {
		t.Errorf("an unreadable root became %v", got)
	}
}
