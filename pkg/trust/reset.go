// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// ErrResetRefused says that a reset names something else than what is stored, or nothing that could
// be reset.
var ErrResetRefused = errors.New("reset refused")

// resetOf names the last reset of a log; it is "" where there was none.
func resetOf(obj *v1alpha1.TransparencyLog) string {
	last := obj.Status.LastReset
	if last == nil {
		return ""
	}
	return last.At.UTC().Format(time.RFC3339) + " " + last.Reset.Origin + " " + last.Reset.Stored.RootHash + " " + last.Reset.Accepted.RootHash
}

// ResetDone reports whether the reset in the spec was carried out. It means nothing any more
// then, whatever is stored.
func ResetDone(obj *v1alpha1.TransparencyLog) bool {
	return obj.Spec.Reset != nil && obj.Status.LastReset != nil && equality.Semantic.DeepEqual(*obj.Spec.Reset, obj.Status.LastReset.Reset)
}

// CheckReset returns nil when the reset names exactly what the status of obj holds, and
// would change something. Its error wraps ErrResetRefused, and says what is stored.
func CheckReset(obj *v1alpha1.TransparencyLog, reset *v1alpha1.LogReset) error {
	stored, evidence := find(&obj.Status, reset.Origin), obj.Status.Inconsistency
	switch {
	case stored == nil:
		return fmt.Errorf("%w: nothing is stored of a tree %q", ErrResetRefused, reset.Origin)
	case stored.Size != reset.Stored.Size || stored.RootHash != reset.Stored.RootHash:
		return fmt.Errorf("%w: of tree %q size %d root %s is stored, and not size %d root %s",
			ErrResetRefused, reset.Origin, stored.Size, stored.RootHash, reset.Stored.Size, reset.Stored.RootHash)
	case evidence == nil && reset.InconsistencyFoundAt != nil:
		return fmt.Errorf("%w: there is no evidence against the log that could be put away", ErrResetRefused)
	case evidence != nil && (reset.InconsistencyFoundAt == nil || !reset.InconsistencyFoundAt.Equal(&evidence.FoundAt)):
		return fmt.Errorf("%w: the evidence against the log was found at %s, and the reset does not name that", ErrResetRefused, evidence.FoundAt.UTC().Format(time.RFC3339))
	case evidence != nil && !isAbout(evidence, reset.Origin):
		return fmt.Errorf("%w: the evidence against the log is not about tree %q", ErrResetRefused, reset.Origin)
	case evidence == nil && reset.Stored == reset.Accepted:
		return fmt.Errorf("%w: what is stored and what is to be accepted are the same, and there is no evidence against the log", ErrResetRefused)
	}
	return nil
}

// isAbout reports whether evidence is two checkpoints of one tree.
func isAbout(evidence *v1alpha1.LogInconsistency, origin string) bool {
	for _, note := range evidence.Notes {
		if !strings.HasPrefix(note, origin+"\n") {
			return false
		}
	}
	return true
}

// AcceptedByReset is the checkpoint of which the log must show the history. Its error wraps
// ErrResetRefused.
func AcceptedByReset(reset *v1alpha1.LogReset) (tlog.Pin, error) {
	pin, err := pinOf(&reset.Accepted)
	if err != nil {
		return tlog.Pin{}, fmt.Errorf("%w: accepted: %w", ErrResetRefused, err)
	}
	return *pin, nil
}

// Reset carries out the reset in the spec of obj in its status: shown, which the log has
// shown to be of one history with what is to be accepted, takes the place of what is
// stored, the evidence is put away, and a record says what was. The caller writes the
// status on condition that nothing else did. It fails as CheckReset does.
func Reset(obj *v1alpha1.TransparencyLog, shown tlog.Checkpoint, now time.Time) error {
	reset := obj.Spec.Reset
	if err := CheckReset(obj, reset); err != nil {
		return err
	}
	if shown.Origin() != reset.Origin || sizeOf(shown) < reset.Accepted.Size {
		return fmt.Errorf("%w: %v is not what is to be accepted", ErrResetRefused, shown)
	}
	stored := find(&obj.Status, reset.Origin)
	obj.Status.LastReset = &v1alpha1.LogResetRecord{
		Reset: *reset.DeepCopy(), At: metav1.NewTime(now), Note: stored.Note, Inconsistency: obj.Status.Inconsistency,
		Earlier: putAway(obj.Status.LastReset),
	}
	obj.Status.Inconsistency = nil
	*stored = v1alpha1.LogCheckpoint{
		Origin: shown.Origin(), Size: sizeOf(shown), RootHash: rootOf(shown), Note: shown.Note(), VerifiedAt: metav1.NewTime(now),
		FirstContact: &v1alpha1.FirstContact{
			Method: v1alpha1.FirstContactReset, Size: reset.Accepted.Size, RootHash: reset.Accepted.RootHash, At: metav1.NewTime(now),
		},
	}
	if shown.IsWitnessed() {
		sayWitnessed(stored, shown, now)
	}
	meta.SetStatusCondition(&obj.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReset, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded,
		Message: DescribeReset(reset), ObservedGeneration: obj.Generation,
	})
	return nil
}

// DescribeReset says who gave up what for what, and why.
func DescribeReset(reset *v1alpha1.LogReset) string {
	return fmt.Sprintf("%q had tree %q reset from size %d root %s to size %d root %s: %q",
		reset.RequestedBy, reset.Origin, reset.Stored.Size, reset.Stored.RootHash, reset.Accepted.Size, reset.Accepted.RootHash, reset.Reason)
}

// ParsePin parses "SIZE:ROOT", the root in hexadecimal.
func ParsePin(text string) (v1alpha1.LogPin, error) {
	var pin v1alpha1.LogPin
	if n, err := fmt.Sscanf(text, "%d:%64s", &pin.Size, &pin.RootHash); err != nil || n != 2 || fmt.Sprintf("%d:%s", pin.Size, pin.RootHash) != text {
		return v1alpha1.LogPin{}, fmt.Errorf("%.100q is not SIZE:ROOT", text)
	}
	if root, err := hex.DecodeString(pin.RootHash); err != nil || len(root) != 32 || hex.EncodeToString(root) != pin.RootHash || pin.Size < 1 {
		return v1alpha1.LogPin{}, fmt.Errorf("%.100q is not SIZE:ROOT, a size of at least 1 and 64 hexadecimal digits", text)
	}
	return pin, nil
}
