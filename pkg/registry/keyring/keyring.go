// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"cmp"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
)

// MaxTried bounds the credentials of one keyring that are tried at one repository.
const MaxTried = 8

// Part is one configuration in a keyring, or why there is none.
type Part struct {
	// Owner says for a person where it comes from, such as `Secret "pull"`.
	Owner  string
	Config Config
	// Problem is why it holds nothing: "" when there is no problem. It holds
	// nothing of a configuration's content.
	Problem string
}

// Keyring holds credentials for registries, in the order in which to try them.
// Immutable; nil is empty.
type Keyring struct {
	entries  []owned
	problems []string
}

type owned struct {
	pattern    pattern
	credential Credential
}

// New returns a keyring of the given parts, in their order.
func New(parts ...Part) *Keyring {
	k := &Keyring{}
	for _, part := range parts {
		if part.Problem != "" {
			k.problems = append(k.problems, part.Owner+" "+part.Problem)
		}
		for _, e := range part.Config.entries {
			k.entries = append(k.entries, owned{e.pattern, newCredential(part.Owner, e.auth)})
		}
	}
	slices.SortStableFunc(k.entries, func(a, b owned) int { return cmp.Compare(b.pattern.text, a.pattern.text) })
	return k
}

// IsEmpty reports whether k holds nothing: neither credentials, nor a problem.
func (k *Keyring) IsEmpty() bool { return k == nil || len(k.entries)+len(k.problems) == 0 }

// Problems are why parts of k hold nothing, for a person.
func (k *Keyring) Problems() []string {
	if k == nil {
		return nil
	}
	return k.problems
}

// Lookup returns the credentials that may be shown to the registry for a repository,
// in the order in which to try them: those for the longest pattern first, as the
// kubelet does. Of more than MaxTried the others are left out.
func (k *Keyring) Lookup(repository name.Repository) []Credential {
	if k == nil {
		return nil
	}
	host, hub := repository.RegistryStr(), false
	if host == name.DefaultRegistry {
		host, hub = dockerHub, true
	}
	found := k.matching(func(p pattern) bool { return p.matches(host, repository.RepositoryStr()) })
	if len(found) == 0 && hub {
		found = k.matching(pattern.isHubIndex)
	}
	return found
}

func (k *Keyring) matching(matches func(pattern) bool) []Credential {
	var found []Credential
	for _, e := range k.entries {
		if len(found) == MaxTried {
			break
		}
		if !matches(e.pattern) {
			continue
		}
		if !slices.ContainsFunc(found, func(other Credential) bool { return other.ID == e.credential.ID }) {
			found = append(found, e.credential)
		}
	}
	return found
}
