// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// maxShards is the most trees of one log that are remembered beside the active
// one. To forget one would let the log rewrite it, so another is refused instead.
const maxShards = 32

// checkpoints returns every checkpoint in status, the active tree's first.
func checkpoints(status *v1alpha1.TransparencyLogStatus) []*v1alpha1.LogCheckpoint {
	var all []*v1alpha1.LogCheckpoint
	if status.Checkpoint != nil {
		all = append(all, status.Checkpoint)
	}
	for i := range status.Shards {
		all = append(all, &status.Shards[i])
	}
	return all
}

// find returns the checkpoint of origin, or nil.
func find(status *v1alpha1.TransparencyLogStatus, origin string) *v1alpha1.LogCheckpoint {
	for _, stored := range checkpoints(status) {
		if stored.Origin == origin {
			return stored
		}
	}
	return nil
}

// store puts next in the place of its tree's checkpoint. The tree that advances is
// the active one: what was there becomes a shard. It fails, wrapping
// tlog.ErrLimit, when there are too many trees.
//
// pin is what the spec says of the tree. What is stored was shown to be of one history
// with it before.
func store(status *v1alpha1.TransparencyLogStatus, next tlog.Checkpoint, pin *v1alpha1.LogPin, now time.Time) error {
	updated := &v1alpha1.LogCheckpoint{
		Origin:     next.Origin(),
		Size:       sizeOf(next),
		RootHash:   rootOf(next),
		Note:       next.Note(),
		VerifiedAt: metav1.NewTime(now),
		FirstContact: &v1alpha1.FirstContact{
			Method:   v1alpha1.FirstContactTrustOnFirstUse,
			Size:     sizeOf(next),
			RootHash: rootOf(next),
			At:       metav1.NewTime(now),
		},
	}
	if next.IsWitnessed() {
		sayWitnessed(updated, next, now)
	}
	var others []v1alpha1.LogCheckpoint
	for _, stored := range checkpoints(status) {
		if stored.Origin == updated.Origin {
			updated.FirstContact = stored.FirstContact
			if updated.Witnessed == nil {
				updated.Witnessed = stored.Witnessed
			}
			continue
		}
		others = append(others, *stored)
	}
	sayPinned(updated, pin, now)
	if len(others) > maxShards {
		return fmt.Errorf("%w: the log has more than %d trees", tlog.ErrLimit, maxShards)
	}
	status.Checkpoint = updated
	status.Shards = others
	return nil
}

// sayPinned makes the pin the first contact with the tree of stored, which was shown to be
// of one history with it. It reports whether that is news.
func sayPinned(stored *v1alpha1.LogCheckpoint, pin *v1alpha1.LogPin, now time.Time) bool {
	known := stored.FirstContact
	if pin == nil || known != nil && known.Method == v1alpha1.FirstContactPinned && known.Size == pin.Size && known.RootHash == pin.RootHash {
		return false
	}
	stored.FirstContact = &v1alpha1.FirstContact{
		Method: v1alpha1.FirstContactPinned, Size: pin.Size, RootHash: pin.RootHash, At: metav1.NewTime(now),
	}
	return true
}

// sayWitnessed makes next, which is stored already, the one that witnesses have cosigned.
func sayWitnessed(stored *v1alpha1.LogCheckpoint, next tlog.Checkpoint, now time.Time) {
	stored.Note = next.Note()
	stored.Witnessed = &v1alpha1.WitnessedCheckpoint{Size: sizeOf(next), Note: next.Note(), VerifiedAt: metav1.NewTime(now)}
}

// accuse writes the evidence into the status of obj, and the conditions that
// follow from it.
func accuse(obj *v1alpha1.TransparencyLog, evidence *tlog.InconsistencyError, now time.Time) {
	obj.Status.Inconsistency = &v1alpha1.LogInconsistency{
		Notes:   []string{evidence.A.Note(), evidence.B.Note()},
		FoundAt: metav1.NewTime(now),
	}
	for _, condition := range []string{v1alpha1.ConditionConsistent, v1alpha1.ConditionReady} {
		meta.SetStatusCondition(&obj.Status.Conditions, metav1.Condition{
			Type:               condition,
			Status:             metav1.ConditionFalse,
			Reason:             v1alpha1.ReasonLogInconsistent,
			Message:            fmt.Sprintf("the log signed both %v and %v", evidence.A, evidence.B),
			ObservedGeneration: obj.Generation,
		})
	}
}

// inconsistencyError says that the evidence in the status of obj stands, and what
// it is.
func inconsistencyError(obj *v1alpha1.TransparencyLog) error {
	var signed []string
	for _, note := range obj.Status.Inconsistency.Notes {
		text, _, _ := strings.Cut(note, "\n\n")
		signed = append(signed, fmt.Sprintf("%q", text))
	}
	return fmt.Errorf("%w: TransparencyLog %q has had a proven inconsistency on record since %s: the log signed %s",
		tlog.ErrInconsistent, obj.Name, obj.Status.Inconsistency.FoundAt.UTC().Format(time.RFC3339), strings.Join(signed, " and "))
}

// sizeOf returns the size of a checkpoint as a status says it. Advance refuses
// those that are too large for that.
func sizeOf(checkpoint tlog.Checkpoint) int64 {
	return int64(min(checkpoint.Size(), math.MaxInt64))
}

func rootOf(checkpoint tlog.Checkpoint) string {
	root := checkpoint.Root()
	return hex.EncodeToString(root[:])
}
