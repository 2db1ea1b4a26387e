// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// TestABurstOfChangesIsOneLoad: a thousand policies that are applied in two seconds are
// loaded ten times a second at the most, and the last change is among what is loaded.
func TestABurstOfChangesIsOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		begin := time.Now()
		var loads []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				request, stopped := queue.Get()
				if stopped {
					return
				}
				loads = append(loads, time.Since(begin))
				queue.Done(request)
			}
		}()
		handler := settled(func(client.Object) reconcile.Request { return everything() })
		var last time.Duration
		for i := range 1000 {
			last = time.Since(begin)
			obj := &v1alpha1.ClusterImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}}
			switch i % 3 {
			case 0:
				handler.Create(t.Context(), event.CreateEvent{Object: obj}, queue)
			case 1:
				handler.Update(t.Context(), event.UpdateEvent{ObjectOld: obj, ObjectNew: obj}, queue)
			default:
				handler.Delete(t.Context(), event.DeleteEvent{Object: obj}, queue)
			}
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		queue.ShutDown()
		<-done
		if len(loads) < 2 || len(loads) > 21 || loads[len(loads)-1] < last || loads[len(loads)-1] > last+settleDelay {
			t.Errorf("%d loads, at %v; the last change was at %v", len(loads), loads, last)
		}
	})
}
