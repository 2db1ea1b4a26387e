// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGlobMatch(t *testing.T) {
	cases := map[string]struct {
		glob    string
		matches []string
		not     []string
	}{
		"a repository matches with any tag and digest": {
			"ghcr.io/org/app", []string{"ghcr.io/org/app", "ghcr.io/org/app:v1", "ghcr.io/org/app@" + digest, "ghcr.io/org/app:v1@" + digest, "ghcr.io:443/org/app"},
			[]string{"ghcr.io/org/app2", "ghcr.io/org/app/sub", "ghcr.io/org", "evil.example/ghcr.io/org/app", "ghcr.io:8443/org/app"},
		},
		"two stars below an organisation never match another organisation with the same beginning": {
			"ghcr.io/org/**", []string{"ghcr.io/org/app", "ghcr.io/org/a/b/c:v1"},
			[]string{"ghcr.io/org-evil/app", "ghcr.io/organisation/app", "ghcr.io/org", "ghcr.io.evil.example/org/app", "evil.example/ghcr.io/org/app"},
		},
		"one star stays within a segment": {
			"ghcr.io/org/*", []string{"ghcr.io/org/app:v1"}, []string{"ghcr.io/org/a/b", "ghcr.io/org-evil/app"},
		},
		"one star matches part of a segment, none included": {
			"ghcr.io/org/app*", []string{"ghcr.io/org/app", "ghcr.io/org/app-2"}, []string{"ghcr.io/org/app/x", "ghcr.io/org/my-app"},
		},
		"a short name is Docker Hub's official image under all its spellings": {
			"nginx", []string{"nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/library/nginx:1", "registry-1.docker.io/library/nginx", "registry.hub.docker.com/library/nginx", "library/nginx"},
			[]string{"nginx2", "grafana/nginx", "ghcr.io/library/nginx", "localhost/nginx"},
		},
		"a glob under another name of Docker Hub is normalised too": {
			"index.docker.io/nginx", []string{"nginx", "docker.io/library/nginx"}, []string{"foo/nginx"},
		},
		"a glob under Docker Hub's endpoint is normalised too": {
			"registry-1.docker.io/grafana/*", []string{"grafana/grafana"}, []string{"nginx"},
		},
		"a single star is the official images": {
			"*", []string{"nginx", "docker.io/library/redis:7"}, []string{"grafana/grafana", "ghcr.io/org/app"},
		},
		"docker.io and a single star is the official images too": {
			"docker.io/*", []string{"nginx"}, []string{"grafana/grafana"},
		},
		"star slash star is Docker Hub": {
			"*/*", []string{"nginx", "grafana/grafana"}, []string{"ghcr.io/org", "ghcr.io/org/app"},
		},
		"two stars alone are every image": {
			"**", []string{"nginx", "ghcr.io/org/app@" + digest, "localhost:5000/x", "[::1]:5000/x"}, nil,
		},
		"any registry and any path is every image": {
			"*/**", []string{"nginx", "ghcr.io/app", "ghcr.io/org/app"}, nil,
		},
		"a part of any name": {
			"**demo**", []string{"demo", "ghcr.io/org/demo-app:v1", "demo.example/x", "org/x/mydemo@" + digest}, []string{"nginx", "ghcr.io/org/dem/o:demo"},
		},
		"the end of any name": {
			"**.corp.example/app", []string{"a.corp.example/app", "a.b.corp.example/app:v1", "evil.test/x.corp.example/app"}, []string{"corp.example/app", "a.corp.example/app2"},
		},
		"a part of Docker Hub's other name": {
			"**dex.docker.io/**", []string{"nginx", "org/app"}, []string{"ghcr.io/docker.io/x"},
		},
		"all of Docker Hub": {
			"docker.io/**", []string{"nginx", "grafana/grafana"}, []string{"ghcr.io/docker.io/x"},
		},
		"a prefix of official images": {
			"nginx*", []string{"nginx", "nginx-unprivileged"}, []string{"nginx/agent"},
		},
		"a last component in any registry": {
			"**/nginx", []string{"nginx", "ghcr.io/nginx", "ghcr.io/a/b/nginx"}, []string{"ghcr.io/my-nginx", "nginx/x"},
		},
		"a port is part of the registry and no tag": {
			"localhost:5000/x", []string{"localhost:5000/x", "localhost:5000/x:v1"}, []string{"localhost/x", "localhost:5001/x"},
		},
		"the default port is left out": {
			"ghcr.io:443/org/*", []string{"ghcr.io/org/app", "ghcr.io:443/org/app"}, []string{"ghcr.io:80/org/app"},
		},
		"a registry may be a glob": {
			"*.corp.example/**", []string{"registry.corp.example/a", "a.b.corp.example/a"}, []string{"corp.example/a", "corp.example.evil.example/a", "evil.example/x.corp.example/a", "r.corp.example:5000/a"},
		},
		"a registry may be a glob with a port": {
			"*:5000/app", []string{"localhost:5000/app", "registry:5000/app"}, []string{"localhost:5001/app"},
		},
		"an IPv6 registry": {
			"[::1]:5000/**", []string{"[::1]:5000/x"}, []string{"[::2]:5000/x"},
		},
		"a tag is compared": {
			"nginx:1.25", []string{"nginx:1.25", "nginx:1.25@" + digest}, []string{"nginx", "nginx:1.25.1", "nginx:1x25", "nginx@" + digest},
		},
		"latest is implied only where there is neither tag nor digest": {
			"nginx:latest", []string{"nginx", "nginx:latest"}, []string{"nginx@" + digest, "nginx:1"},
		},
		"a tag may be a glob": {
			"ghcr.io/org/app:v1.*", []string{"ghcr.io/org/app:v1.2"}, []string{"ghcr.io/org/app:v10", "ghcr.io/org/app@" + digest},
		},
		"any tag is not no tag": {
			"nginx:**", []string{"nginx", "nginx:1"}, nil,
		},
		"a digest is compared": {
			"nginx@" + digest, []string{"nginx@" + digest, "nginx:1@" + digest}, []string{"nginx", "nginx@sha256:" + strings.Repeat("0", 64)},
		},
		"some digest": {
			"**@sha256:*", []string{"nginx@" + digest}, []string{"nginx"},
		},
		"a star in place of a digest": {
			"nginx@*", []string{"nginx@" + digest}, []string{"nginx"},
		},
		"tag and digest are both compared": {
			"nginx:1@" + digest, []string{"nginx:1@" + digest}, []string{"nginx:2@" + digest, "nginx@" + digest, "nginx:1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			glob, err := ParseGlob(tc.glob)
			if err != nil {
				t.Fatal(err)
			}
			if glob.String() != tc.glob {
				t.Errorf("String() = %q", glob.String())
			}
			for _, s := range tc.matches {
				if !glob.Match(mustParse(t, s)) {
					t.Errorf("does not match %s", s)
				}
			}
			for _, s := range tc.not {
				if glob.Match(mustParse(t, s)) {
					t.Errorf("matches %s", s)
				}
			}
		})
	}
}

func TestGlobMayMatch(t *testing.T) {
	cases := map[string]struct {
		glob, ref string
		want      bool
	}{
		"a digest that is not known yet may match":        {"nginx@" + digest, "nginx:1", true},
		"another repository may not":                      {"nginx@" + digest, "redis", false},
		"another tag may not, for pinning keeps the tag":  {"nginx:2@" + digest, "nginx:1", false},
		"a known digest decides":                          {"nginx@" + digest, "nginx@sha256:" + strings.Repeat("0", 64), false},
		"a glob without digest is compared as Match does": {"nginx:1", "nginx:1", true},
		"a glob with a tag does not match a lone digest":  {"nginx:1", "nginx@" + digest, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			glob, err := ParseGlob(tc.glob)
			if err != nil {
				t.Fatal(err)
			}
			if got := glob.MayMatch(mustParse(t, tc.ref)); got != tc.want {
				t.Errorf("MayMatch = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestGlobSaysWhatItNames(t *testing.T) {
	cases := map[string]struct {
		glob        string
		tag, digest bool
	}{
		"neither":  {"localhost:5000/x", false, false},
		"a tag":    {"localhost:5000/x:1", true, false},
		"a digest": {"x@" + digest, false, true},
		"both":     {"x:1@" + digest, true, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			glob, err := ParseGlob(tc.glob)
			if err != nil {
				t.Fatal(err)
			}
			if glob.HasTag() != tc.tag || glob.HasDigest() != tc.digest {
				t.Errorf("HasTag, HasDigest = %v, %v", glob.HasTag(), glob.HasDigest())
			}
		})
	}
}

func TestTheZeroGlobMatchesNothing(t *testing.T) {
	if (Glob{}).Match(mustParse(t, "nginx")) || (Glob{}).MayMatch(mustParse(t, "nginx")) {
		t.Error("it matches")
	}
	all, err := ParseGlob("**")
	if err != nil {
		t.Fatal(err)
	}
	if all.Match(Reference{}) || all.MayMatch(Reference{}) {
		t.Error("the zero reference is matched")
	}
}

func TestParseGlobRefuses(t *testing.T) {
	cases := map[string]struct{ in, problem string }{
		"nothing":                                      {"", "is empty"},
		"a text beyond all limits":                     {strings.Repeat("*/", 600) + "a", "longer than 1024"},
		"a space":                                      {"nginx *", "printable ASCII"},
		"a question mark":                              {"ghcr.io/org/ap?", "only special characters are * and **"},
		"a character class":                            {"ghcr.io/org/[ab]", "only special characters"},
		"alternatives":                                 {"ghcr.io/{a,b}/c", "only special characters"},
		"a regular expression":                         {"^ghcr.io/.+$", "only special characters"},
		"three stars":                                  {"ghcr.io/***", "contains ***"},
		"a URL":                                        {"https://ghcr.io/**", "URL scheme"},
		"a registry without a path":                    {"ghcr.io", "write ghcr.io/** for all its images"},
		"a glob of a registry without a path":          {"*.corp.example", "names a registry only"},
		"localhost without a path":                     {"localhost:5000", "names a registry only"},
		"a registry with a trailing slash":             {"ghcr.io/", "empty path component"},
		"an empty segment":                             {"ghcr.io//**", "empty path component"},
		"two stars glued to a registry":                {"gcr.io**", "names a registry only"},
		"two stars glued to a short name":              {"nginx**", "must stand alone"},
		"two stars glued to the first of several":      {"gcr.io**/x", "must stand alone"},
		"two stars glued to a name on Docker Hub":      {"docker.io/nginx**", "write docker.io/library/nginx**"},
		"a star that may be a registry or a namespace": {"*/nginx", "may be a registry or a namespace"},
		"a partial star that may be either":            {"gcr*/nginx", "may be a registry or a namespace"},
		"a star for another name of Docker Hub":        {"*.docker.io/**", "write docker.io"},
		"upper case in a registry":                     {"GHCR.io/**", "upper-case letters in registry host"},
		"upper case in a globbed registry":             {"*.Corp.example/**", "upper-case letters in registry host"},
		"upper case in a path":                         {"ghcr.io/Org/**", "upper-case letters in path component"},
		"upper case in a globbed path":                 {"ghcr.io/Org*/**", "upper-case letters in path component"},
		"a component that no image can have":           {"ghcr.io/org_/x", "invalid path component"},
		"a globbed component that no image can have":   {"ghcr.io/a~*/x", "invalid path component"},
		"a path that is too long":                      {"ghcr.io/" + strings.Repeat("a", 256), "longer than 255"},
		"Docker Hub with a port":                       {"docker.io:443/**", "Docker Hub with a port"},
		"a star in a port":                             {"localhost:*/x", "invalid port"},
		"a globbed registry with an empty label":       {"*..example/x", "invalid registry host"},
		"a globbed registry that cannot be a host":     {"*_a.example/x", "invalid registry host"},
		"an IPv4 address in short form":                {"127.1/**", "canonical form"},
		"an empty tag":                                 {"nginx:", "invalid tag"},
		"an impossible tag":                            {"nginx:-x*", "invalid tag"},
		"no repository":                                {":v1", "names no repository"},
		"an empty digest":                              {"nginx@", "empty digest"},
		"two digests":                                  {"nginx@" + digest + "@" + digest, "malformed digest"},
		"a sha512 digest":                              {"nginx@sha512:*", "malformed digest"},
		"a digest that is too short":                   {"nginx@sha256:abcd", "too short"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ParseGlob(tc.in)
			if err == nil {
				t.Fatal("accepted")
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Kind != "image glob" {
				t.Fatalf("error is %#v", err)
			}
			if !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("error %q does not say %q", err, tc.problem)
			}
		})
	}
}

func TestManyStarsMatchInLinearTime(t *testing.T) {
	glob, err := ParseGlob("ghcr.io/" + strings.Repeat("*a", 120) + "*b")
	if err != nil {
		t.Fatal(err)
	}
	ref := mustParse(t, "ghcr.io/"+strings.Repeat("a", 250))
	start := time.Now()
	for range 10 {
		if glob.Match(ref) {
			t.Fatal("matches")
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("ten matches took %v", took)
	}
}

func mustParse(t *testing.T, s string) Reference {
	t.Helper()
	ref, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
