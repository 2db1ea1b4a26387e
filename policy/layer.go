// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"sync"
)

// layer is one immutable state of the policies of the cluster, or of one namespace, by ID.
// The pointer is the version.
type layer struct {
	policies []*Policy
	// index is made when somebody asks: a program that starts adds its policies one by
	// one.
	index func() byRepository
}

func newLayer(policies []*Policy) *layer {
	return &layer{policies: policies, index: sync.OnceValue(func() byRepository { return newIndex(policies) })}
}

// with returns the policies with p among them, or in the place of the one with its ID.
func (l *layer) with(p *Policy) []*Policy {
	policies := slices.Clone(l.policies)
	i, found := l.find(p.id)
	if found {
		policies[i] = p
		return policies
	}
	return slices.Insert(policies, i, p)
}

// without returns the policies but for the one with that ID.
func (l *layer) without(id ID) []*Policy {
	i, found := l.find(id)
	if !found {
		return l.policies
	}
	return slices.Delete(slices.Clone(l.policies), i, i+1)
}

func (l *layer) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(l.policies, id, func(p *Policy, id ID) int { return p.id.compare(id) })
}
