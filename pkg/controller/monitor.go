// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"
	"time"

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
	reset, done, err := m.reset(ctx, &obj)
	if done || apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	polled, err := m.poll(ctx, obj.Name)
	// The poll stored a checkpoint or evidence: what was read before is old.
	if readErr := m.client.Get(ctx, request.NamespacedName, &obj); readErr != nil {
		return reconcile.Result{}, client.IgnoreNotFound(readErr)
	}
	known := m.freshness(ctx, &obj)
	m.measure(&obj, polled.Checkpoint, err, known)
	turned, patchErr := m.write(ctx, &obj, withInsecure(&obj.Spec, logConditions(polled, err, known, m.now())), reset)
	if apierrors.IsConflict(patchErr) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	if patchErr != nil {
		return reconcile.Result{}, client.IgnoreNotFound(patchErr)
	}
	m.metrics.consistent.WithLabelValues(obj.Name).Set(asGauge(!meta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionConsistent)))
	m.tell(ctx, &obj, turned, err)
	return reconcile.Result{RequeueAfter: nextPoll(&obj, known, m.now())}, nil
}

// poll asks the log for its latest checkpoint, and holds it against its history.
func (m *monitor) poll(ctx context.Context, log string) (tlog.Polled, error) {
	prover, err := m.logs.Prover(log)
	if err != nil {
		return tlog.Polled{}, err
	}
	return prover.Poll(ctx)
}

// freshness is what is known of a log, which was polled just now.
func (m *monitor) freshness(ctx context.Context, obj *v1alpha1.TransparencyLog) tlog.Freshness {
	if prover, err := m.logs.Prover(obj.Name); err == nil {
		if known, err := prover.Freshness(ctx); err == nil {
			return known
		}
	}
	return trust.Freshness(obj) // of a log that was caught, or cannot be used
}

// nextPoll is how long to wait until the next poll. One that is due when the log
// becomes stale says so in time.
func nextPoll(obj *v1alpha1.TransparencyLog, known tlog.Freshness, now time.Time) time.Duration {
	wait := obj.Spec.Interval()
	if known.VerifiedAt.IsZero() || known.Stale(now) {
		return wait
	}
	return min(wait, known.VerifiedAt.Add(known.Limit).Sub(now)+time.Second)
}

// write stores the conditions if they have changed, and returns those whose status
// is another than before.
func (m *monitor) write(ctx context.Context, obj *v1alpha1.TransparencyLog, conditions []metav1.Condition, reset *metav1.Condition) ([]turn, error) {
	before := obj.DeepCopy()
	unasked := asksNoWitness(conditions) && meta.RemoveStatusCondition(&obj.Status.Conditions, v1alpha1.ConditionWitnessed)
	conditions, over := withReset(obj, conditions, reset)
	if !setConditions(&obj.Status.Conditions, obj.Generation, conditions...) && !unasked && !over {
		return nil, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := m.client.Status().Patch(ctx, obj, patch); err != nil {
		return nil, err
	}
	return turns(before.Status.Conditions, conditions), nil
}

// measure says in metrics what is known of a log. The leader that was elected a
// moment ago knows it from the status.
func (m *monitor) measure(obj *v1alpha1.TransparencyLog, checkpoint tlog.Checkpoint, err error, known tlog.Freshness) {
	m.metrics.measureWitnessed(obj)
	switch {
	case err == nil:
		m.metrics.size.WithLabelValues(obj.Name).Set(float64(checkpoint.Size()))
		m.metrics.verified.WithLabelValues(obj.Name).Set(seconds(m.now()))
	case !known.VerifiedAt.IsZero():
		m.metrics.verified.WithLabelValues(obj.Name).Set(seconds(known.VerifiedAt))
		if obj.Status.Checkpoint != nil {
			m.metrics.size.WithLabelValues(obj.Name).Set(float64(obj.Status.Checkpoint.Size))
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// forget drops what is known of a log that was deleted.
func (m *monitor) forget(log string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reported, log)
	m.metrics.forget(log)
}
