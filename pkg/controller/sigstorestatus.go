// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// ConditionCountersignReady is the condition of objects of policy.sigstore.dev that is
// ours. Ready and the others are policy-controller's, where it runs.
const ConditionCountersignReady = "CountersignReady"

// sigstoreAgain is how often the status of objects of policy.sigstore.dev is looked at
// although nothing is known to have changed.
const sigstoreAgain = 30 * time.Second

// sigstoreStatus writes into each object of policy.sigstore.dev whether it is in force,
// and why not, and owns the logs of its trust roots. Only the leader runs it.
type sigstoreStatus struct {
	client client.Client
	kinds  *sigstoreKinds
	ready  *Readiness
	policy *policyStatus
	roots  *rootStatus
	// current is what was loaded last; loaded is sent when it is another.
	current atomic.Pointer[sigstoreObjects]
	loaded  signal
}

// set takes what is in force.
func (s *sigstoreStatus) set(all sigstoreObjects) {
	if s == nil {
		return
	}
	s.current.Store(&all)
	s.loaded.send()
}

// Start implements manager.Runnable.
func (s *sigstoreStatus) Start(ctx context.Context) error {
	ticker := time.NewTicker(sigstoreAgain)
	defer ticker.Stop()
	for {
		if all := s.current.Load(); all != nil {
			s.writeAll(ctx, all)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.loaded:
		}
	}
}

func (s *sigstoreStatus) writeAll(ctx context.Context, all *sigstoreObjects) {
	for i := range all.roots {
		root := &all.roots[i]
		if condition, ok := s.ofRoot(ctx, root); ok {
			s.write(ctx, root.Object, sigstore.TrustRootKind, condition)
		}
	}
	for i := range all.policies {
		p := &all.policies[i]
		condition, err := s.ofPolicy(ctx, p)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Looking at a policy", "policy", p.Object.Name)
			continue
		}
		if condition.Type != "" {
			s.write(ctx, p.Object, sigstore.ClusterImagePolicyKind, condition)
		}
	}
}

// ofPolicy is the condition of a policy; none while it is not in force.
func (s *sigstoreStatus) ofPolicy(ctx context.Context, p *conversion.Policy) (metav1.Condition, error) {
	inForce := s.ready.policy(p.Object.UID, p.Object.Generation)
	if inForce == nil {
		return metav1.Condition{}, nil
	}
	lying, err := s.policy.lying(ctx, &p.Object.Spec)
	if err != nil {
		return metav1.Condition{}, err
	}
	return withWarnings(policyConditions(inForce.Problems(), inForce.Notes(), lying)[0], p.Warnings), nil
}

// ofRoot is the condition of a trust root; none while it is not loaded.
func (s *sigstoreStatus) ofRoot(ctx context.Context, root *conversion.Root) (metav1.Condition, bool) {
	if len(root.Refused) > 0 {
		return fails(v1alpha1.ConditionReady, v1alpha1.ReasonSpecInvalid, root.Refused[0].Error()), true
	}
	state, ok := s.roots.roots.State(root.Object)
	if !ok {
		return metav1.Condition{}, false
	}
	s.roots.measure(root.Object, state)
	if state.Err == nil {
		s.roots.tellOwning(ctx, root.Object, s.roots.ownLogs(ctx, root.Object, state))
	}
	return withWarnings(rootConditions(state, s.roots.now())[0], root.Warnings), true
}

func withWarnings(condition metav1.Condition, warnings []string) metav1.Condition {
	if len(warnings) > 0 {
		condition.Message += ". " + strings.Join(warnings, ". ")
	}
	return condition
}

// write puts a condition among those of an object, unless it is there. All others are
// left as they are.
func (s *sigstoreStatus) write(ctx context.Context, converted client.Object, kind string, condition metav1.Condition) {
	condition.Type, condition.Message = ConditionCountersignReady, truncate(condition.Message)
	err := s.patch(ctx, converted, kind, condition)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return // it is gone, or has changed: it is looked at again
	}
	ctrl.LoggerFrom(ctx).Error(err, "Writing the status of an object of policy.sigstore.dev", "kind", kind, "object", converted.GetName())
}

func (s *sigstoreStatus) patch(ctx context.Context, converted client.Object, kind string, condition metav1.Condition) error {
	name, _ := v1alpha1.CutSigstoreName(converted.GetName())
	for _, followed := range s.kinds.known() {
		if followed.Kind == kind {
			return s.patchAs(ctx, followed, name, converted, condition)
		}
	}
	return nil // its kind is gone
}

func (s *sigstoreStatus) patchAs(ctx context.Context, kind schema.GroupVersionKind, name string, converted client.Object, condition metav1.Condition) error {
	obj := objectOf(kind)
	if err := s.kinds.objects.Get(ctx, types.NamespacedName{Name: name}, obj); err != nil {
		return err
	}
	if obj.GetUID() != converted.GetUID() || obj.GetGeneration() != converted.GetGeneration() {
		return nil // what is in force is not what it says now
	}
	obj = obj.DeepCopy() // what the cache holds is everybody's
	before := obj.DeepCopy()
	if !setKnativeCondition(obj, condition) {
		return nil
	}
	return s.client.Status().Patch(ctx, obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// setKnativeCondition puts a condition into an object's status in the form that its schema
// has: Knative's, without an observed generation, which the message says instead. It
// reports whether anything changed.
func setKnativeCondition(obj *unstructured.Unstructured, condition metav1.Condition) bool {
	condition.Message = fmt.Sprintf("generation %d: %s", obj.GetGeneration(), condition.Message)
	all, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	next := map[string]any{
		"type": condition.Type, "status": string(condition.Status), "reason": condition.Reason, "message": condition.Message,
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
	}
	at := len(all)
	for i, known := range all {
		was, ok := known.(map[string]any)
		if !ok || was["type"] != condition.Type {
			continue
		}
		if was["status"] == next["status"] {
			next["lastTransitionTime"] = was["lastTransitionTime"]
			if was["reason"] == next["reason"] && was["message"] == next["message"] {
				return false
			}
		}
		at = i
	}
	if at == len(all) {
		all = append(all, next)
	} else {
		all[at] = next
	}
	return unstructured.SetNestedSlice(obj.Object, all, "status", "conditions") == nil
}
