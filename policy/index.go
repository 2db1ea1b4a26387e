// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
)

// index finds the few policies that may cover a repository among many. It leaves out
// only what cannot: each policy is filed under what precedes the first wildcard of each
// of its patterns, and every repository that a pattern matches begins with that.
// Immutable.
type index struct {
	// byPrefix holds positions in the list of policies.
	byPrefix map[string][]int
	// lengths are those of the prefixes, each once: a repository is looked up once for
	// each, which are few however many policies there are.
	lengths []int
}

func newIndex(policies []*Policy) *index {
	x := &index{byPrefix: map[string][]int{}}
	lengths := map[int]struct{}{}
	for i, p := range policies {
		for _, prefix := range p.prefixes() {
			x.byPrefix[prefix] = append(x.byPrefix[prefix], i)
			lengths[len(prefix)] = struct{}{}
		}
	}
	x.lengths = slices.Sorted(maps.Keys(lengths))
	return x
}

// candidates returns the positions of the policies that may cover a repository, each
// once, in their order.
func (x *index) candidates(repository string) []int {
	var found []int
	for _, n := range x.lengths {
		if n > len(repository) {
			break
		}
		found = append(found, x.byPrefix[repository[:n]]...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// prefixes returns texts of which the repository of every image begins with one that
// the policy covers.
func (p *Policy) prefixes() []string {
	if p.everything {
		return []string{""}
	}
	prefixes := make([]string, 0, len(p.images))
	for _, g := range p.images {
		prefixes = append(prefixes, g.LiteralPrefix())
	}
	slices.Sort(prefixes)
	return slices.Compact(prefixes)
}
