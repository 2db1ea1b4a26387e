// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package pullsecrets

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// key is an object's name.
type key struct{ namespace, name string }

// answer is what was read, or the problem with it, for as long as it is kept.
type answer[V any] struct {
	value   V
	problem string
	until   time.Time
}

// kept reads objects, each once for all who ask at a time, and keeps them for some
// seconds: a thousand Pods of one Deployment are one read, and a Secret that was
// changed counts soon.
type kept[V any] struct {
	read    func(context.Context, key) (V, string)
	answers *lru.Cache[key, answer[V]]
	reading singleflight.Group
}

func newKept[V any](read func(context.Context, key) (V, string)) *kept[V] {
	answers, err := lru.New[key, answer[V]](maxKept)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &kept[V]{read: read, answers: answers}
}

// get returns the object, or the problem with it.
func (c *kept[V]) get(ctx context.Context, k key) (V, string) {
	if a, ok := c.answers.Get(k); ok && time.Now().Before(a.until) {
		return a.value, a.problem
	}
	// The work belongs to no caller: one that gives up does not fail the others.
	result := c.reading.DoChan(k.namespace+"/"+k.name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return c.answer(ctx, k), nil
	})
	select {
	case r := <-result:
		if a, ok := r.Val.(answer[V]); ok {
			return a.value, a.problem
		}
	case <-ctx.Done():
	}
	var none V
	return none, "cannot be read now"
}

// answer reads the object. It recovers: it runs apart from its callers.
func (c *kept[V]) answer(ctx context.Context, k key) (a answer[V]) {
	defer func() {
		if cause := recover(); cause != nil {
			a = answer[V]{problem: fmt.Sprintf("cannot be read: a fault of countersign (%T)", cause)}
		}
	}()
	a.value, a.problem = c.read(ctx, k)
	a.until = time.Now().Add(lifetime)
	if a.problem != "" {
		a.until = time.Now().Add(failureLifetime)
	}
	c.answers.Add(k, a)
	return a
}
