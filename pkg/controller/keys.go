// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// keyRefresher asks key services again for the keys that policies name, when they
// are due. Every replica runs it, as every replica verifies.
type keyRefresher struct {
	keys *kms.Keys
	// changed is sent when a key is another one, or can be used no more, or again.
	changed signal
	// named says that policies name other keys than before.
	named   signal
	metrics *keyMetrics
}

func newKeyRefresher(keys *kms.Keys, changed, named signal) *keyRefresher {
	return &keyRefresher{keys: keys, changed: changed, named: named, metrics: newKeyMetrics()}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*keyRefresher) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it runs until ctx ends.
func (r *keyRefresher) Start(ctx context.Context) error {
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.named:
		case <-due.C:
		}
		due.Reset(r.refresh(ctx))
	}
}

// refresh asks for the keys that are due, and returns how long it is until the next
// one is.
func (r *keyRefresher) refresh(ctx context.Context) time.Duration {
	changed, next := r.keys.Refresh(ctx)
	states := r.keys.States()
	r.metrics.measure(states)
	if !changed {
		return next
	}
	for uri, state := range states {
		switch {
		case state.Err != nil:
			ctrl.LoggerFrom(ctx).Info("A key in a key service cannot be used", "key", uri, "cause", state.Err.Error())
		case state.Stale != nil:
			ctrl.LoggerFrom(ctx).Info("A key service does not answer; what it said last is in force", "key", uri, "until", state.Until, "cause", state.Stale.Error())
		}
	}
	r.changed.send()
	return next
}
