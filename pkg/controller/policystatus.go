// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// policyStatus writes into each policy whether it can be evaluated, and why not,
// once it is in force in this replica. Only the leader runs it.
type policyStatus struct {
	client client.Client
	ready  *Readiness
	loaded signal
}

func (s *policyStatus) setup(m ctrl.Manager) error {
	allPolicies := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return s.all(ctx)
	})
	return ctrl.NewControllerManagedBy(m).Named("policy-status").
		For(&v1alpha1.ClusterImagePolicy{}, builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.ImagePolicy{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.TransparencyLog{}, allPolicies, builder.WithPredicates(accusationChanged())).
		// Whatever a policy depends on goes through the loader first.
		WatchesRawSource(s.loaded.source(s.all)).
		Complete(s)
}

// all returns a request for every policy.
func (s *policyStatus) all(ctx context.Context) []reconcile.Request {
	var policies v1alpha1.ClusterImagePolicyList
	if err := s.client.List(ctx, &policies); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing ClusterImagePolicies")
		return nil
	}
	var own v1alpha1.ImagePolicyList
	if err := s.client.List(ctx, &own); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing ImagePolicies")
		return nil
	}
	var requests []reconcile.Request
	for i := range policies.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&policies.Items[i])})
	}
	for i := range own.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&own.Items[i])})
	}
	return requests
}

// Reconcile writes the conditions of one policy, if they have changed.
func (s *policyStatus) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if request.Namespace != "" {
		return s.reconcileOwn(ctx, request.NamespacedName)
	}
	var obj v1alpha1.ClusterImagePolicy
	if err := s.client.Get(ctx, request.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	inForce := s.ready.policy(obj.UID, obj.Generation)
	if inForce == nil {
		// Nothing is said of a policy before it is in force. The loader sends
		// a signal when it is.
		return reconcile.Result{}, nil
	}
	return s.write(ctx, obj.DeepCopy(), &obj, &obj.Spec, &obj.Status, inForce)
}

// reconcileOwn writes the conditions of one ImagePolicy.
func (s *policyStatus) reconcileOwn(ctx context.Context, name types.NamespacedName) (reconcile.Result, error) {
	var obj v1alpha1.ImagePolicy
	if err := s.client.Get(ctx, name, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	inForce := s.ready.ownPolicy(name, obj.UID, obj.Generation)
	if inForce == nil {
		// The loader looks at it after a while, and sends no signal for one of many.
		return reconcile.Result{RequeueAfter: 2 * settleDelay}, nil
	}
	spec := obj.Spec.AsCluster()
	return s.write(ctx, obj.DeepCopy(), &obj, &spec, &obj.Status, inForce)
}

// write writes the conditions of obj, whose status is given, if they differ from before.
func (s *policyStatus) write(
	ctx context.Context, before, obj client.Object, spec *v1alpha1.ClusterImagePolicySpec, status *v1alpha1.ClusterImagePolicyStatus, inForce *policy.Policy,
) (reconcile.Result, error) {
	lying, err := s.lying(ctx, spec)
	if err != nil {
		return reconcile.Result{}, err
	}
	conditions := policyConditions(inForce.Problems(), inForce.Notes(), lying)
	if !setConditions(&status.Conditions, obj.GetGeneration(), conditions...) {
		return reconcile.Result{}, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = s.client.Status().Patch(ctx, obj, patch)
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

// lying returns the names of the logs that the policy asks and that are caught in
// an inconsistency, sorted.
func (s *policyStatus) lying(ctx context.Context, spec *v1alpha1.ClusterImagePolicySpec) ([]string, error) {
	var logs v1alpha1.TransparencyLogList
	if err := s.client.List(ctx, &logs); err != nil {
		return nil, err
	}
	var names []string
	for i := range logs.Items {
		if log := &logs.Items[i]; accused(log) && asks(spec, log) {
			names = append(names, log.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// asks reports whether some authority needs log.
func asks(spec *v1alpha1.ClusterImagePolicySpec, log *v1alpha1.TransparencyLog) bool {
	return slices.ContainsFunc(spec.Authorities, func(a v1alpha1.Authority) bool {
		return a.Static == nil && a.CTLog.Selects(log)
	})
}
