// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/policy"
)

// loader brings logs and trust roots, then policies, up to date in memory. Every
// replica runs it.
//
// It always loads everything: policies depend on logs and trust roots, and all on
// Secrets and ConfigMaps, there are few of them, and changes are rare. So there is
// one order, one result, and no way for a change of one to be missed by another. Only
// an ImagePolicy, of which there may be many, is loaded alone when it changes.
// Of status, only whether a log was caught lying is looked at, so that a log that
// grows causes nothing.
type loader struct {
	reader client.Reader
	config Config
	ready  *Readiness
	loaded signal
	// again says that a trust root holds something else than before; refreshed
	// is sent when trust roots have been read.
	again, refreshed signal
	// named is sent when it has been said which keys of services are in use.
	named signal
	// sigstore reads the objects of policy.sigstore.dev, and theirs is told of them. Nil:
	// there are none.
	sigstore *sigstoreKinds
	theirs   *sigstoreStatus
	// last is what was read of them last.
	last sigstoreObjects
}

// everything is the one request of the loader.
func everything() reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: "everything"}}
}

func (l *loader) setup(m ctrl.Manager) error {
	enqueue := settled(func(client.Object) reconcile.Request { return everything() })
	everyReplica := false
	return ctrl.NewControllerManagedBy(m).Named("loader").
		Watches(&v1alpha1.ClusterImagePolicy{}, enqueue, builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.ImagePolicy{}, settled(ownName), builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.ImagePolicyException{}, settled(ownName), builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.TransparencyLog{}, enqueue, builder.WithPredicates(predicate.Or(specChanged(), accusationChanged()))).
		Watches(&v1alpha1.TrustRoot{}, enqueue, builder.WithPredicates(specChanged())).
		Watches(&corev1.Secret{}, enqueue).
		Watches(&corev1.ConfigMap{}, enqueue).
		WatchesRawSource(l.again.source(func(context.Context) []reconcile.Request { return []reconcile.Request{everything()} })).
		// In an empty cluster no watch ever says anything.
		WatchesRawSource(once(everything())).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(l)
}

// Reconcile loads everything, or what a namespace has by one name.
func (l *loader) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if request.Namespace != "" {
		return reconcile.Result{}, errors.Join(l.loadOwn(ctx, request.NamespacedName), l.loadException(ctx, request.NamespacedName))
	}
	if err := l.loadLogs(ctx); err != nil {
		return reconcile.Result{}, err
	}
	theirs, unread := l.sigstore.load(ctx)
	if unread != nil {
		if l.ready.Check(nil) != nil {
			return reconcile.Result{}, unread // a policy that is not known could be passed
		}
		// What was read before stays in force, and ours do not wait for it.
		theirs = l.last
	}
	l.last = theirs
	if err := l.loadRoots(ctx, theirs.roots); err != nil {
		return reconcile.Result{}, err
	}
	l.refreshed.send()
	if err := l.loadPolicies(ctx, theirs.policies); err != nil {
		return reconcile.Result{}, err
	}
	if err := l.loadExceptions(ctx); err != nil {
		return reconcile.Result{}, err
	}
	l.loaded.send()
	l.theirs.set(theirs)
	if unread != nil {
		return reconcile.Result{}, unread
	}
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
			l.config.requests.forget(name)
		}
	}
	return nil
}

func (l *loader) loadRoots(ctx context.Context, theirs []conversion.Root) error {
	var roots v1alpha1.TrustRootList
	if err := l.reader.List(ctx, &roots); err != nil {
		return fmt.Errorf("listing TrustRoots: %w", err)
	}
	for i := range theirs {
		roots.Items = append(roots.Items, *theirs[i].Object)
	}
	present := sets.New[string]()
	for i := range roots.Items {
		root := &roots.Items[i]
		present.Insert(root.Name)
		if err := l.config.Roots.Set(ctx, root); err != nil {
			ctrl.LoggerFrom(ctx).Info("A trust root cannot be used", "trustRoot", root.Name, "cause", err.Error())
		}
	}
	for _, name := range l.config.Roots.Names() {
		if !present.Has(name) {
			l.config.Roots.Delete(name)
		}
	}
	return nil
}

func (l *loader) loadPolicies(ctx context.Context, theirs []conversion.Policy) error {
	var objects v1alpha1.ClusterImagePolicyList
	if err := l.reader.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing ClusterImagePolicies: %w", err)
	}
	all := make([]conversion.Policy, 0, len(objects.Items)+len(theirs))
	for i := range objects.Items {
		all = append(all, conversion.Policy{Object: &objects.Items[i]})
	}
	all = append(all, theirs...)
	l.config.KMS.Use(ctx, keysOf(all))
	l.named.send()
	compiled := make([]*policy.Policy, 0, len(all))
	inForce := make(map[types.UID]*policy.Policy, len(all))
	for _, p := range all {
		next := policy.Compile(ctx, p.Object, policy.Trust{Logs: l.config.Logs, Roots: l.config.Roots, Secrets: l.config.Secrets, KMS: l.config.KMS})
		next.Refuse(p.Refused)
		for _, problem := range next.Problems() {
			ctrl.LoggerFrom(ctx).Info("A policy is not ready, and refuses what depends on it",
				"policy", next.ID(), "field", problem.Path, "cause", problem.Err.Error())
		}
		inForce[p.Object.UID] = next
		if !p.CoversNothing {
			compiled = append(compiled, next)
		}
	}
	own, err := l.compileAllOwn(ctx)
	if err != nil {
		return err
	}
	l.config.Policies.Replace(append(compiled, own...))
	l.ready.set(inForce)
	return nil
}

// keysOf returns the URIs of the keys that policies name.
func keysOf(policies []conversion.Policy) []string {
	var uris []string
	for _, p := range policies {
		uris = append(uris, p.Object.Spec.KMSKeys()...)
	}
	return uris
}
