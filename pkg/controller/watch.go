// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// signal says from one controller to another that something has happened, and
// says it once for all that happened until the other listens.
type signal chan event.TypedGenericEvent[struct{}]

func (s signal) send() {
	select {
	case s <- event.TypedGenericEvent[struct{}]{}:
	default:
	}
}

// source enqueues what requests returns whenever the signal is sent.
func (s signal) source(requests func(context.Context) []reconcile.Request) source.Source {
	return source.Channel(s, handler.TypedFuncs[struct{}, reconcile.Request]{
		GenericFunc: func(ctx context.Context, _ event.TypedGenericEvent[struct{}], queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			for _, request := range requests(ctx) {
				queue.Add(request)
			}
		},
	})
}

// once enqueues request when the controller starts.
func once(request reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(request)
		return nil
	})
}

// specChanged passes updates of what a person wrote. Generation alone does not
// tell an object from another one of the same name that replaced it.
func specChanged() predicate.Predicate {
	return updates(func(before, after client.Object) bool {
		return before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID()
	})
}

// accusationChanged passes updates of a TransparencyLog that was caught lying, or
// that an operator reset.
func accusationChanged() predicate.Predicate {
	return updates(func(before, after client.Object) bool {
		return accused(before) != accused(after) || !lastReset(before).Equal(lastReset(after))
	})
}

// lastReset is when a TransparencyLog was reset, or nil.
func lastReset(obj client.Object) *metav1.Time {
	if log, ok := obj.(*v1alpha1.TransparencyLog); ok && log.Status.LastReset != nil {
		return &log.Status.LastReset.At
	}
	return nil
}

func accused(obj client.Object) bool {
	log, ok := obj.(*v1alpha1.TransparencyLog)
	return ok && log.Status.Inconsistency != nil
}

// updates passes everything but updates for which changed is false.
func updates(changed func(before, after client.Object) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld != nil && e.ObjectNew != nil && changed(e.ObjectOld, e.ObjectNew)
	}}
}
