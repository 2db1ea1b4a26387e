// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"
	"time"
)

const (
	// tallyTick is how soon after it happened for the first time there is an Event.
	tallyTick = 2 * time.Second
	// tallyPause is the time between two Events about the same: when ten thousand Pods
	// start, they are to leave a few. It is longer than what client-go takes for one
	// series (six minutes, looked at every six), of which it would keep the first text.
	tallyPause = 15 * time.Minute
	// maxTallied bounds what is counted apart: names of images are anyone's to choose.
	maxTallied = 1024
	// maxTold bounds the Events of one tick. Others are told in the next.
	maxTold = 20
)

// tally counts what happens again and again, so that few Events say so: one soon
// after the first time, and one each tallyPause with how often that was. The zero
// value is empty. Safe for concurrent use.
type tally[K comparable, V any] struct {
	mu   sync.Mutex
	seen map[K]*tallied[V]
}

// tallied is how often something happened since it was told last, and what there is
// to say of the last time.
type tallied[V any] struct {
	times int
	last  V
	told  time.Time
}

// note counts what once more. When as many things as may be are counted already,
// it is left out.
func (t *tally[K, V]) note(what K, last V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[K]*tallied[V]{}
	}
	if t.seen[what] == nil {
		if len(t.seen) >= maxTallied {
			return
		}
		t.seen[what] = &tallied[V]{}
	}
	t.seen[what].times++
	t.seen[what].last = last
}

// due returns what is to be told now, and forgets what has not happened for a while.
func (t *tally[K, V]) due(now time.Time) map[K]tallied[V] {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := map[K]tallied[V]{}
	for what, count := range t.seen {
		switch {
		case now.Sub(count.told) < tallyPause:
		case count.times == 0:
			delete(t.seen, what)
		case len(due) < maxTold:
			due[what] = *count
			count.times, count.told = 0, now
		}
	}
	return due
}

// everyTick calls tell until ctx ends.
func everyTick(ctx context.Context, tell func(context.Context)) {
	ticker := time.NewTicker(tallyTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			tell(ctx)
		}
	}
}
