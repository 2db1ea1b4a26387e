// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

const (
	// conflictDelay is how long to wait when somebody else wrote the same status:
	// long enough for the cache to show it.
	conflictDelay = 200 * time.Millisecond
	// notLoadedDelay is how long to wait for the loader to come to a log.
	notLoadedDelay = 200 * time.Millisecond
	// concurrentPolls is how many logs are polled at a time, so that one that
	// stalls does not keep the others waiting.
	concurrentPolls = 8
)

// monitor polls every log at its interval, and says what it finds in the log's
// conditions, in Events and in metrics. Only the leader runs it.
type monitor struct {
	client   client.Client
	logs     *trust.Logs
	recorder events.EventRecorder
	metrics  *logMetrics
	now      func() time.Time

	mu sync.Mutex
	// reported holds the logs whose inconsistency was told in an Event and
	// counted: once each, however often they are polled.
	reported map[string]bool
}

func newMonitor(c client.Client, logs *trust.Logs, recorder events.EventRecorder) *monitor {
	return &monitor{client: c, logs: logs, recorder: recorder, metrics: newLogMetrics(), now: time.Now, reported: map[string]bool{}}
}

func (m *monitor) setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("log-monitor").
		For(&v1alpha1.TransparencyLog{}, builder.WithPredicates(predicate.Or(specChanged(), accusationChanged()))).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrentPolls}).
		Complete(m)
}

// Reconcile polls one log and asks to be called again after its interval.
func (m *monitor) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var obj v1alpha1.TransparencyLog
	if err := m.client.Get(ctx, request.NamespacedName, &obj); err != nil {
		if apierrors.IsNotFound(err) {
			m.forget(request.Name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	if !m.logs.IsCurrent(&obj) {
		return reconcile.Result{RequeueAfter: notLoadedDelay}, nil
	}
	checkpoint, err := m.poll(ctx, obj.Name)
	// The poll stored a checkpoint or evidence: what was read before is old.
	if readErr := m.client.Get(ctx, request.NamespacedName, &obj); readErr != nil {
		return reconcile.Result{}, client.IgnoreNotFound(readErr)
	}
	m.measure(obj.Name, checkpoint, err)
	written, patchErr := m.write(ctx, &obj, withInsecure(&obj.Spec, logConditions(checkpoint, err)))
	if apierrors.IsConflict(patchErr) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	if patchErr != nil {
		return reconcile.Result{}, client.IgnoreNotFound(patchErr)
	}
	m.tell(ctx, &obj, written, err)
	return reconcile.Result{RequeueAfter: interval(&obj)}, nil
}

// poll asks the log for its latest checkpoint, and holds it against its history.
func (m *monitor) poll(ctx context.Context, log string) (tlog.Checkpoint, error) {
	prover, err := m.logs.Prover(log)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	return prover.Poll(ctx)
}

// interval is how long to wait until the next poll.
func interval(obj *v1alpha1.TransparencyLog) time.Duration {
	if obj.Spec.PollInterval == nil || obj.Spec.PollInterval.Duration <= 0 {
		return v1alpha1.DefaultPollInterval
	}
	return obj.Spec.PollInterval.Duration
}

// write stores the conditions if they have changed, and returns those whose
// status is another than before.
func (m *monitor) write(ctx context.Context, obj *v1alpha1.TransparencyLog, conditions []metav1.Condition) ([]metav1.Condition, error) {
	before := obj.DeepCopy()
	unasked := obj.Spec.Witnesses == "" && meta.RemoveStatusCondition(&obj.Status.Conditions, v1alpha1.ConditionWitnessed)
	if !setConditions(&obj.Status.Conditions, obj.Generation, conditions...) && !unasked {
		return nil, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := m.client.Status().Patch(ctx, obj, patch); err != nil {
		return nil, err
	}
	var turned []metav1.Condition
	for _, condition := range conditions {
		if !meta.IsStatusConditionPresentAndEqual(before.Status.Conditions, condition.Type, condition.Status) {
			turned = append(turned, condition)
		}
	}
	return turned, nil
}

// tell makes an Event, and a line in our own log, of what is new: a log that
// became reachable or ceased to be, and one that was caught.
func (m *monitor) tell(ctx context.Context, obj *v1alpha1.TransparencyLog, turned []metav1.Condition, err error) {
	if m.isNewlyCaught(obj.Name, err) {
		m.metrics.inconsistencies.WithLabelValues(obj.Name).Inc()
		ctrl.LoggerFrom(ctx).Error(err, "A transparency log was caught: nothing is believed of it any more", "log", obj.Name)
		m.recorder.Eventf(obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonLogInconsistent, "Poll", "%s", truncate(err.Error()))
	}
	for _, condition := range turned {
		if condition.Type != v1alpha1.ConditionReachable {
			continue
		}
		kind, reason := corev1.EventTypeNormal, "Reachable"
		if condition.Status == metav1.ConditionFalse {
			kind, reason = corev1.EventTypeWarning, condition.Reason
		}
		ctrl.LoggerFrom(ctx).Info("A transparency log's reachability changed", "log", obj.Name, "reachable", condition.Status, "cause", condition.Message)
		m.recorder.Eventf(obj, nil, kind, reason, "Poll", "%s", truncate(condition.Message))
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

func (m *monitor) measure(log string, checkpoint tlog.Checkpoint, err error) {
	if err != nil {
		return
	}
	m.metrics.size.WithLabelValues(log).Set(float64(checkpoint.Size()))
	m.metrics.verified.WithLabelValues(log).Set(float64(m.now().UnixMilli()) / 1000)
}

// forget drops what is known of a log that was deleted.
func (m *monitor) forget(log string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reported, log)
	m.metrics.forget(log)
}
