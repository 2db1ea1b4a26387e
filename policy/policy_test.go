// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCoverage(t *testing.T) {
	digest := digestOf("1")
	for name, tt := range map[string]struct {
		images, exclude []string
		ref             string
		covers, may     bool
	}{
		"a pattern covers its images":                       {images: []string{"corp.example/**"}, ref: "corp.example/a:1", covers: true, may: true},
		"and no others":                                     {images: []string{"corp.example/**"}, ref: "corp.example.evil.example/a:1"},
		"an exclusion takes out":                            {images: []string{"corp.example/**"}, exclude: []string{"corp.example/sandbox/**"}, ref: "corp.example/sandbox/a:1"},
		"an exclusion by tag takes out a tag":               {images: []string{"corp.example/**"}, exclude: []string{"corp.example/a:debug"}, ref: "corp.example/a:debug"},
		"an exclusion by tag does not take out a digest":    {images: []string{"corp.example/**"}, exclude: []string{"corp.example/a:debug"}, ref: "corp.example/a:debug@" + digest, covers: true, may: true},
		"an exclusion by digest takes out that digest":      {images: []string{"corp.example/**"}, exclude: []string{"corp.example/a@" + digest}, ref: "corp.example/a:debug@" + digest},
		"an exclusion by digest does not take out a tag":    {images: []string{"corp.example/**"}, exclude: []string{"corp.example/a@" + digest}, ref: "corp.example/a:1", covers: true, may: true},
		"a tag beside a digest adds coverage":               {images: []string{"corp.example/a:prod"}, ref: "corp.example/a:prod@" + digest, covers: true, may: true},
		"a pattern by digest may cover a tag":               {images: []string{"corp.example/a@" + digest}, ref: "corp.example/a:1", may: true},
		"a pattern by digest does not cover another digest": {images: []string{"corp.example/a@" + digest}, ref: "corp.example/a@" + digestOf("2")},
		"the short form of a Docker Hub image is covered":   {images: []string{"docker.io/library/*"}, ref: "nginx", covers: true, may: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := covering(t, "p", enforce, tt.images, "a")
			for _, g := range tt.exclude {
				p.exclude = append(p.exclude, parseGlob(t, g))
			}
			ref := parseReference(t, tt.ref)
			if got := [2]bool{p.covers(ref), p.mayCover(ref)}; got != [2]bool{tt.covers, tt.may} {
				t.Errorf("covers, mayCover = %v, want %v, %v", got, tt.covers, tt.may)
			}
		})
	}
}

func TestSet(t *testing.T) {
	names := func(s *Set) []string {
		var names []string
		for _, p := range s.Covering(parseReference(t, "corp.example/a:1"), Origin{}) {
			names = append(names, p.ID().Name)
		}
		return names
	}
	of := func(name string) *Policy { return covering(t, name, enforce, []string{"**"}, "a") }
	var s Set
	check := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, names(&s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	check("an empty set")
	s.Set(of("b"))
	s.Set(of("a"))
	s.Set(covering(t, "other", enforce, []string{"other.example/**"}, "a"))
	check("policies come by name", "a", "b")
	newer := of("a")
	newer.generation = 2
	s.Set(newer)
	check("a policy replaces the one of its name", "a", "b")
	if got := s.Covering(parseReference(t, "corp.example/a:1"), Origin{})[0].Generation(); got != 2 {
		t.Errorf("generation = %d, want 2", got)
	}
	s.Delete(ClusterPolicy("b"))
	s.Delete(ClusterPolicy("no such policy"))
	check("a deleted policy is gone", "a")
	s.Replace([]*Policy{of("z"), of("c"), of("c")})
	check("Replace replaces all", "c", "z")
	if s.Len() != 2 {
		t.Errorf("Len = %d, want 2", s.Len())
	}
}
