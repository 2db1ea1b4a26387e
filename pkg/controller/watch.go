// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

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

// settleDelay is how long a change waits for further ones before it is looked at. Whoever
// applies a folder of policies, or owns a namespace, makes as many as the API server allows,
// and each look has its price, however much it finds.
const settleDelay = 100 * time.Millisecond

// settled enqueues, for each object that comes, changes or goes, what request returns:
// once for all that want the same within settleDelay of the first.
func settled(request func(client.Object) reconcile.Request) handler.EventHandler {
	later := func(obj client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(request(obj), settleDelay)
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(e.ObjectNew, q)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			later(e.Object, q)
		},
	}
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
