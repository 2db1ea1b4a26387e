// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

const (
	// retryDelay is how long to wait after a mirror did not answer, unless it is
	// asked more often anyway.
	retryDelay = 30 * time.Second
	// concurrentRefreshes is how many mirrors are asked at a time, so that one that
	// stalls does not keep the others waiting.
	concurrentRefreshes = 4
	// lookInterval is how often a trust root that asks nobody is looked at, for
	// parts of it that have ended.
	lookInterval = time.Minute
)

// refresher asks the mirrors of trust roots again, and notices what has ended.
// Every replica runs it, as every replica verifies.
type refresher struct {
	client client.Client
	roots  *trust.Roots
	// changed is sent when a trust root holds something else, refreshed each time.
	changed, refreshed signal
}

func (r *refresher) setup(m ctrl.Manager) error {
	everyReplica := false
	return ctrl.NewControllerManagedBy(m).Named("trustroot-refresher").
		For(&v1alpha1.TrustRoot{}, builder.WithPredicates(specChanged())).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica, MaxConcurrentReconciles: concurrentRefreshes}).
		Complete(r)
}

// Reconcile refreshes one trust root and asks to be called again after its interval.
func (r *refresher) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var obj v1alpha1.TrustRoot
	if err := r.client.Get(ctx, request.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	state, ok := r.roots.State(&obj)
	if !ok {
		return reconcile.Result{RequeueAfter: notLoadedDelay}, nil
	}
	if wait := due(&obj, state, time.Now()); wait > 0 {
		// The loader has just read it.
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	changed, err := r.roots.Refresh(ctx, obj.Name)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("A trust root could not be refreshed", "trustRoot", obj.Name, "cause", err.Error())
	}
	if changed {
		ctrl.LoggerFrom(ctx).Info("A trust root changed", "trustRoot", obj.Name)
		r.changed.send()
	}
	r.refreshed.send()
	return reconcile.Result{RequeueAfter: pause(&obj, err)}, nil
}

// due is how long it is until what was read without an error is to be read again.
func due(obj *v1alpha1.TrustRoot, state trust.RootState, now time.Time) time.Duration {
	if state.Err != nil || state.Stale != nil {
		return 0
	}
	return state.ReadAt.Add(pause(obj, nil)).Sub(now)
}

// pause is how long to wait until the next refresh, of which the last one ended
// with err.
func pause(obj *v1alpha1.TrustRoot, err error) time.Duration {
	if obj.Spec.Remote == nil {
		return lookInterval
	}
	interval := obj.Spec.Remote.Interval()
	if err != nil {
		return min(interval, retryDelay)
	}
	return interval
}
