// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// flight joins concurrent calls that want the same thing. Unlike
// golang.org/x/sync/singleflight it gives the work a context of its own, which
// ends when the last caller has gone: one caller's cancellation fails nobody
// else, and nothing goes on that nobody waits for. Nor does it go on for longer
// than limit: otherwise work that stalls would be joined for as long as anybody
// asks for it. Work that panics returns an error to its callers.
type flight[V any] struct {
	limit time.Duration
	mu    sync.Mutex
	calls map[string]*call[V]
}

type call[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	value   V
	err     error
}

// do returns what work returns, value and error both, or ctx's error. The work
// sees the values of the first caller's context, and none of its deadlines.
func (f *flight[V]) do(ctx context.Context, key string, work func(context.Context) (V, error)) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, err
	}
	c := f.join(ctx, key, work)
	select {
	case <-c.done:
		f.leave(key, c)
		return c.value, c.err
	case <-ctx.Done():
		f.leave(key, c)
		return none, ctx.Err()
	}
}

func (f *flight[V]) join(ctx context.Context, key string, work func(context.Context) (V, error)) *call[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.calls[key]; ok {
		c.waiting++
		return c
	}
	if f.calls == nil {
		f.calls = make(map[string]*call[V])
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.limit) //nolint:gosec // land calls it, whatever happens
	c := &call[V]{done: make(chan struct{}), cancel: cancel, waiting: 1}
	f.calls[key] = c
	go func() {
		defer f.land(key, c)
		defer func() {
			if p := recover(); p != nil {
				c.err = fmt.Errorf("panic: %v", p)
			}
		}()
		c.value, c.err = work(own)
	}()
	return c
}

// land makes the result known; whoever comes now starts anew.
func (f *flight[V]) land(key string, c *call[V]) {
	f.mu.Lock()
	if f.calls[key] == c {
		delete(f.calls, key)
	}
	f.mu.Unlock()
	close(c.done)
	c.cancel()
}

func (f *flight[V]) leave(key string, c *call[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.cancel()
		// Nobody may join work that has been given up.
		if f.calls[key] == c {
			delete(f.calls, key)
		}
	}
}
