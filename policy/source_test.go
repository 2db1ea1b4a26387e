// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// sourceAt is a repository as a source.
func sourceAt(t *testing.T, repository string) registry.Source {
	t.Helper()
	parsed, err := image.ParseRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Source{Repository: parsed}
}

func TestEvidenceCountsFromTheSourcesOfTheAuthority(t *testing.T) {
	down := &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}
	tooMuch := &registry.Error{Reason: verify.LimitExceeded, Detail: "too much"}
	one, two := sourceAt(t, "one.example/sigs"), sourceAt(t, "two.example/sigs")
	both := []registry.Source{one, two}
	known := func(by ...string) *scripted { return &scripted{cached: signed(by...), isCached: true, freshErr: down} }
	type authorities map[string][]registry.Source // by name, which is what it accepts
	for name, tt := range map[string]struct {
		authorities      authorities
		threshold        int
		beside, one, two *scripted
		want             string
		// asked is how often each was asked for signatures.
		asked [3]int
	}{
		"in the source that is named": {
			authorities{"a": {one}}, 1, &scripted{}, &scripted{fresh: signed("a")}, &scripted{}, "p=Verified", [3]int{0, 1, 0},
		},
		"in the second of two": {
			authorities{"a": both}, 1, &scripted{}, &scripted{fresh: signed("b")}, &scripted{fresh: signed("a")}, "p=Verified", [3]int{0, 1, 1},
		},
		"beside the image, where a source is named in its place": {
			authorities{"a": {one}}, 1, &scripted{fresh: signed("a")}, &scripted{}, &scripted{}, "p=Rejected/NoSignature", [3]int{0, 1, 0},
		},
		"beside the image, where that is one of the sources": {
			authorities{"a": {one, {}}}, 1, &scripted{fresh: signed("a")}, &scripted{}, &scripted{}, "p=Verified", [3]int{1, 1, 0},
		},
		"in a source, while another is down": {
			authorities{"a": both}, 1, &scripted{}, &scripted{freshErr: down}, &scripted{fresh: signed("a")}, "p=Verified", [3]int{0, 1, 1},
		},
		"nowhere, while a source is down, which is not to say that there is none": {
			authorities{"a": both}, 1, &scripted{}, &scripted{freshErr: down}, &scripted{}, "p=Unavailable/RegistryUnavailable", [3]int{0, 1, 1},
		},
		"by another key, while a source is down": {
			authorities{"a": both}, 1, &scripted{}, &scripted{fresh: signed("b")}, &scripted{freshErr: down}, "p=Unavailable/RegistryUnavailable", [3]int{0, 1, 1},
		},
		"in a source, while another sends too much": {
			authorities{"a": both}, 1, &scripted{}, &scripted{freshErr: tooMuch}, &scripted{fresh: signed("a")}, "p=Verified", [3]int{0, 1, 1},
		},
		"nowhere, while a source sends too much": {
			authorities{"a": both}, 1, &scripted{}, &scripted{freshErr: tooMuch}, &scripted{}, "p=Rejected/LimitExceeded", [3]int{0, 1, 1},
		},
		"nowhere, while a source sends too much and the next is down": {
			authorities{"a": both}, 1, &scripted{}, &scripted{freshErr: tooMuch}, &scripted{freshErr: down}, "p=Unavailable/RegistryUnavailable", [3]int{0, 1, 1},
		},
		"for two authorities, each in its own source": {
			authorities{"a": {one}, "b": {two}}, 2, &scripted{}, &scripted{fresh: signed("a")}, &scripted{fresh: signed("b")}, "p=Verified", [3]int{0, 1, 1},
		},
		"for two authorities, each in the other's source": {
			authorities{"a": {one}, "b": {two}}, 2, &scripted{}, &scripted{fresh: signed("b")}, &scripted{fresh: signed("a")}, "p=Rejected/NoSignature", [3]int{0, 1, 1},
		},
		"for the first of two alternatives: the other's source is not asked": {
			authorities{"a": {one}, "b": {two}}, 1, &scripted{}, &scripted{fresh: signed("a")}, &scripted{}, "p=Verified", [3]int{0, 1, 0},
		},
		"for an authority without a source, which another's is none of": {
			authorities{"a": nil, "b": {one}}, 2, &scripted{fresh: signed("b")}, &scripted{fresh: signed("a", "b")}, &scripted{}, "p=Rejected/NoSignature", [3]int{1, 1, 0},
		},
		"in one source for two authorities, which is asked once": {
			authorities{"a": {one}, "b": {one}}, 2, &scripted{}, &scripted{fresh: signed("a", "b")}, &scripted{}, "p=Verified", [3]int{0, 1, 0},
		},
		"known in a source: no request": {
			authorities{"a": both}, 1, &scripted{}, known("a"), known("b"), "p=Verified", [3]int{0, 0, 0},
		},
		"known by another key, and good in the source where nothing was known": {
			authorities{"a": both}, 1, &scripted{}, known("b"), &scripted{fresh: signed("a")}, "p=Verified", [3]int{0, 1, 1},
		},
		"known for one of two authorities: only the other's source is asked": {
			authorities{"a": {one}, "b": {two}}, 2, &scripted{}, known("a"), &scripted{fresh: signed("b")}, "p=Verified", [3]int{0, 0, 1},
		},
		"known for one of two authorities, while the other's source is down": {
			authorities{"a": {one}, "b": {two}}, 2, &scripted{}, known("a"), known("x"), "p=Unavailable/RegistryUnavailable", [3]int{0, 0, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a", "b")
			p.threshold = tt.threshold
			for i := range p.authorities {
				p.authorities[i].sources = tt.authorities[p.authorities[i].name]
			}
			p.authorities = p.authorities[:len(tt.authorities)]
			tt.beside.away = map[string]*scripted{one.String(): tt.one, two.String(): tt.two}
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: tt.beside})
			if got := summary(e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+digestOf("1"))); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.asked, [3]int{tt.beside.signatures, tt.one.signatures, tt.two.signatures}); diff != "" {
				t.Errorf("asked beside the image, one and two (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAttestationsAreFetchedFromTheSourcesOfWhoAsksForThem(t *testing.T) {
	one, two := sourceAt(t, "one.example/sigs"), sourceAt(t, "two.example/sigs")
	p := covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a", "b")
	p.threshold = 2
	p.authorities[0].key, p.authorities[0].sources = attesting{keyed{accepts: "a"}}, []registry.Source{one}
	p.authorities[1].sources = []registry.Source{two}
	s := &scripted{away: map[string]*scripted{one.String(): {attested: signed("a")}, two.String(): {fresh: signed("b"), attested: signed("a")}}}
	d := NewEvaluator(Options{Policies: NewSet(p), Registry: s}).Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+digestOf("1"))
	if got := summary(d); got != "p=Verified" {
		t.Error(got)
	}
	got := [3]int{s.attestations, s.away[one.String()].attestations, s.away[two.String()].attestations}
	if diff := cmp.Diff([3]int{0, 1, 0}, got); diff != "" {
		t.Errorf("asked for attestations beside the image, in one and two (-want +got):\n%s", diff)
	}
}

func TestADenialSaysWhereItWasLookedFor(t *testing.T) {
	one := sourceAt(t, "one.example/sigs")
	for name, tt := range map[string]struct {
		sources []registry.Source
		says    string
		not     string
	}{
		"beside the image, as everywhere": {nil, "no signature was found", "looked"},
		"in the sources that are named": {
			[]registry.Source{one, {TagPrefix: "rel-"}},
			`no signature was found; looked in one.example/sigs, and beside the image (tags that begin with "rel-")`, "nowhere",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := covering(t, "p", enforce, []string{"**"}, "a")
			p.authorities[0].sources = tt.sources
			s := &scripted{away: map[string]*scripted{}}
			for _, from := range tt.sources {
				s.away[from.String()] = &scripted{}
			}
			d := NewEvaluator(Options{Policies: NewSet(p), Registry: s}).Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+digestOf("1"))
			if text := Denial([]Decision{d}, NoMatchAllow); !strings.Contains(text, tt.says) || strings.Contains(text, tt.not) {
				t.Errorf("it does not say %q, or says %q:\n%s", tt.says, tt.not, text)
			}
		})
	}
}

func TestAPanicWhileASourceIsAskedIsARefusal(t *testing.T) {
	p := covering(t, "p", enforce, []string{"**"}, "a")
	p.authorities[0].sources = []registry.Source{{}, sourceAt(t, "nobody.example/answers")}
	p.authorities[0].key = keyed{accepts: "a"}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: &panicking{scripted{away: map[string]*scripted{"in nobody.example/answers": {}}}}})
	if got, want := summary(e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+digestOf("1"))), "p=Rejected/PolicyNotReady"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := counterValue(t, e.metrics.panics); n != 1 {
		t.Errorf("panics counted = %v, want 1", n)
	}
}

func TestCompileSources(t *testing.T) {
	one, two := sourceAt(t, "one.example/sigs"), sourceAt(t, "two.example/sigs")
	two.TagPrefix = "rel-"
	for name, tt := range map[string]struct {
		sources []v1alpha1.Source
		want    []registry.Source
		path    string
	}{
		"none":                  {nil, nil, ""},
		"two":                   {[]v1alpha1.Source{{OCI: "one.example/sigs"}, {OCI: "two.example/sigs", TagPrefix: "rel-"}}, []registry.Source{one, two}, ""},
		"a prefix":              {[]v1alpha1.Source{{TagPrefix: "rel-"}}, []registry.Source{{TagPrefix: "rel-"}}, ""},
		"one twice is one":      {[]v1alpha1.Source{{OCI: "one.example/sigs"}, {OCI: "one.example/sigs"}}, []registry.Source{one}, ""},
		"a tag":                 {[]v1alpha1.Source{{OCI: "one.example/sigs:v1"}}, nil, "spec.authorities[0].source[0].oci"},
		"a prefix that is none": {[]v1alpha1.Source{{OCI: "one.example/sigs"}, {TagPrefix: "../"}}, nil, "spec.authorities[0].source[1].tagPrefix"},
		"too many": {
			[]v1alpha1.Source{{TagPrefix: "1"}, {TagPrefix: "2"}, {TagPrefix: "3"}, {TagPrefix: "4"}, {TagPrefix: "5"}, {TagPrefix: "6"}, {TagPrefix: "7"}, {TagPrefix: "8"}, {TagPrefix: "9"}},
			nil, "spec.authorities[0].source[8]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := (&Policy{}).compileSources(t.Context(), tt.sources, "spec.authorities[0].source", trust.Secrets{})
			path := ""
			if problem != nil {
				path = problem.path
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b registry.Source) bool { return a == b })); diff != "" || path != tt.path {
				t.Errorf("problem at %q, want %q (-want +got):\n%s", path, tt.path, diff)
			}
		})
	}
}

func TestSignaturePullSecretsAreThoseOfTheSource(t *testing.T) {
	secrets := trust.Secrets{
		"pull":   {".dockerconfigjson": []byte(`{"auths":{"one.example":{"username":"u","password":"p"}}}`)},
		"old":    {".dockercfg": []byte(`{"one.example":{"username":"o","password":"p"}}`)},
		"broken": {".dockerconfigjson": []byte(`{"auths":{"one.example":"hunter2"`)},
		"other":  {"cosign.pub": []byte("hunter2")},
	}
	named := func(names ...string) v1alpha1.Source {
		s := v1alpha1.Source{OCI: "one.example/sigs"}
		for _, name := range names {
			s.SignaturePullSecrets = append(s.SignaturePullSecrets, v1alpha1.SecretReference{Name: name})
		}
		return s
	}
	const path = "spec.authorities[0].source"
	p := &Policy{}
	got, problem := p.compileSources(t.Context(), []v1alpha1.Source{named("pull", "old"), named("pull", "old"), named("old")}, path, secrets)
	if problem != nil || len(got) != 2 || len(p.sources) != 2 {
		t.Fatalf("%v, %v", got, problem)
	}
	for i, want := range []int{2, 1} {
		if found := got[i].Credentials.Lookup(got[i].Repository.Name()); len(found) != want || strings.Contains(found[0].Owner, "pull") {
			t.Errorf("source %d has %v", i, found)
		}
	}
	again, problem := p.compileSources(t.Context(), []v1alpha1.Source{named("old")}, path, secrets)
	if problem != nil || again[0] != got[1] || len(p.sources) != 2 {
		t.Errorf("the same source of another authority is another one: %v", again)
	}
	for name, at := range map[string]string{"gone": "[1]", "broken": "[1]", "other": "[1]"} {
		_, problem := (&Policy{}).compileSources(t.Context(), []v1alpha1.Source{named("pull", name)}, path, secrets)
		if problem == nil || problem.path != path+"[0].signaturePullSecrets"+at || !strings.Contains(problem.Error(), name) || strings.Contains(problem.Error(), "hunter2") {
			t.Errorf("%s: %v", name, problem)
		}
	}
}
