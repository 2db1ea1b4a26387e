// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"strings"
)

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

// newIndex files policies by what their patterns begin with.
func newIndex(policies []*Policy) byRepository {
	filed := map[string][]int{}
	for i, p := range policies {
		for _, prefix := range p.prefixes() {
			filed[prefix] = append(filed[prefix], i)
		}
	}
	return newByRepository(filed)
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

// candidates returns the positions of the policies that may cover a repository, each once,
// in their order.
//
// Of two texts that begin with one prefix, all between them in the order do. So whatever
// entry the repository begins with, the last one that is not after it begins with, too:
// they are that one, the next shorter, and so on.
func (x byRepository) candidates(repository string) []int {
	var found []int
	at, exact := slices.BinarySearchFunc(x, repository, func(e entry, repository string) int { return strings.Compare(e.prefix, repository) })
	if !exact {
		at--
	}
	for ; at >= 0; at = x[at].shorter {
		if strings.HasPrefix(repository, x[at].prefix) {
			found = append(found, x[at].policies...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// begins reports whether there is an entry that begins with text.
func (x byRepository) begins(text string) bool {
	at, _ := slices.BinarySearchFunc(x, text, func(e entry, text string) int { return strings.Compare(e.prefix, text) })
	return at < len(x) && strings.HasPrefix(x[at].prefix, text)
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
