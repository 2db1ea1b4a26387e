// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// share is one registry's part of the memory in which answers are held. A registry
// that sends slowly, and much, fills its own part, and there is room for others.
type share struct{ own, all *semaphore.Weighted }

func (c *core) share(l *lane) *share { return &share{own: l.memory, all: c.memory} }

// acquire waits until n more bytes may be held.
func (s *share) acquire(ctx context.Context, n int64) error {
	if err := s.own.Acquire(ctx, n); err != nil {
		return noRoom("that registry", err)
	}
	if err := s.all.Acquire(ctx, n); err != nil {
		s.own.Release(n)
		return noRoom("registries", err)
	}
	return nil
}

func (s *share) release(n int64) {
	s.all.Release(n)
	s.own.Release(n)
}

func noRoom(from string, err error) *Error {
	return &Error{verify.DeadlineExceeded, "so much is being read from " + from + " that there was no room for more in time", err}
}
