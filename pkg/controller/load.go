// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// loader brings logs, then policies, up to date in memory. Every replica runs it.
//
// It always loads everything: policies depend on logs and both on Secrets, there
// are few of them, and changes are rare. So there is one order, one result, and
// no way for a change of one to be missed by another. Of status, only
// whether a log was caught lying is looked at, so that a log that grows causes nothing.
type loader struct {
	reader client.Reader
	config Config
	ready  *Readiness
	loaded signal
}

// everything is the one request of the loader.
func everything() reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: "everything"}}
}

func (l *loader) setup(m ctrl.Manager) error {
	enqueue := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{everything()}
	})
	everyReplica := false
	return ctrl.NewControllerManagedBy(m).Named("loader").
		Watches(&v1alpha1.ClusterImagePolicy{}, enqueue, builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.TransparencyLog{}, enqueue, builder.WithPredicates(predicate.Or(specChanged(), accusationChanged()))).
		Watches(&corev1.Secret{}, enqueue).
		// In an empty cluster no watch ever says anything.
		WatchesRawSource(once(everything())).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(l)
}

// Reconcile loads everything.
func (l *loader) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if err := l.loadLogs(ctx); err != nil {
		return reconcile.Result{}, err
	}
	if err := l.loadPolicies(ctx); err != nil {
		return reconcile.Result{}, err
	}
	l.loaded.send()
	return reconcile.Result{}, nil
}

func (l *loader) loadLogs(ctx context.Context) error {
	var logs v1alpha1.TransparencyLogList
	if err := l.reader.List(ctx, &logs); err != nil {
		return fmt.Errorf("listing TransparencyLogs: %w", err)
	}
	present := sets.New[string]()
	for i := range logs.Items {
		log := &logs.Items[i]
		present.Insert(log.Name)
		if err := l.config.Logs.Set(ctx, log); err != nil {
			ctrl.LoggerFrom(ctx).Info("A transparency log cannot be used", "log", log.Name, "cause", err.Error())
		}
	}
	for _, name := range l.config.Logs.Names() {
		if !present.Has(name) {
			l.config.Logs.Delete(name)
		}
	}
	return nil
}

func (l *loader) loadPolicies(ctx context.Context) error {
	var objects v1alpha1.ClusterImagePolicyList
	if err := l.reader.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing ClusterImagePolicies: %w", err)
	}
	compiled := make([]*policy.Policy, 0, len(objects.Items))
	inForce := make(map[types.UID]*policy.Policy, len(objects.Items))
	for i := range objects.Items {
		next := policy.Compile(ctx, &objects.Items[i], policy.Trust{Logs: l.config.Logs, Secrets: l.config.Secrets})
		for _, problem := range next.Problems() {
			ctrl.LoggerFrom(ctx).Info("A policy is not ready, and refuses what depends on it",
				"policy", next.Name(), "field", problem.Path, "cause", problem.Err.Error())
		}
		compiled = append(compiled, next)
		inForce[objects.Items[i].UID] = next
	}
	l.config.Policies.Replace(compiled)
	l.ready.set(inForce)
	return nil
}
