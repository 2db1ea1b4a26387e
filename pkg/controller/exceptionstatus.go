// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// exceptionStatus writes into each exception whether it counts, for people: decisions do
// not look at it. Only the leader runs it.
type exceptionStatus struct {
	client client.Client
	maxAge time.Duration
}

func (s *exceptionStatus) setup(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("exception-status").
		For(&v1alpha1.ImagePolicyException{}, builder.WithPredicates(specChanged())).
		Complete(s)
}

// Reconcile writes the condition of one exception, and comes back when it ends.
func (s *exceptionStatus) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var obj v1alpha1.ImagePolicyException
	if err := s.client.Get(ctx, request.NamespacedName, &obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now, again := time.Now(), reconcile.Result{}
	x := policy.CompileException(&obj, s.maxAge)
	condition := activeCondition(x, now)
	if condition.Status == metav1.ConditionTrue {
		again.RequeueAfter = x.Expires().Sub(now)
	}
	before := obj.DeepCopy()
	if !setConditions(&obj.Status.Conditions, obj.Generation, condition) {
		return again, nil
	}
	err := s.client.Status().Patch(ctx, &obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return again, client.IgnoreNotFound(err)
}

func activeCondition(x *policy.Exception, now time.Time) metav1.Condition {
	err := x.Problem(now)
	switch {
	case err == nil:
		return holds(v1alpha1.ConditionActive, fmt.Sprintf("it counts until %s, for policies with exceptions: allow", x.Expires().UTC().Format(time.RFC3339)))
	case errors.Is(err, policy.ErrExceptionExpired):
		return fails(v1alpha1.ConditionActive, v1alpha1.ReasonExpired, err.Error())
	case errors.Is(err, policy.ErrExceptionTooLong):
		return fails(v1alpha1.ConditionActive, v1alpha1.ReasonExceptionTooLong, err.Error())
	default:
		return fails(v1alpha1.ConditionActive, v1alpha1.ReasonSpecInvalid, err.Error())
	}
}
