// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/countersign-dev/countersign/pkg/image"
)

// Set holds the policies in force. Readers take a snapshot without a lock and
// keep it for a whole evaluation, so that a change in between cannot make two
// halves of one decision disagree.
type Set struct {
	write   sync.Mutex
	current atomic.Pointer[snapshot]
}

// snapshot is one immutable state of a Set: its policies by name. The pointer is
// the version.
type snapshot struct {
	policies []*Policy
	index    func() *index
}

func newSnapshot(policies []*Policy) *snapshot {
	// Made when somebody asks: a program that starts adds its policies one by one.
	return &snapshot{policies: policies, index: sync.OnceValue(func() *index { return newIndex(policies) })}
}

// NewSet returns a set of the given policies.
func NewSet(policies ...*Policy) *Set {
	s := &Set{}
	s.Replace(policies)
	return s
}

// Replace puts policies in the place of all that the set holds. Of two with the
// same name, the later one counts.
func (s *Set) Replace(policies []*Policy) {
	s.write.Lock()
	defer s.write.Unlock()
	byName, before := map[string]*Policy{}, s.load()
	for _, p := range policies {
		if i, known := before.find(p.name); known {
			p.inherit(before.policies[i])
		}
		byName[p.name] = p
	}
	s.current.Store(newSnapshot(slices.SortedFunc(maps.Values(byName), func(a, b *Policy) int { return strings.Compare(a.name, b.name) })))
}

// Set adds p, or puts it in the place of the policy of the same name.
func (s *Set) Set(p *Policy) {
	s.write.Lock()
	defer s.write.Unlock()
	s.current.Store(s.load().with(p))
}

// Delete removes the policy of that name, if there is one.
func (s *Set) Delete(name string) {
	s.write.Lock()
	defer s.write.Unlock()
	s.current.Store(s.load().without(name))
}

// Len is the number of policies in force.
func (s *Set) Len() int { return len(s.load().policies) }

// Covering returns the policies that cover ref, or could once its tag has been
// resolved, in the order of their names.
func (s *Set) Covering(ref image.Reference) []*Policy { return s.load().covering(ref) }

func (s *Set) load() *snapshot {
	if current := s.current.Load(); current != nil {
		return current
	}
	return newSnapshot(nil)
}

func (s *snapshot) covering(ref image.Reference) []*Policy {
	var covering []*Policy
	for _, i := range s.index().candidates(ref.Repository()) {
		if p := s.policies[i]; p.mayCover(ref) {
			covering = append(covering, p)
		}
	}
	return covering
}

func (s *snapshot) with(p *Policy) *snapshot {
	policies := slices.Clone(s.policies)
	i, found := s.find(p.name)
	if found {
		p.inherit(policies[i])
		policies[i] = p
	} else {
		policies = slices.Insert(policies, i, p)
	}
	return newSnapshot(policies)
}

func (s *snapshot) without(name string) *snapshot {
	i, found := s.find(name)
	if !found {
		return s
	}
	return newSnapshot(slices.Delete(slices.Clone(s.policies), i, i+1))
}

func (s *snapshot) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.policies, name, func(p *Policy, name string) int { return strings.Compare(p.name, name) })
}
