// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

var referenceSeeds = []string{
	"nginx", "nginx:1.25", "docker.io/nginx", "index.docker.io/nginx@" + digest, "registry-1.docker.io/library/nginx", "registry.hub.docker.com/library/nginx:1",
	"ghcr.io/org/app:v1@" + digest, "localhost:5000/x", "localhost/x", "Foo/bar", "FOO.io/bar", "[::1]:5000/x:y", "ghcr.io:443/a/b",
	"a__b/c--d", "sha256:abcd", hex64, "x:", "x@", "docker.io/library/a/b", "a.b", "a.b:80", "127.0.0.1/x", "1.2.3:80/x", "x@sha512:" + hex64 + hex64,
}

// FuzzParse holds Parse against the two parsers whose answers matter: that of
// the kubelet and containerd, and that of the client which fetches.
func FuzzParse(f *testing.F) {
	for _, seed := range referenceSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s)
		if err != nil {
			return
		}
		pulled, err := reference.ParseDockerRef(s)
		if err != nil {
			t.Fatalf("%q: accepted, but no runtime would pull it: %v", s, err)
		}
		// Docker Hub's endpoints and :443 are the only names that we join and they do not.
		want := ref.Repository()
		got := strings.Replace(pulled.Name(), hubRegistry+"/", dockerHub+"/", 1)
		got = strings.Replace(got, hubAlias+"/", dockerHub+"/", 1)
		got = strings.Replace(got, ":443/", "/", 1)
		if got != want {
			t.Fatalf("%q: we verify %q, the runtime pulls %q", s, want, got)
		}
		if d, ok := pulled.(reference.Digested); ok != (ref.Digest() != "") || (ok && d.Digest().String() != ref.Digest()) {
			t.Fatalf("%q: digest %q, the runtime's %v", s, ref.Digest(), pulled)
		}
		if tagged, ok := pulled.(reference.Tagged); ok && tagged.Tag() != ref.Tag() {
			t.Fatalf("%q: tag %q, the runtime's %q", s, ref.Tag(), tagged.Tag())
		}
		fetched := ref.Name().Context()
		if fetched.RepositoryStr() != reference.Path(pulled) {
			t.Fatalf("%q: we fetch %q, the runtime pulls %q", s, fetched, pulled.Name())
		}
		if _, err := name.ParseReference(ref.Name().Name()); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		pinned, err := Parse(ref.Pinned(digest))
		if err != nil || pinned.Repository() != ref.Repository() || pinned.Digest() != digest || pinned.Tag() != ref.Tag() {
			t.Fatalf("%q: pinned %q is another image: %+v, %v", s, ref.Pinned(digest), pinned, err)
		}
	})
}

// FuzzGlob holds the compiled glob against a direct matcher and checks what
// callers rely on: Match implies MayMatch, and pinning never loses a match.
func FuzzGlob(f *testing.F) {
	for _, glob := range []string{
		"*", "**", "*/*", "*/**", "nginx", "nginx*", "docker.io/**", "docker.io/*", "ghcr.io/org/**", "ghcr.io/*/app:v*", "*.io/**", "**/app", "localhost:5000/x",
		"**@sha256:*", "x@" + digest, "ghcr.io/org/a*b*c**d", "index.docker.*/x", "registry-1.docker.io/library/nginx", "**:latest", "[::1]:5000/**",
	} {
		for _, ref := range referenceSeeds {
			f.Add(glob, ref)
		}
	}
	f.Fuzz(func(t *testing.T, text, s string) {
		glob, err := ParseGlob(text)
		if err != nil {
			return
		}
		ref, err := Parse(s)
		if err != nil {
			if glob.MayMatch(ref) {
				t.Fatalf("%q matches a reference that does not parse", text)
			}
			return
		}
		if glob.Match(ref) && !glob.MayMatch(ref) {
			t.Fatalf("%q matches %q, yet MayMatch denies it", text, s)
		}
		pinned, err := Parse(ref.Pinned(digest))
		if err != nil {
			t.Fatal(err)
		}
		if ref.Digest() == "" && glob.Match(ref) && !glob.Match(pinned) {
			t.Fatalf("%q matches %q, but not once it is pinned", text, s)
		}
		if ref.Digest() == "" && glob.Match(pinned) && !glob.MayMatch(ref) {
			t.Fatalf("%q matches %q once pinned, but MayMatch denied it", text, s)
		}
		rest, _, _ := strings.Cut(text, "@")
		repository, _, _ := cutTag(rest)
		full, err := normaliseGlob(repository)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := glob.repository.MatchString(ref.Repository()), matches(full, ref.Repository()); got != want {
			t.Fatalf("%q (%q) on %q: %v, want %v", text, full, ref.Repository(), got, want)
		}
	})
}

// matches is the definition of a glob, by dynamic programming over both texts.
func matches(glob, s string) bool {
	row := make([]bool, len(s)+1)
	row[0] = true
	for i := 0; i < len(glob); i++ {
		star := glob[i] == '*'
		across := star && i+1 < len(glob) && glob[i+1] == '*'
		next := make([]bool, len(s)+1)
		next[0] = star && row[0]
		for j := 1; j <= len(s); j++ {
			if star {
				next[j] = row[j] || (next[j-1] && (across || s[j-1] != '/'))
			} else {
				next[j] = row[j-1] && s[j-1] == glob[i]
			}
		}
		row = next
		if across {
			i++
		}
	}
	return row[len(s)]
}
