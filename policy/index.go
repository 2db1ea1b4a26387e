// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// index finds the few policies that may cover an image among many: those of the cluster,
// and those of the image's namespace. Immutable.
type index struct {
	cluster    *byRepository
	namespaces map[string]*byRepository
}

func newIndex(policies []*Policy) *index {
	x := &index{cluster: &byRepository{byPrefix: map[string][]int{}}, namespaces: map[string]*byRepository{}}
	for i, p := range policies {
		in := x.cluster
		if namespace := p.id.Namespace; namespace != "" {
			if in = x.namespaces[namespace]; in == nil {
				in = &byRepository{byPrefix: map[string][]int{}}
				x.namespaces[namespace] = in
			}
		}
		in.add(i, p)
	}
	return x
}

// candidates returns the positions of the policies that may cover a repository in a
// namespace, each once, in their order.
func (x *index) candidates(namespace, repository string) []int {
	found := x.cluster.candidates(repository, nil)
	if in, ok := x.namespaces[namespace]; ok {
		found = in.candidates(repository, found)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// byRepository finds policies by repository. It leaves out only what cannot match: each
// policy is filed under what precedes the first wildcard of each of its patterns, and
// every repository that a pattern matches begins with that.
type byRepository struct {
	// byPrefix holds positions in the list of policies.
	byPrefix map[string][]int
	// lengths are those of the prefixes, each once and in order: a repository is looked
	// up once for each, which are few however many policies there are.
	lengths []int
}

func (x *byRepository) add(position int, p *Policy) {
	for _, prefix := range p.prefixes() {
		x.byPrefix[prefix] = append(x.byPrefix[prefix], position)
		if at, known := slices.BinarySearch(x.lengths, len(prefix)); !known {
			x.lengths = slices.Insert(x.lengths, at, len(prefix))
		}
	}
}

// candidates adds to found the positions of the policies that may cover a repository.
func (x *byRepository) candidates(repository string, found []int) []int {
	for _, n := range x.lengths {
		if n > len(repository) {
			break
		}
		found = append(found, x.byPrefix[repository[:n]]...)
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
