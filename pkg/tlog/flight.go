// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

// flightTimeout bounds work that is shared between requests, whose own deadlines
// it cannot follow.
const flightTimeout = 15 * time.Second

// join runs fn once for all concurrent callers with the same key. The run belongs
// to none of them: a caller that gives up leaves it to the others, and it ends by
// its own time limits.
func join[T any](ctx context.Context, group *singleflight.Group, key string, fn func(context.Context) (T, error)) (T, error) {
	done := group.DoChan(key, func() (result any, err error) {
		// Package singleflight turns a panic into the end of the process.
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: panic: %v", ErrUnavailable, r)
			}
		}()
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		return fn(detached)
	})
	var zero T
	select {
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case result := <-done:
		if result.Err != nil {
			return zero, result.Err
		}
		value, ok := result.Val.(T)
		if !ok { // two kinds of work under one key: a mistake in this file
			return zero, fmt.Errorf("%w: joined work of another kind", ErrUnavailable)
		}
		return value, nil
	}
}
