// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// refreshTick is how often it is looked whether a trust root of policy.sigstore.dev is due.
const refreshTick = 5 * time.Second

// sigstoreRefresher reads the trust roots of policy.sigstore.dev again when they are due,
// as the refresher does ours. Every replica runs it.
type sigstoreRefresher struct {
	*refresher
	status *sigstoreStatus
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica decides.
func (*sigstoreRefresher) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (r *sigstoreRefresher) Start(ctx context.Context) error {
	ticker := time.NewTicker(refreshTick)
	defer ticker.Stop()
	next := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.refreshAll(ctx, next)
		}
	}
}

// refreshAll reads what is due, and notes in next when each is due again.
func (r *sigstoreRefresher) refreshAll(ctx context.Context, next map[string]time.Time) {
	all := r.status.current.Load()
	if all == nil {
		return
	}
	for i := range all.roots {
		obj := all.roots[i].Object
		state, ok := r.roots.State(obj)
		if !ok || time.Now().Before(next[obj.Name]) || due(obj, state, time.Now()) > 0 {
			continue
		}
		changed, err := r.roots.Refresh(ctx, obj.Name)
		if err != nil {
			ctrl.LoggerFrom(ctx).Info("A trust root could not be refreshed", "trustRoot", obj.Name, "cause", err.Error())
		}
		if changed {
			ctrl.LoggerFrom(ctx).Info("A trust root changed", "trustRoot", obj.Name)
			r.changed.send()
		}
		r.status.loaded.send()
		next[obj.Name] = time.Now().Add(pause(obj, err))
	}
}
