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
	value   V // what is published; final once done is closed
	waiting int
	cancel  context.CancelFunc
}

// do returns the value of work, or, when ctx ends first, its error and what work
// had published by then: the zero value if nothing. work gets the values of the
// first caller's context, at most limit to run, and a function that publishes. It
// must not panic, nor change what it has published.
func (f *flights[K, V]) do(ctx context.Context, key K, limit time.Duration, work func(ctx context.Context, publish func(V)) V) (V, error) {
	current := f.join(ctx, key, limit, work)
	select {
	case <-current.done:
		return current.value, nil
	case <-ctx.Done():
		return f.leave(key, current), ctx.Err()
	}
}

func (f *flights[K, V]) join(ctx context.Context, key K, limit time.Duration, work func(ctx context.Context, publish func(V)) V) *flight[V] {
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
		value := work(ctx, func(partial V) {
			f.mu.Lock()
			defer f.mu.Unlock()
			current.value = partial
		})
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(key, current)
		current.value = value
		close(current.done)
	}()
	return current
}

// leave takes one caller off a flight, and ends a flight that nobody waits for.
// It is forgotten under the same lock, so that nobody joins cancelled work. It
// returns what has been published.
func (f *flights[K, V]) leave(key K, current *flight[V]) V {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current.waiting--; current.waiting == 0 {
		f.forget(key, current)
		current.cancel()
	}
	return current.value
}

// forget is called with the lock held.
func (f *flights[K, V]) forget(key K, current *flight[V]) {
	if f.inFlight[key] == current {
		delete(f.inFlight, key)
	}
}
