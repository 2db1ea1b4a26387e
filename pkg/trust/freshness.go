// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// confirmations is how many times, in the maxStaleness of a log that shows nothing
// new, it is written down that it was verified: enough for a replica that only
// reads to be wrong by a tenth, and few enough to cost the API server nothing.
const confirmations = 10

// Freshness is how old what an object says of its log is, and may be.
func Freshness(obj *v1alpha1.TransparencyLog) tlog.Freshness {
	return tlog.Freshness{
		VerifiedAt: verifiedAt(&obj.Status), Limit: obj.Spec.Staleness(),
		Doubted: meta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionConsistent),
	}
}

// Freshness implements tlog.History. It is what any replica wrote down, which can
// lag behind by a tenth of the limit.
func (h *StatusHistory) Freshness(ctx context.Context) (tlog.Freshness, error) {
	obj, err := h.unaccused(ctx)
	if err != nil {
		return tlog.Freshness{}, err
	}
	known := Freshness(obj)
	known.VerifiedAt = h.lastVerified(obj)
	return known, nil
}

// lastVerified is when the log last showed any of its trees, as obj says, or as this
// process wrote it a moment ago, which the cache need not show yet.
func (h *StatusHistory) lastVerified(obj *v1alpha1.TransparencyLog) time.Time {
	latest := verifiedAt(&obj.Status)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		return latest
	}
	if wrote := verifiedAt(&h.seen.Status); wrote.After(latest) {
		return wrote
	}
	return latest
}

// Confirm implements tlog.History. It writes only when what is written is old.
func (h *StatusHistory) Confirm(ctx context.Context, shown tlog.Checkpoint) error {
	return h.update(ctx, func(obj *v1alpha1.TransparencyLog) (bool, error) {
		stored := find(&obj.Status, shown.Origin())
		if stored == nil || stored.Size != sizeOf(shown) || stored.RootHash != rootOf(shown) {
			return false, nil // somebody saw more meanwhile
		}
		now := h.now()
		pinned := sayPinned(stored, pinOfTree(&obj.Spec, stored.Origin), now)
		if age := now.Sub(verifiedAt(&obj.Status)); age >= 0 && age < obj.Spec.Staleness()/confirmations {
			return pinned, nil
		}
		stored.VerifiedAt = metav1.NewTime(now)
		return true, nil
	})
}

// verifiedAt is when the log last showed any of its trees.
func verifiedAt(status *v1alpha1.TransparencyLogStatus) time.Time {
	var latest time.Time
	for _, stored := range checkpoints(status) {
		if stored.VerifiedAt.After(latest) {
			latest = stored.VerifiedAt.Time
		}
	}
	return latest
}
