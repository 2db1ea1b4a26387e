// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"sync"
	"time"
)

// flights lets callers who want the same thing at the same time share one piece
// of work. Unlike golang.org/x/sync/singleflight it honours contexts: a caller
// leaves when its own context ends, the work does not die with the caller who
// happened to be first, and it is cancelled when the last caller has left.
type flights[K comparable, V any] struct {
	mu       sync.Mutex
	inFlight map[K]*flight[V]
}

type flight[V any] struct {
	done    chan struct{}
	value   V
	waiting int
	cancel  context.CancelFunc
}

// do returns the value of work, or the error of ctx when that ends first. work
// gets the values of the first caller's context, at most limit to run, and must
// not panic.
func (f *flights[K, V]) do(ctx context.Context, key K, limit time.Duration, work func(context.Context) V) (V, error) {
	current := f.join(ctx, key, limit, work)
	select {
	case <-current.done:
		return current.value, nil
	case <-ctx.Done():
		f.leave(key, current)
		var none V
		return none, ctx.Err()
	}
}

func (f *flights[K, V]) join(ctx context.Context, key K, limit time.Duration, work func(context.Context) V) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current, ok := f.inFlight[key]; ok {
		current.waiting++
		return current
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	current := &flight[V]{done: make(chan struct{}), waiting: 1, cancel: cancel}
	if f.inFlight == nil {
		f.inFlight = map[K]*flight[V]{}
	}
	f.inFlight[key] = current
	go func() {
		defer cancel()
		value := work(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(key, current)
		current.value = value
		close(current.done)
	}()
	return current
}

// leave takes one caller off a flight, and ends a flight that nobody waits for.
// It is forgotten under the same lock, so that nobody joins cancelled work.
func (f *flights[K, V]) leave(key K, current *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current.waiting--; current.waiting == 0 {
		f.forget(key, current)
		current.cancel()
	}
}

// forget is called with the lock held.
func (f *flights[K, V]) forget(key K, current *flight[V]) {
	if f.inFlight[key] == current {
		delete(f.inFlight, key)
	}
}
