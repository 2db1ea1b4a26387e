// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hex64  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	digest = "sha256:" + hex64
)

// view is what a Reference shows of itself.
type view struct {
	Registry, Repository, Tag, Digest, Pinned, Fetched string
}

func viewOf(r Reference) view {
	return view{r.Registry(), r.Repository(), r.Tag(), r.Digest(), r.Pinned(digest), r.Name().Name()}
}

func TestParse(t *testing.T) {
	cases := map[string]struct {
		in   string
		want view
	}{
		"a short name is an official image of Docker Hub": {
			"nginx", view{"docker.io", "docker.io/library/nginx", "latest", "", "nginx:latest@" + digest, "index.docker.io/library/nginx:latest"},
		},
		"docker.io in front of a short name is the same image": {
			"docker.io/nginx:1.25", view{"docker.io", "docker.io/library/nginx", "1.25", "", "docker.io/nginx:1.25@" + digest, "index.docker.io/library/nginx:1.25"},
		},
		"the old name of Docker Hub is the same registry": {
			"index.docker.io/library/nginx", view{"docker.io", "docker.io/library/nginx", "latest", "", "index.docker.io/library/nginx:latest@" + digest, "index.docker.io/library/nginx:latest"},
		},
		"the endpoint of Docker Hub is the same registry": {
			"registry-1.docker.io/library/nginx:1", view{"docker.io", "docker.io/library/nginx", "1", "", "registry-1.docker.io/library/nginx:1@" + digest, "index.docker.io/library/nginx:1"},
		},
		"a first component without a dot is a namespace of Docker Hub": {
			"grafana/grafana:11", view{"docker.io", "docker.io/grafana/grafana", "11", "", "grafana/grafana:11@" + digest, "index.docker.io/grafana/grafana:11"},
		},
		"a name that looks like a host and has no path is an official image": {
			"localhost:5000", view{"docker.io", "docker.io/library/localhost", "5000", "", "localhost:5000@" + digest, "index.docker.io/library/localhost:5000"},
		},
		"a digest leaves no tag": {
			"ghcr.io/org/app@" + digest, view{"ghcr.io", "ghcr.io/org/app", "", digest, "ghcr.io/org/app@" + digest, "ghcr.io/org/app@" + digest},
		},
		"a tag beside a digest is kept": {
			"ghcr.io/org/app:v1@" + digest, view{"ghcr.io", "ghcr.io/org/app", "v1", digest, "ghcr.io/org/app:v1@" + digest, "ghcr.io/org/app@" + digest},
		},
		"a registry with a port": {
			"registry.corp.example:5000/app", view{"registry.corp.example:5000", "registry.corp.example:5000/app", "latest", "", "registry.corp.example:5000/app:latest@" + digest, "registry.corp.example:5000/app:latest"},
		},
		"the default port is the same registry and is kept for the request": {
			"ghcr.io:443/org/app:v1", view{"ghcr.io", "ghcr.io/org/app", "v1", "", "ghcr.io:443/org/app:v1@" + digest, "ghcr.io:443/org/app:v1"},
		},
		"localhost is a registry when a path follows": {
			"localhost/app", view{"localhost", "localhost/app", "latest", "", "localhost/app:latest@" + digest, "localhost/app:latest"},
		},
		"a host without a dot is a registry when it has a port": {
			"registry:5000/a/b", view{"registry:5000", "registry:5000/a/b", "latest", "", "registry:5000/a/b:latest@" + digest, "registry:5000/a/b:latest"},
		},
		"an IPv6 registry": {
			"[fd00::1]:5000/app:v1", view{"[fd00::1]:5000", "[fd00::1]:5000/app", "v1", "", "[fd00::1]:5000/app:v1@" + digest, "[fd00::1]:5000/app:v1"},
		},
		"an IPv4 registry": {
			"127.0.0.1:5000/app:v1", view{"127.0.0.1:5000", "127.0.0.1:5000/app", "v1", "", "127.0.0.1:5000/app:v1@" + digest, "127.0.0.1:5000/app:v1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, viewOf(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.String() != tc.in {
				t.Errorf("String() = %q, want what was written", got.String())
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct{ in, problem string }{
		"an empty reference":                         {"", "is empty"},
		"a reference beyond all limits":              {strings.Repeat("a/", 600) + "a", "longer than 1024"},
		"a space":                                    {"nginx ", "byte 0x20 at position 5"},
		"a line break":                               {"nginx\n", "byte 0x0a"},
		"a letter of another alphabet":               {"ngіnx", "not a printable ASCII"},
		"a NUL byte":                                 {"nginx\x00", "byte 0x00"},
		"a URL":                                      {"https://ghcr.io/org/app", "URL scheme"},
		"an empty tag":                               {"nginx:", "empty tag"},
		"an empty tag in front of a digest":          {"nginx:@" + digest, "empty tag"},
		"an empty digest":                            {"nginx@", "empty digest"},
		"two digests":                                {"nginx@" + digest + "@" + digest, "more than one '@'"},
		"a sha512 digest":                            {"nginx@sha512:" + hex64 + hex64, "only sha256"},
		"a digest that is too short":                 {"nginx@sha256:abcd", "malformed digest"},
		"a digest in upper case":                     {"nginx@sha256:" + strings.ToUpper(hex64), "malformed digest"},
		"a digest without an algorithm":              {"nginx@" + hex64, "malformed digest"},
		"a digest of nothing":                        {"@" + digest, "names no repository"},
		"a tag of nothing":                           {":v1", "names no repository"},
		"the ID of a local image":                    {hex64, "ID of a local image"},
		"the ID of a local image with its algorithm": {digest, "ID of a local image"},
		"a short ID of a local image":                {"sha256:9f86d081", "ID of a local image"},
		"upper case in the repository":               {"ghcr.io/Org/app", "upper-case letters in path component \"Org\""},
		"upper case in a short name":                 {"Nginx", "upper-case letters in path component"},
		"upper case in the registry":                 {"GHCR.io/org/app", "upper-case letters in registry host"},
		"an upper-case word that runtimes take as a registry": {"Foo/bar", "upper-case letters in registry host"},
		"an empty path component":                             {"ghcr.io//app", "empty path component"},
		"a trailing slash":                                    {"ghcr.io/org/", "empty path component"},
		"a leading slash":                                     {"/nginx", "empty path component"},
		"a path that climbs":                                  {"ghcr.io/org/../other/app", "invalid path component \"..\""},
		"a component with a leading dash":                     {"ghcr.io/-org/app", "invalid path component"},
		"three underscores":                                   {"a___b", "invalid path component"},
		"a repository name that is too long":                  {"ghcr.io/" + strings.Repeat("a", 256), "longer than 255"},
		"a tag that is too long":                              {"nginx:" + strings.Repeat("a", 129), "longer than 128"},
		"a tag with a leading dot":                            {"nginx:.v1", "invalid tag"},
		"a tag with a plus sign":                              {"nginx:v1+2", "invalid tag"},
		"a port with a leading zero":                          {"ghcr.io:0443/org/app", "invalid port"},
		"port zero":                                           {"ghcr.io:0/org/app", "invalid port"},
		"a port beyond 65535":                                 {"ghcr.io:65536/org/app", "invalid port"},
		"an empty port":                                       {"ghcr.io:/org/app", "invalid port"},
		"Docker Hub with a port":                              {"docker.io:443/library/nginx", "Docker Hub with a port"},
		"Docker Hub's endpoint with a port":                   {"registry-1.docker.io:443/library/nginx", "Docker Hub with a port"},
		"Docker Hub's endpoint with a short name":             {"registry-1.docker.io/nginx", "write docker.io/library/nginx"},
		"Docker Hub's alias with a short name":                {"registry.hub.docker.com/nginx", "write docker.io/library/nginx"},
		"a registry with a trailing dot":                      {"ghcr.io./org/app", "invalid registry host"},
		"a registry with user information":                    {"user@ghcr.io/org/app", "malformed digest"},
		"a registry with an underscore":                       {"my_host.example/app", "invalid registry host"},
		"a registry host that is too long":                    {strings.Repeat("a.", 127) + "aa/app", "longer than 253"},
		"an IPv4 address in short form":                       {"127.1:5000/app", "not an IPv4 address in canonical form"},
		"an IPv4 address with padding":                        {"127.000.000.001/app", "not an IPv4 address in canonical form"},
		"an IPv4 address as one number":                       {"2130706433:5000/app", "not an IPv4 address in canonical form"},
		"an IPv4 address in hexadecimal":                      {"0x7f.0.0.0x1/app", "not an IPv4 address in canonical form"},
		"an IPv6 address in long form":                        {"[0:0:0:0:0:0:0:1]/app", "not an IPv6 address in canonical form"},
		"an IPv6 address with a zone":                         {"[fe80::1%eth0]/app", "not an IPv6 address in canonical form"},
		"an IPv4 address dressed as IPv6":                     {"[::ffff:127.0.0.1]/app", "not an IPv6 address in canonical form"},
		"an IPv6 address without brackets":                    {"::1/app", "invalid"},
		"a bracket that is not closed":                        {"[::1:5000/app", "not an IPv6 address"},
		"a question mark":                                     {"ghcr.io/org/app?x=1", "invalid path component"},
		"a percent escape":                                    {"ghcr.io/org%2fapp", "invalid path component"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tc.in)
			if err == nil {
				t.Fatalf("accepted as %+v", viewOf(got))
			}
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Fatalf("error is a %T", err)
			}
			if !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("error %q does not say %q", err, tc.problem)
			}
			if diff := cmp.Diff(Reference{}, got, cmp.AllowUnexported(Reference{})); diff != "" {
				t.Errorf("a refused reference is not empty: %s", diff)
			}
		})
	}
}

func TestSyntaxErrorIsShortAndEscaped(t *testing.T) {
	_, err := Parse("\x1b[31m" + strings.Repeat("x", 5000))
	if text := err.Error(); len(text) > 400 || strings.Contains(text, "\x1b") {
		t.Errorf("error is %d bytes: %q", len(text), text)
	}
}

func TestPinnedReplacesADigest(t *testing.T) {
	ref, err := Parse("ghcr.io/org/app:v1@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ref.Pinned(digest), "ghcr.io/org/app:v1@"+digest; got != want {
		t.Errorf("Pinned = %q, want %q", got, want)
	}
}
