// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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
		for _, p := range set.load().cluster.policies {
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

// TestIndexFindsEveryPrefix holds it against a look at each entry, where prefixes are short and
// alike.
func TestIndexFindsEveryPrefix(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(longest int) string {
		letters := make([]byte, random.IntN(longest+1))
		for i := range letters {
			letters[i] = "ab"[random.IntN(2)]
		}
		return string(letters)
	}
	for range 2000 {
		filed := map[string][]int{}
		for i := range random.IntN(12) {
			prefix := text(5)
			filed[prefix] = append(filed[prefix], i)
		}
		repository := text(8)
		var want []int
		for prefix, policies := range filed {
			if strings.HasPrefix(repository, prefix) {
				want = append(want, policies...)
			}
		}
		got := newByRepository(filed).candidates(repository)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q among %v: got %v, want %v", repository, filed, got, want)
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

// BenchmarkCovering compares what it costs to find the one policy that covers an image among
// ten thousand, and among ten, in turns, so that whatever else the machine does hits both.
// It may be twice as much.
func BenchmarkCovering(b *testing.B) {
	ref := parseReference(b, "registry.corp.example/team-7/app:v1")
	for shape, pattern := range map[string]string{
		"one registry":      "registry.corp.example/team-%d/**",
		"exact names":       "registry.corp.example/team-%d/app",
		"names of any size": "registry.corp.example/%[2]steam-%[1]d/**",
		"many registries":   "registry-%d.corp.example/**",
	} {
		b.Run(shape, func(b *testing.B) {
			setOf := func(n int) *Set {
				policies := []*Policy{{id: ClusterPolicy("it"), images: []image.Glob{globOf(b, "registry.corp.example/team-7/**")}}}
				for i := range n - 1 {
					var glob string
					if strings.Contains(pattern, "%[2]") {
						glob = fmt.Sprintf(pattern, 10+i, strings.Repeat("a", i%120))
					} else {
						glob = fmt.Sprintf(pattern, 10+i)
					}
					policies = append(policies, &Policy{id: ClusterPolicy(fmt.Sprintf("team-%d", i)), images: []image.Glob{globOf(b, glob)}})
				}
				return NewSet(policies...)
			}
			sets := [2]*Set{setOf(10), setOf(10_000)}
			var spent [2]time.Duration
			for b.Loop() {
				for i, set := range sets {
					begin := time.Now()
					for range 100 {
						if got := set.Covering(ref, Origin{}); len(got) != 1 {
							b.Fatal(got)
						}
					}
					spent[i] += time.Since(begin)
				}
			}
			b.ReportMetric(float64(spent[1])/float64(spent[0]), "x-ten-policies")
			b.ReportMetric(float64(spent[0])/float64(b.N)/100, "ns/ten")
		})
	}
}

// TestRegistriesThatAreNamed: by policies of the cluster, in full. Whoever owns a namespace
// must not add values to labels of metrics, as many as he likes.
func TestRegistriesThatAreNamed(t *testing.T) {
	set := NewSet(&Policy{id: ClusterPolicy("unreadable"), everything: true})
	for _, text := range indexedGlobs {
		set.Set(&Policy{id: ClusterPolicy(text), images: []image.Glob{globOf(t, text)}})
	}
	set.Set(&Policy{id: OwnPolicy("shop", "mine"), images: []image.Glob{globOf(t, "theirs.example/**")}})
	for registry, want := range map[string]bool{
		"docker.io": true, "registry.corp.example": true, "registry.corp.example:5000": true, "localhost:5000": true, "ghcr.io": true,
		"ghcr.io:5000": false, "other.corp.example": false, "theirs.example": false, "": false, "quay.io": false,
	} {
		if got := set.NamesRegistry(registry); got != want {
			t.Errorf("%q: %v", registry, got)
		}
	}
}
