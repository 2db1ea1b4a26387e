// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestAStalledExchangeDoesNotFailThoseWhoAskLater: steady demand, in which no
// caller waits for long, must not keep alive an exchange that will never end.
func TestAStalledExchangeDoesNotFailThoseWhoAskLater(t *testing.T) {
	f := newFake(t)
	var pings atomic.Int32
	f.on("/v2/", func(_ http.ResponseWriter, r *http.Request) {
		if pings.Add(1) == 1 {
			<-r.Context().Done() // only the first stalls
		}
	})
	client, ref := f.client(Limits{Timeout: 3 * time.Second}), f.ref(t, "")
	var answered atomic.Bool
	var callers sync.WaitGroup
	for start := time.Now(); !answered.Load() && time.Since(start) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := client.Resolve(ctx, ref); reasonOf(t, err) == verify.ImageNotFound {
				answered.Store(true)
			}
		})
	}
	callers.Wait()
	if !answered.Load() {
		t.Errorf("nobody was answered, and the registry was asked %d times", pings.Load())
	}
}

func TestOneExchangeThatStallsLeavesTimeForAnother(t *testing.T) {
	f := newFake(t)
	var asked atomic.Int32
	f.on(latest, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		withDigest(ociManifest, subject)(w, r)
	})
	client, ref := f.client(Limits{Timeout: 3 * time.Second}), f.ref(t, "")
	if _, err := client.Resolve(t.Context(), ref); reasonOf(t, err) != verify.DeadlineExceeded {
		t.Errorf("the first: %v, want DeadlineExceeded", err)
	}
	if got, err := client.Resolve(t.Context(), ref); got != subject || err != nil {
		t.Errorf("the second: %q, %v", got, err)
	}
}
