// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"strings"
)

// index finds the few policies that may cover an image among many: those of the cluster,
// and those of the image's namespace. Immutable.
type index struct {
	cluster    byRepository
	namespaces map[string]byRepository
	// registries are those that policies of the cluster name in full.
	registries map[string]bool
}

func newIndex(policies []*Policy) *index {
	type filed = map[string][]int
	cluster, namespaces := filed{}, map[string]filed{}
	for i, p := range policies {
		in := cluster
		if namespace := p.id.Namespace; namespace != "" {
			if in = namespaces[namespace]; in == nil {
				in = filed{}
				namespaces[namespace] = in
			}
		}
		for _, prefix := range p.prefixes() {
			in[prefix] = append(in[prefix], i)
		}
	}
	x := &index{cluster: newByRepository(cluster), namespaces: make(map[string]byRepository, len(namespaces)), registries: map[string]bool{}}
	for prefix := range cluster {
		if host, _, whole := strings.Cut(prefix, "/"); whole {
			x.registries[host] = true
		}
	}
	for namespace, in := range namespaces {
		x.namespaces[namespace] = newByRepository(in)
	}
	return x
}

// candidates returns the positions of the policies that may cover a repository in a
// namespace, each once, in their order.
func (x *index) candidates(namespace, repository string) []int {
	found := x.namespaces[namespace].candidates(repository, x.cluster.candidates(repository, nil))
	slices.Sort(found)
	return slices.Compact(found)
}

// byRepository finds policies by repository. It leaves out only what cannot match: each
// policy is filed under what precedes the first wildcard of each of its patterns, and
// every repository that a pattern matches begins with that. The entries are sorted.
type byRepository []entry

type entry struct {
	prefix string
	// policies are positions in the list of policies.
	policies []int
	// shorter is the entry with the longest prefix that this one's begins with, or -1.
	shorter int
}

func newByRepository(filed map[string][]int) byRepository {
	entries := make(byRepository, 0, len(filed))
	before := -1
	for _, prefix := range slices.Sorted(maps.Keys(filed)) {
		for before >= 0 && !strings.HasPrefix(prefix, entries[before].prefix) {
			before = entries[before].shorter
		}
		entries = append(entries, entry{prefix, filed[prefix], before})
		before = len(entries) - 1
	}
	return entries
}

// candidates adds to found the positions of the policies that may cover a repository.
//
// Of two texts that begin with one prefix, all between them in the order do. So whatever
// entry the repository begins with, the last one that is not after it begins with, too:
// they are that one, the next shorter, and so on.
func (x byRepository) candidates(repository string, found []int) []int {
	at, exact := slices.BinarySearchFunc(x, repository, func(e entry, repository string) int { return strings.Compare(e.prefix, repository) })
	if !exact {
		at--
	}
	for ; at >= 0; at = x[at].shorter {
		if strings.HasPrefix(repository, x[at].prefix) {
			found = append(found, x[at].policies...)
		}
	}
	return found
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
