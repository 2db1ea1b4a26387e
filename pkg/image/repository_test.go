// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRepository(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, fetched string }{
		"a repository":                            {"registry.corp.example/signatures", "registry.corp.example/signatures", "registry.corp.example/signatures"},
		"one deep below":                          {"ghcr.io/org/team/signatures", "ghcr.io/org/team/signatures", "ghcr.io/org/team/signatures"},
		"a registry with a port":                  {"127.0.0.1:5000/sigs", "127.0.0.1:5000/sigs", "127.0.0.1:5000/sigs"},
		"the default port is the same registry":   {"registry.corp.example:443/sigs", "registry.corp.example/sigs", "registry.corp.example:443/sigs"},
		"Docker Hub by name":                      {"docker.io/org/sigs", "docker.io/org/sigs", "index.docker.io/org/sigs"},
		"Docker Hub by its old name":              {"index.docker.io/org/sigs", "docker.io/org/sigs", "index.docker.io/org/sigs"},
		"an official repository, which is likely": {"docker.io/nginx", "docker.io/library/nginx", "index.docker.io/library/nginx"},
		"localhost":                               {"localhost/sigs", "localhost/sigs", "localhost/sigs"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRepository(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tc.want || got.Name().Name() != tc.fetched || got.Registry()+"/"+got.Path() != tc.want || got.IsZero() {
				t.Errorf("%s, fetched as %s; want %s, %s", got, got.Name().Name(), tc.want, tc.fetched)
			}
			ref, err := Parse(tc.in + ":v1")
			if err != nil || ref.Context() != got {
				t.Errorf("an image in it is in another repository: %v, %v", ref.Context(), err)
			}
		})
	}
}

func TestParseRepositoryRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, says string }{
		"nothing":            {"", "empty"},
		"a tag":              {"registry.corp.example/sigs:v1", "has a tag"},
		"an empty tag":       {"registry.corp.example/sigs:", "empty tag"},
		"a digest":           {"registry.corp.example/sigs@" + digest, "has a digest"},
		"a tag and a digest": {"registry.corp.example/sigs:v1@" + digest, "has a digest"},
		"an empty digest":    {"registry.corp.example/sigs@", "has a digest"},
		"a registry alone, which is a name on Docker Hub": {"registry.corp.example", "host of a registry"},
		"a registry with a port alone":                    {"registry.corp.example:5000", "host of a registry"},
		"a registry and a slash":                          {"registry.corp.example/", "empty path component"},
		"a name on Docker Hub that names no host":         {"org/sigs", "host of a registry"},
		"a short name":                                    {"sigs", "host of a registry"},
		"a URL":                                           {"https://registry.corp.example/sigs", ""},
		"upper case":                                      {"registry.corp.example/Sigs", "upper-case"},
		"an upper-case host":                              {"Registry.corp.example/sigs", "upper-case"},
		"a host with a trailing dot":                      {"registry.corp.example./sigs", "host"},
		"an address in another form":                      {"127.1/sigs", "IPv4"},
		"a way up":                                        {"registry.corp.example/a/../b", "path component"},
		"a space":                                         {"registry.corp.example/sigs ", "byte 0x20"},
		"a line break":                                    {"registry.corp.example/\nsigs", "byte 0x0a"},
		"far too long":                                    {"registry.corp.example/" + strings.Repeat("a", 2000), "longer"},
		"the hub's endpoint":                              {"registry-1.docker.io/nginx", "endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRepository(tc.in)
			syntax := (*SyntaxError)(nil)
			if !errors.As(err, &syntax) || syntax.Kind != "repository" || !strings.Contains(syntax.Problem, tc.says) {
				t.Errorf("%v; want it to say %q", err, tc.says)
			}
			if !got.IsZero() {
				t.Errorf("%v is not nothing", got)
			}
		})
	}
}

func TestTheZeroReferenceIsInNoRepository(t *testing.T) {
	if got := (Reference{}).Context(); !got.IsZero() {
		t.Errorf("%v", got)
	}
}

func TestCheckTagPrefix(t *testing.T) {
	for name, tc := range map[string]struct {
		prefix string
		ok     bool
	}{
		"none":                        {"", true},
		"a word":                      {"release-", true},
		"all kinds of characters":     {"_R.e-1", true},
		"the longest":                 {strings.Repeat("a", maxTagPrefix), true},
		"one longer":                  {strings.Repeat("a", maxTagPrefix+1), false},
		"a dash in front":             {"-a", false},
		"a dot in front":              {".a", false},
		"a way up":                    {"../", false},
		"a slash":                     {"a/b", false},
		"a question":                  {"a?n=1", false},
		"an escape":                   {"%2e", false},
		"a line break":                {"a\n", false},
		"a letter of another writing": {"ä", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckTagPrefix(tc.prefix); (err == nil) != tc.ok {
				t.Errorf("%v", err)
			}
			longest := "registry.example/sigs:" + tc.prefix + "sha256-" + hex64 + ".sig"
			if _, err := Parse(longest); (err == nil) != tc.ok {
				t.Errorf("the tag: %v", err)
			}
		})
	}
}
