// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
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

// snapshot is one immutable state of a Set.
type snapshot struct {
	cluster *layer
	// own are the policies of each namespace that has any, by its name.
	own map[string]*layer
}

// at returns what there is to say about images in a namespace.
func (s *snapshot) at(namespace string) state {
	return state{cluster: s.cluster, own: s.own[namespace]}
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
	before, byNamespace := s.load(), map[string]map[ID]*Policy{}
	for _, p := range policies {
		p.inherit(before.at(p.id.Namespace).find(p.id))
		if byNamespace[p.id.Namespace] == nil {
			byNamespace[p.id.Namespace] = map[ID]*Policy{}
		}
		byNamespace[p.id.Namespace][p.id] = p
	}
	next := &snapshot{cluster: newLayer(nil), own: map[string]*layer{}}
	for namespace, byID := range byNamespace {
		next.put(namespace, slices.SortedFunc(maps.Values(byID), func(a, b *Policy) int { return a.id.compare(b.id) }))
	}
	s.current.Store(next)
}

// Set adds p, or puts it in the place of the policy with the same ID.
func (s *Set) Set(p *Policy) {
	s.write.Lock()
	defer s.write.Unlock()
	before := s.load()
	p.inherit(before.at(p.id.Namespace).find(p.id))
	s.current.Store(before.with(p.id.Namespace, before.layer(p.id.Namespace).with(p)))
}

// Delete removes the policy with that ID, if there is one.
func (s *Set) Delete(id ID) {
	s.write.Lock()
	defer s.write.Unlock()
	before := s.load()
	s.current.Store(before.with(id.Namespace, before.layer(id.Namespace).without(id)))
}

// Len is the number of policies in force.
func (s *Set) Len() int {
	current := s.load()
	n := len(current.cluster.policies)
	for _, own := range current.own {
		n += len(own.policies)
	}
	return n
}

// HasOwn reports whether any namespace has a policy of its own.
func (s *Set) HasOwn() bool { return len(s.load().own) > 0 }

// NamesRegistry reports whether a policy of the cluster names a registry in full, as
// image.Reference.Registry has it. What namespaces name does not count.
func (s *Set) NamesRegistry(registry string) bool {
	return s.load().cluster.index().begins(registry + "/")
}

// Covering returns the policies that cover an image that comes from origin, or could
// once its tag has been resolved: those of the cluster before those of the namespace,
// in the order of their names.
func (s *Set) Covering(ref image.Reference, origin Origin) []*Policy {
	return s.load().at(origin.Namespace).covering(ref, view{Origin: origin}).policies
}

func (s *Set) load() *snapshot {
	if current := s.current.Load(); current != nil {
		return current
	}
	return &snapshot{cluster: newLayer(nil)}
}

// layer returns the policies of a namespace, or, where it is "", those of the cluster.
func (s *snapshot) layer(namespace string) *layer {
	switch own, ok := s.own[namespace]; {
	case namespace == "":
		return s.cluster
	case ok:
		return own
	default:
		return newLayer(nil)
	}
}

// with returns the snapshot with other policies of one namespace, or of the cluster. The
// others stay what they are, with their indexes: whoever owns a namespace can change what it
// has as often as he likes.
func (s *snapshot) with(namespace string, policies []*Policy) *snapshot {
	next := &snapshot{cluster: s.cluster, own: maps.Clone(s.own)}
	next.put(namespace, policies)
	return next
}

// put is for a snapshot that nobody has yet.
func (s *snapshot) put(namespace string, policies []*Policy) {
	switch {
	case namespace == "":
		s.cluster = newLayer(policies)
	case len(policies) == 0:
		delete(s.own, namespace)
	case s.own == nil:
		s.own = map[string]*layer{namespace: newLayer(policies)}
	default:
		s.own[namespace] = newLayer(policies)
	}
}
