// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// reset carries out the reset that the spec of a log asks for, if it is due. It returns the
// condition that says what became of it, or nil where the spec asks for none; done says that
// the status was written, so that the log is to be loaded anew before it is polled. The
// error is one of writing.
func (m *monitor) reset(ctx context.Context, obj *v1alpha1.TransparencyLog) (condition *metav1.Condition, done bool, err error) {
	if obj.Spec.Reset == nil {
		return nil, false, nil
	}
	if trust.ResetDone(obj) {
		said := holds(v1alpha1.ConditionReset, trust.DescribeReset(obj.Spec.Reset))
		return &said, false, nil
	}
	shown, err := m.showsAccepted(ctx, obj)
	if err == nil {
		before := obj.DeepCopy()
		if err = trust.Reset(obj, shown, m.now()); err == nil {
			patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
			if err := m.client.Status().Patch(ctx, obj, patch); err != nil {
				return nil, false, err
			}
			m.tellReset(ctx, obj)
			return nil, true, nil
		}
	}
	reason := v1alpha1.ReasonUnavailable
	if errors.Is(err, trust.ErrResetRefused) || errors.Is(err, tlog.ErrInconsistent) || errors.Is(err, tlog.ErrCheckpoint) || errors.Is(err, tlog.ErrKeyValidity) {
		reason = v1alpha1.ReasonResetRefused
	}
	said := fails(v1alpha1.ConditionReset, reason, err.Error())
	return &said, false, nil
}

// showsAccepted asks the log for the history that is to be accepted, after it is sure that
// what is given up is what the reset names.
func (m *monitor) showsAccepted(ctx context.Context, obj *v1alpha1.TransparencyLog) (tlog.Checkpoint, error) {
	if err := trust.CheckReset(obj, obj.Spec.Reset); err != nil {
		return tlog.Checkpoint{}, err
	}
	accepted, err := trust.AcceptedByReset(obj.Spec.Reset)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	prover, err := m.logs.Prover(obj.Name)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	return prover.ShowsHistory(ctx, obj.Spec.Reset.Origin, accepted)
}

// tellReset says in an Event and in our own log who gave up what for what, and why. The
// status has it too, with what was put away, and the API server's audit log has who wrote
// the spec.
func (m *monitor) tellReset(ctx context.Context, obj *v1alpha1.TransparencyLog) {
	reset := obj.Spec.Reset
	m.metrics.resets.WithLabelValues(obj.Name).Inc()
	ctrl.LoggerFrom(ctx).Info("A transparency log was reset: what this cluster had seen of it is given up", "log", obj.Name,
		"requestedBy", reset.RequestedBy, "reason", reset.Reason, "origin", reset.Origin,
		"storedSize", reset.Stored.Size, "storedRoot", reset.Stored.RootHash, "acceptedSize", reset.Accepted.Size, "acceptedRoot", reset.Accepted.RootHash)
	m.recorder.Eventf(obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonLogReset, "Reset", "%s", truncate(trust.DescribeReset(reset)))
}

// withReset adds the condition of a reset, and takes away one that the spec does not ask for
// any more. It reports whether it took one away.
func withReset(obj *v1alpha1.TransparencyLog, conditions []metav1.Condition, reset *metav1.Condition) ([]metav1.Condition, bool) {
	if reset == nil {
		return conditions, meta.RemoveStatusCondition(&obj.Status.Conditions, v1alpha1.ConditionReset)
	}
	return append(conditions, *reset), false
}
