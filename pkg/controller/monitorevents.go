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

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// turn is a condition whose status is another than before.
type turn struct {
	metav1.Condition
	// before is the status that it had, or "" when it was not there.
	before metav1.ConditionStatus
}

func turns(before, after []metav1.Condition) []turn {
	var turned []turn
	for _, condition := range after {
		next := turn{Condition: condition}
		if previous := meta.FindStatusCondition(before, condition.Type); previous != nil {
			next.before = previous.Status
		}
		if next.before != condition.Status {
			turned = append(turned, next)
		}
	}
	return turned
}

// tell makes an Event, and a line in our own log, of what is new of a log: it was
// caught or has recovered, can be reached or cannot, became stale or fresh again.
func (m *monitor) tell(ctx context.Context, obj *v1alpha1.TransparencyLog, turned []turn, err error) {
	if m.isNewlyCaught(obj.Name, err) {
		m.metrics.inconsistencies.WithLabelValues(obj.Name).Inc()
		ctrl.LoggerFrom(ctx).Error(err, "A transparency log was caught: nothing is believed of it any more", "log", obj.Name)
		m.recorder.Eventf(obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonLogInconsistent, "Poll", "%s", truncate(err.Error()))
	}
	for _, t := range turned {
		kind, reason := eventOf(t)
		if reason == "" {
			continue
		}
		ctrl.LoggerFrom(ctx).Info("A condition of a transparency log turned", "log", obj.Name,
			"condition", t.Type, "status", t.Status, "reason", t.Reason, "message", t.Message)
		m.recorder.Eventf(obj, nil, kind, reason, "Poll", "%s", truncate(t.Message))
	}
}

// eventOf returns the type and the reason of the Event that a turn is worth, or no
// reason when it is worth none.
func eventOf(t turn) (kind, reason string) {
	good := t.Status == metav1.ConditionTrue
	back := good && t.before == metav1.ConditionFalse
	switch {
	case t.Type == v1alpha1.ConditionReachable && good:
		return corev1.EventTypeNormal, "Reachable"
	case t.Type == v1alpha1.ConditionConsistent && back:
		return corev1.EventTypeNormal, "Recovered"
	case t.Type == v1alpha1.ConditionFresh && back:
		return corev1.EventTypeNormal, "Fresh"
	case t.Type == v1alpha1.ConditionReset && t.Reason == v1alpha1.ReasonResetRefused:
		return corev1.EventTypeWarning, t.Reason
	case t.Status == metav1.ConditionFalse && (t.Type == v1alpha1.ConditionReachable || t.Type == v1alpha1.ConditionFresh):
		return corev1.EventTypeWarning, t.Reason
	default:
		return "", "" // a log that is caught has an Event of its own
	}
}

// isNewlyCaught reports whether err is the first sign of an inconsistency of the
// log since it was last found consistent.
func (m *monitor) isNewlyCaught(log string, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		delete(m.reported, log)
		return false
	case !errors.Is(err, tlog.ErrInconsistent) && !errors.Is(err, tlog.ErrCheckpoint):
		return false
	}
	known := m.reported[log]
	m.reported[log] = true
	return !known
}
