// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// rootStatus writes into each trust root what it holds, whether that is fresh, and
// what of it ends first, makes Events of what somebody must act upon, and keeps the
// TransparencyLog objects that it owns. Only the leader runs it.
type rootStatus struct {
	client    client.Client
	roots     *trust.Roots
	recorder  events.EventRecorder
	refreshed signal
	metrics   *rootMetrics
	now       func() time.Time
}

func newRootStatus(c client.Client, roots *trust.Roots, recorder events.EventRecorder, refreshed signal) *rootStatus {
	return &rootStatus{client: c, roots: roots, recorder: recorder, refreshed: refreshed, metrics: newRootMetrics(), now: time.Now}
}

func (s *rootStatus) setup(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("trustroot-status").
		For(&v1alpha1.TrustRoot{}, builder.WithPredicates(specChanged())).
		Owns(&v1alpha1.TransparencyLog{}, builder.WithPredicates(specChanged())).
		WatchesRawSource(s.refreshed.source(s.all)).
		Complete(s)
}

// all returns a request for every trust root.
func (s *rootStatus) all(ctx context.Context) []reconcile.Request {
	var roots v1alpha1.TrustRootList
	if err := s.client.List(ctx, &roots); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing TrustRoots")
		return nil
	}
	var requests []reconcile.Request
	for i := range roots.Items {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: roots.Items[i].Name}})
	}
	return requests
}

// Reconcile writes the status of one trust root, if it has changed.
func (s *rootStatus) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var obj v1alpha1.TrustRoot
	if err := s.client.Get(ctx, request.NamespacedName, &obj); err != nil {
		if apierrors.IsNotFound(err) {
			s.metrics.forget(request.Name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	state, ok := s.roots.State(&obj)
	if !ok {
		return reconcile.Result{RequeueAfter: notLoadedDelay}, nil
	}
	again := lookInterval
	if state.Err == nil {
		again = s.tellOwning(ctx, &obj, s.ownLogs(ctx, &obj, state))
	}
	before := obj.DeepCopy()
	s.fill(&obj, state)
	s.measure(&obj, state)
	if equality.Semantic.DeepEqual(before.Status, obj.Status) {
		return reconcile.Result{RequeueAfter: again}, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := s.client.Status().Patch(ctx, &obj, patch)
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	if err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	s.tell(ctx, before, &obj)
	return reconcile.Result{RequeueAfter: again}, nil
}

// fill says in obj what is known.
func (s *rootStatus) fill(obj *v1alpha1.TrustRoot, state trust.RootState) {
	status := &obj.Status
	setConditions(&status.Conditions, obj.Generation, rootConditions(state, s.now())...)
	status.ObservedGeneration = obj.Generation
	status.CertificateAuthorities = int32(state.Counts.CertificateAuthorities) //nolint:gosec // bounded by the size of what was parsed
	status.CTLogs = int32(state.Counts.CTLogs)                                 //nolint:gosec // bounded likewise
	status.TimestampAuthorities = int32(state.Counts.TimestampAuthorities)     //nolint:gosec // bounded likewise
	status.TLogs = int32(state.Counts.TLogs)                                   //nolint:gosec // bounded likewise
	status.Expiry = nil
	if len(state.Endings) > 0 {
		first := state.Endings[0]
		status.Expiry = &v1alpha1.TrustRootExpiry{At: metav1.NewTime(first.At.Truncate(time.Second)), What: truncate(first.What)}
	}
	status.TUF = s.versions(status.TUF, state)
}

// versions keeps the time at which the versions were first seen.
func (s *rootStatus) versions(known *v1alpha1.TUFStatus, state trust.RootState) *v1alpha1.TUFStatus {
	if state.TUF == (trust.TUFVersions{}) {
		return nil
	}
	next := v1alpha1.TUFStatus{
		RootVersion: state.TUF.Root, TimestampVersion: state.TUF.Timestamp, SnapshotVersion: state.TUF.Snapshot, TargetsVersion: state.TUF.Targets,
		ChangedAt: metav1.NewTime(state.ReadAt.Truncate(time.Second)),
	}
	if known != nil {
		same := next
		same.ChangedAt = known.ChangedAt
		if same == *known {
			return known
		}
	}
	return &next
}

// rootConditions says what is known of a trust root.
func rootConditions(state trust.RootState, now time.Time) []metav1.Condition {
	ready := holds(v1alpha1.ConditionReady, "the trust root can be used")
	fresh := holds(v1alpha1.ConditionFresh, "what is in force is what its source says")
	if state.Err != nil {
		ready = fails(ready.Type, trust.ConditionReason(state.Err), state.Err.Error())
		fresh = fails(fresh.Type, ready.Reason, ready.Message)
	}
	if state.Stale != nil {
		fresh = fails(fresh.Type, trust.ConditionReason(state.Stale),
			fmt.Sprintf("what was read at %s is still in force: %v", state.ReadAt.UTC().Format(time.RFC3339), state.Stale))
	}
	return []metav1.Condition{ready, fresh, expiresSoon(state, now)}
}

// expiresSoon is the condition that is True when somebody must act.
func expiresSoon(state trust.RootState, now time.Time) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionExpiresSoon, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonNotExpiring, Message: "nothing ends before long",
	}
	for _, ending := range state.Endings {
		if !ending.NearAt(now) {
			continue
		}
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonExpiresSoon
		if !ending.At.After(now) {
			condition.Reason = v1alpha1.ReasonExpired
		}
		condition.Message = fmt.Sprintf("%s ends at %s", ending.What, ending.At.UTC().Format(time.RFC3339))
		return condition
	}
	return condition
}

// tell makes Events, and lines in our own log, of what turned bad, or good again.
func (s *rootStatus) tell(ctx context.Context, before, obj *v1alpha1.TrustRoot) {
	for _, condition := range obj.Status.Conditions {
		previous := meta.FindStatusCondition(before.Status.Conditions, condition.Type)
		bad := isBad(condition)
		if (previous == nil && !bad) || (previous != nil && isBad(*previous) == bad && previous.Reason == condition.Reason) {
			continue
		}
		kind, reason := corev1.EventTypeNormal, condition.Type
		if bad || condition.Type == v1alpha1.ConditionExpiresSoon {
			reason = condition.Reason
		}
		if bad {
			kind = corev1.EventTypeWarning
		}
		ctrl.LoggerFrom(ctx).Info("A trust root's condition changed", "trustRoot", obj.Name,
			"condition", condition.Type, "status", condition.Status, "reason", condition.Reason, "cause", condition.Message)
		s.recorder.Eventf(obj, nil, kind, reason, "Refresh", "%s", truncate(condition.Message))
	}
}

func isBad(condition metav1.Condition) bool {
	return (condition.Status == metav1.ConditionTrue) == (condition.Type == v1alpha1.ConditionExpiresSoon)
}

func (s *rootStatus) measure(obj *v1alpha1.TrustRoot, state trust.RootState) {
	fresh := 0.0
	if state.Err == nil && state.Stale == nil {
		fresh = 1
	}
	s.metrics.fresh.WithLabelValues(obj.Name).Set(fresh)
	if len(state.Endings) == 0 {
		s.metrics.expiry.DeleteLabelValues(obj.Name)
		return
	}
	s.metrics.expiry.WithLabelValues(obj.Name).Set(float64(state.Endings[0].At.Unix()))
}
