// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/pkg/image"
)

// indexedGlobs are patterns of each shape, so that some are prefixes of others.
var indexedGlobs = []string{
	"**", "*", "*/*", "nginx", "docker.io/**", "docker.io/library/nginx:1.*", "**/nginx", "*.corp.example/**", "*.corp.example/a/*",
	"registry.corp.example/**", "registry.corp.example/a*", "registry.corp.example/a**", "registry.corp.example/a/*", "registry.corp.example/a/b",
	"registry.corp.example/a/b@sha256:*", "registry.corp.example/a-evil/**", "registry.corp.example:5000/**", "localhost:5000/x:v*", "ghcr.io/org/**", "ghcr.io/org-*/**",
}

// TestIndexLosesNoPolicy: what is found by the index is what is found by asking each.
func TestIndexLosesNoPolicy(t *testing.T) {
	set := NewSet(&Policy{id: ClusterPolicy("unreadable"), everything: true}, &Policy{id: ClusterPolicy("of nothing")})
	for i, text := range indexedGlobs {
		own, next := globOf(t, text), globOf(t, indexedGlobs[(i+7)%len(indexedGlobs)])
		set.Set(&Policy{id: ClusterPolicy(text), images: []image.Glob{own}})
		set.Set(&Policy{id: ClusterPolicy(text + " and another"), images: []image.Glob{own, next, own}})
		set.Set(&Policy{id: ClusterPolicy(text + " without some"), images: []image.Glob{own}, exclude: []image.Glob{next}})
	}
	set.Delete(ClusterPolicy("ghcr.io/org/**"))
	for _, written := range []string{
		"nginx", "nginx:1.27", "index.docker.io/library/nginx", "bitnami/nginx", "quay.io/nginx", "quay.io/a/b/nginx:v1",
		"registry.corp.example/a", "registry.corp.example/a/b", "registry.corp.example/a/b/c", "registry.corp.example/ab", "registry.corp.example/a-evil/x",
		"registry.corp.example/a/b@" + digestOf("1"), "registry.corp.example:5000/a/b", "other.corp.example/a/b", "localhost:5000/x:v1", "localhost:5000/x:w1",
		"ghcr.io/org/x", "ghcr.io/org-evil/x", "ghcr.io/o",
	} {
		ref, err := image.Parse(written)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, p := range set.load().policies {
			if p.mayCover(ref) {
				want = append(want, p.id.Name)
			}
		}
		for _, p := range set.Covering(ref, Origin{}) {
			got = append(got, p.id.Name)
		}
		if !slices.Equal(got, want) || len(want) < 2 {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
}

func globOf(t testing.TB, text string) image.Glob {
	t.Helper()
	g, err := image.ParseGlob(text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// BenchmarkCovering is what it costs to find, among n policies, the one that covers an
// image. Ten thousand may cost at most twice what ten do.
func BenchmarkCovering(b *testing.B) {
	ref, err := image.Parse("registry.corp.example/team-7/app:v1")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("%d policies", n), func(b *testing.B) {
			var policies []*Policy
			for i := range n {
				policies = append(policies, &Policy{
					id:     ClusterPolicy(fmt.Sprintf("team-%d", i)),
					images: []image.Glob{globOf(b, fmt.Sprintf("registry.corp.example/team-%d/**", i))},
				})
			}
			set := NewSet(policies...)
			b.ReportAllocs()
			for b.Loop() {
				if got := set.Covering(ref, Origin{}); len(got) != 1 {
					b.Fatal(got)
				}
			}
		})
	}
}
