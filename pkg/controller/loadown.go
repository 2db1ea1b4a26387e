// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// ownName has the loader look at one ImagePolicy, or ImagePolicyException, alone: there can be
// many of them, and nothing depends on one.
func ownName(obj client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
}

// loadOwn brings one ImagePolicy up to date in memory.
func (l *loader) loadOwn(ctx context.Context, name types.NamespacedName) error {
	var obj v1alpha1.ImagePolicy
	err := l.reader.Get(ctx, name, &obj)
	if apierrors.IsNotFound(err) {
		l.config.Policies.Delete(policy.OwnPolicy(name.Namespace, name.Name))
		l.ready.forgetOwn(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading an ImagePolicy: %w", err)
	}
	compiled := l.compileOwn(ctx, &obj)
	l.config.Policies.Set(compiled)
	l.ready.setOwn(name, obj.UID, compiled)
	return nil
}

// compileAllOwn compiles every ImagePolicy that exists.
func (l *loader) compileAllOwn(ctx context.Context) ([]*policy.Policy, error) {
	var objects v1alpha1.ImagePolicyList
	if err := l.reader.List(ctx, &objects); err != nil {
		return nil, fmt.Errorf("listing ImagePolicies: %w", err)
	}
	compiled := make([]*policy.Policy, 0, len(objects.Items))
	for i := range objects.Items {
		next := l.compileOwn(ctx, &objects.Items[i])
		compiled = append(compiled, next)
		l.ready.setOwn(client.ObjectKeyFromObject(&objects.Items[i]), objects.Items[i].UID, next)
	}
	return compiled, nil
}

func (l *loader) compileOwn(ctx context.Context, obj *v1alpha1.ImagePolicy) *policy.Policy {
	compiled := policy.CompileOwn(ctx, obj, policy.Trust{Logs: l.config.Logs, Roots: l.config.Roots})
	for _, problem := range compiled.Problems() {
		ctrl.LoggerFrom(ctx).V(1).Info("A policy is not ready, and refuses what depends on it",
			"policy", compiled.ID(), "field", problem.Path, "cause", problem.Err.Error())
	}
	return compiled
}
