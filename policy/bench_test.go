// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"

	"github.com/countersign-dev/countersign/pkg/image"
)

// BenchmarkEvaluate is the cost of a decision that asks nobody: the second Pod of
// an image, among n policies of which one covers it.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{1, 10, 10_000} {
		b.Run(fmt.Sprintf("%d policies", n), func(b *testing.B) {
			set := NewSet()
			for i := range n {
				g, err := image.ParseGlob(fmt.Sprintf("registry.corp.example/team-%d/**", i))
				if err != nil {
					b.Fatal(err)
				}
				set.Set(&Policy{
					id: ClusterPolicy(fmt.Sprintf("team-%d", i)), mode: enforce, threshold: 1, images: []image.Glob{g},
					authorities: []authority{{name: "release", key: keyed{accepts: "a"}}},
				})
			}
			e := NewEvaluator(Options{Policies: set, Registry: &scripted{cached: signed("a"), isCached: true}})
			written := "registry.corp.example/team-0/app@" + digestOf("1")
			b.ReportAllocs()
			for b.Loop() {
				if d := e.Evaluate(b.Context(), Origin{}, written); summary(d) != "team-0=Verified" {
					b.Fatal(summary(d))
				}
			}
		})
	}
}
