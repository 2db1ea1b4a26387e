// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"regexp"
	"strings"
)

// Glob matches image references. It is anchored at both ends and compares the
// normalised repository and, where it names them, the tag and the digest:
//
//	ghcr.io/org/app              any tag and digest of one repository
//	ghcr.io/org/*                the repositories directly below ghcr.io/org
//	ghcr.io/org/**               all repositories below it; never ghcr.io/org-evil/…
//	nginx, docker.io/nginx       Docker Hub's docker.io/library/nginx
//	*  and  */*                  docker.io/library/* and docker.io/*/*, as in sigstore's API
//	**                           every image
//	**/nginx                     the repository nginx of any registry and any path
//	**nginx**                    every name that holds nginx, its registry included
//	*.corp.example/**            a registry may be a glob when it holds a '.' or a port
//	localhost:5000/app:v1.*      a registry's port and a tag, which may be a glob
//	ghcr.io/org/app@sha256:…     one digest; sha256:* asks for some digest
//
// `*` stands for any characters, none included, but '/'; `**` for any
// characters at all. There are no other special characters. Matching takes time
// linear in the reference.
//
// A reference without tag and digest has the tag latest; one with a digest alone
// has no tag, and no glob with a tag matches it.
//
// The zero value matches nothing.
type Glob struct {
	text       string
	prefix     string // of the repository, before the first wildcard
	repository *regexp.Regexp
	tag        *regexp.Regexp // nil: any, or none
	digest     *regexp.Regexp // nil: any, or none
	// hubIndex is set when the glob could mean Docker Hub by its other name: it is
	// then compared with that, too.
	hubIndex bool
}

// String returns the glob as the user wrote it.
func (g Glob) String() string { return g.text }

// HasTag tells whether the glob names a tag.
func (g Glob) HasTag() bool { return g.tag != nil }

// HasDigest tells whether the glob names a digest.
func (g Glob) HasDigest() bool { return g.digest != nil }

// LiteralPrefix returns a text with which the repository of every reference begins
// that the glob matches: what precedes its first wildcard. It is empty for a glob that
// begins with one.
func (g Glob) LiteralPrefix() string { return g.prefix }

// Match tells whether the glob matches ref as it stands.
func (g Glob) Match(ref Reference) bool {
	return g.matchName(ref) && (g.digest == nil || g.digest.MatchString(ref.digest))
}

// MayMatch is like Match, but where the glob names a digest and ref has none yet
// it compares only the rest: ref could match once it is resolved.
func (g Glob) MayMatch(ref Reference) bool {
	return g.matchName(ref) && (g.digest == nil || ref.digest == "" || g.digest.MatchString(ref.digest))
}

// matchName compares repository and tag.
func (g Glob) matchName(ref Reference) bool {
	if g.repository == nil || ref.path == "" {
		return false
	}
	return g.matchRepository(ref.Repository()) && (g.tag == nil || g.tag.MatchString(ref.tag))
}

func (g Glob) matchRepository(repository string) bool {
	if g.repository.MatchString(repository) {
		return true
	}
	path, isHub := strings.CutPrefix(repository, dockerHub+"/")
	return g.hubIndex && isHub && g.repository.MatchString(hubIndex+"/"+path)
}
