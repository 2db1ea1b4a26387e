// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

const (
	// writeInterval is the time between two checkpoints of one log that are written:
	// every write goes to every replica.
	writeInterval = time.Second
	// writeJitter keeps replicas that wait for the same moment from writing at the
	// same moment: all but one would lose.
	writeJitter = writeInterval / 10
)

// Turn implements tlog.History: it returns a second after the stored checkpoint was
// last seen to change, whoever changed it. It returns tlog.ErrConflict when somebody
// changed it meanwhile, who may have stored what the caller wants to store.
func (h *StatusHistory) Turn(ctx context.Context) (waited bool, err error) {
	wait := time.Until(h.nextTurn())
	if wait <= 0 {
		return false, nil
	}
	timer := time.NewTimer(wait + rand.N(writeJitter)) //nolint:gosec // Nobody gains by foreseeing it.
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return true, h.unavailable("waiting to write", context.Cause(ctx))
	}
	if _, err := h.read(ctx, h.cached); err != nil {
		return true, err
	}
	if time.Until(h.nextTurn()) > 0 {
		return true, tlog.ErrConflict
	}
	return true, nil
}

func (h *StatusHistory) nextTurn() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shownAt.Add(writeInterval)
}

// notice remembers when the stored checkpoint became what obj shows. What was there
// before this process looked has been there since it was verified.
func (h *StatusHistory) notice(obj *v1alpha1.TransparencyLog) {
	current := obj.Status.Checkpoint
	if current == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	switch {
	case h.shown == current.Note:
		return
	case h.shown == "" && current.VerifiedAt.Time.Before(now):
		h.shownAt = current.VerifiedAt.Time
	default:
		h.shownAt = now
	}
	h.shown = current.Note
}
