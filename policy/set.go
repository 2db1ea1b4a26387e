// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"strconv"
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

// snapshot is one immutable state of a Set: its policies by ID. The pointer is
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
// same ID, the later one counts.
func (s *Set) Replace(policies []*Policy) {
	s.write.Lock()
	defer s.write.Unlock()
	byID, before := map[ID]*Policy{}, s.load()
	for _, p := range policies {
		if i, known := before.find(p.id); known {
			p.inherit(before.policies[i])
		}
		byID[p.id] = p
	}
	s.current.Store(newSnapshot(slices.SortedFunc(maps.Values(byID), func(a, b *Policy) int { return a.id.compare(b.id) })))
}

// Set adds p, or puts it in the place of the policy with the same ID.
func (s *Set) Set(p *Policy) {
	s.write.Lock()
	defer s.write.Unlock()
	s.current.Store(s.load().with(p))
}

// Delete removes the policy with that ID, if there is one.
func (s *Set) Delete(id ID) {
	s.write.Lock()
	defer s.write.Unlock()
	s.current.Store(s.load().without(id))
}

// Len is the number of policies in force.
func (s *Set) Len() int { return len(s.load().policies) }

// HasOwn reports whether any namespace has a policy of its own.
func (s *Set) HasOwn() bool {
	return slices.ContainsFunc(s.load().policies, func(p *Policy) bool { return p.id.Namespace != "" })
}

// NamesRegistry reports whether a policy of the cluster names a registry in full, as
// image.Reference.Registry has it. What namespaces name does not count.
func (s *Set) NamesRegistry(registry string) bool { return s.load().index().registries[registry] }

// Covering returns the policies that cover an image that comes from origin, or could
// once its tag has been resolved: those of the cluster before those of the namespace,
// in the order of their names.
func (s *Set) Covering(ref image.Reference, origin Origin) []*Policy {
	return s.load().covering(ref, view{Origin: origin}).policies
}

func (s *Set) load() *snapshot {
	if current := s.current.Load(); current != nil {
		return current
	}
	return newSnapshot(nil)
}

// coverage is what one state of the policies says of one image from one origin.
type coverage struct {
	policies []*Policy
	// unsure are those of which nobody can tell whether they reach the origin.
	unsure []ID
	// exceptions are those that count, where one of the policies allows any.
	exceptions []*Exception
	wantDigest bool
	// key is different for every list of policies, and for what is asked of them.
	key string
}

// with returns the coverage with the exceptions that count at the moment.
func (c coverage) with(exceptions []*Exception, ref image.Reference) coverage {
	if len(exceptions) == 0 || !slices.ContainsFunc(c.policies, func(p *Policy) bool { return p.exceptions }) {
		return c
	}
	c.exceptions = exceptions
	if c.wantDigest = wantDigest(exceptions, ref); c.wantDigest {
		c.key += " digest"
	}
	return c
}

func (s *snapshot) covering(ref image.Reference, from view) coverage {
	var c coverage
	var key []byte
	own := 0
	for _, i := range s.index().candidates(from.Namespace, ref.Repository()) {
		p := s.policies[i]
		if !p.mayCover(ref) {
			continue
		}
		reached := p.selection.reaches(from)
		if reached == outside {
			continue
		}
		if reached == perhaps {
			c.unsure = append(c.unsure, p.id)
		}
		key = strconv.AppendInt(append(key, ' '), int64(i), 36)
		if p.id.Namespace != "" {
			if own++; own > maxOwnPolicies {
				c.policies = append(c.policies, p.tooMany())
				break // those of the cluster come first
			}
		}
		c.policies = append(c.policies, p)
	}
	c.key = string(key)
	return c
}

// finish notes in a decision what depends on where its image comes from: of which policies
// nobody can tell whether they reach it, and which exceptions there are. Callers share
// what was found, and may come from elsewhere.
func (c coverage) finish(d Decision, ref image.Reference) Decision {
	d.unsure = c.unsure
	return except(d, ref, c.exceptions)
}

func (s *snapshot) with(p *Policy) *snapshot {
	policies := slices.Clone(s.policies)
	i, found := s.find(p.id)
	if found {
		p.inherit(policies[i])
		policies[i] = p
	} else {
		policies = slices.Insert(policies, i, p)
	}
	return newSnapshot(policies)
}

func (s *snapshot) without(id ID) *snapshot {
	i, found := s.find(id)
	if !found {
		return s
	}
	return newSnapshot(slices.Delete(slices.Clone(s.policies), i, i+1))
}

func (s *snapshot) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.policies, id, func(p *Policy, id ID) int { return p.id.compare(id) })
}

// of returns the policies that may have a say about what comes from there, whatever it
// is.
func (s *snapshot) of(from view) []*Policy {
	var policies []*Policy
	for _, p := range s.policies {
		if (p.id.Namespace == "" || p.id.Namespace == from.Namespace) && p.selection.reaches(from) != outside {
			policies = append(policies, p)
		}
	}
	return policies
}
