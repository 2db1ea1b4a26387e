// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// shelves is a Registry with an index, and what lies beside each digest.
type shelves struct {
	*scripted
	platforms []registry.Platform
	err       error
	signed    map[string]string // key by digest
}

func (s *shelves) Platforms(context.Context, image.Reference, string) ([]registry.Platform, error) {
	return s.platforms, s.err
}

func (s *shelves) Signatures(_ context.Context, _ image.Reference, digest string, _ registry.Source) ([]verify.Signature, error) {
	if by, ok := s.signed[digest]; ok {
		return signed(by), nil
	}
	return nil, nil
}

func TestEachPlatformIsJudged(t *testing.T) {
	index, amd, arm := digestOf("1"), digestOf("a"), digestOf("b")
	two := []registry.Platform{{Name: "linux/amd64", Digest: amd}, {Name: "linux/arm64", Digest: arm}}
	const all, whole = v1alpha1.PlatformsAll, v1alpha1.PlatformsIndex
	for name, tt := range map[string]struct {
		rule   v1alpha1.Platforms
		source shelves
		want   verify.Reason
		says   string
	}{
		"index: the index is signed, its platforms are not":      {rule: whole, source: shelves{platforms: two, signed: map[string]string{index: "a"}}},
		"index: the platforms are signed, the index is not":      {rule: whole, source: shelves{platforms: two, signed: map[string]string{amd: "a", arm: "a"}}, want: verify.NoSignature},
		"nothing is said: as index":                              {source: shelves{platforms: two, signed: map[string]string{index: "a"}}},
		"all: each platform is signed":                           {rule: all, source: shelves{platforms: two, signed: map[string]string{amd: "a", arm: "a"}}},
		"all: the index alone is signed":                         {rule: all, source: shelves{platforms: two, signed: map[string]string{index: "a"}}, want: verify.NoSignature, says: "linux/amd64 (" + amd},
		"all: the first platform alone is signed":                {rule: all, source: shelves{platforms: two, signed: map[string]string{index: "a", amd: "a"}}, want: verify.NoSignature, says: "linux/arm64 (" + arm},
		"all: the last platform alone is signed":                 {rule: all, source: shelves{platforms: two, signed: map[string]string{index: "a", arm: "a"}}, want: verify.NoSignature, says: "linux/amd64 (" + amd},
		"all: one is signed by another":                          {rule: all, source: shelves{platforms: two, signed: map[string]string{amd: "a", arm: "b"}}, want: verify.NoSignature, says: "linux/arm64 (" + arm},
		"all: an image that is no index is signed":               {rule: all, source: shelves{signed: map[string]string{index: "a"}}},
		"all: an image that is no index is not":                  {rule: all, source: shelves{}, want: verify.NoSignature},
		"all: the index cannot be had":                           {rule: all, source: shelves{err: failing(verify.RegistryUnavailable), signed: map[string]string{index: "a"}}, want: verify.RegistryUnavailable},
		"all: the index cannot be read":                          {rule: all, source: shelves{err: failing(verify.ImageNotFound), signed: map[string]string{index: "a"}}, want: verify.ImageNotFound},
		"a rule that nobody knows: each platform, the strictest": {rule: "some", source: shelves{platforms: two, signed: map[string]string{index: "a"}}, want: verify.NoSignature},
	} {
		t.Run(name, func(t *testing.T) {
			object := &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{
				Platforms: tt.rule, Images: []v1alpha1.ImagePattern{{Glob: "registry.corp.example/**"}},
			}}
			p := Compile(t.Context(), object, Trust{})
			p.authorities, p.threshold = []authority{{name: "release-key", key: keyed{accepts: "a"}}}, 1
			tt.source.scripted = &scripted{}
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: &tt.source})
			r := e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+index).Policies[0]
			_, reason, _ := Outcome(r.Verdict)
			if reason != tt.want {
				t.Fatalf("%v, want %q", r.Verdict, tt.want)
			}
			if len(r.Authorities) > 0 {
				if _, _, detail := Outcome(r.Authorities[0].Verdict); !strings.Contains(detail, tt.says) {
					t.Errorf("it says %q, not that it is about %s", detail, tt.says)
				}
			}
		})
	}
	t.Run("a registry's client that cannot tell admits nothing", func(t *testing.T) {
		p := covering(t, "all", enforce, []string{"registry.corp.example/**"})
		p.eachPlatform, p.authorities = true, []authority{{name: "release-key", key: keyed{accepts: "a"}}}
		e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{fresh: signed("a")}})
		r := e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+index).Policies[0]
		if _, reason, _ := Outcome(r.Verdict); reason != verify.RegistryUnavailable {
			t.Errorf("%v, want RegistryUnavailable", r.Verdict)
		}
	})
}

// TestALenientPlatformMarksTheImage: that all others were verified in full does not
// hide it.
func TestALenientPlatformMarksTheImage(t *testing.T) {
	lenient := &Leniency{Rule: v1alpha1.OnUnavailableAllowPreviouslyVerified}
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	source := &shelves{scripted: o.registry, signed: map[string]string{digestOf("a"): "a", digestOf("b"): "a", digestOf("c"): "a"}}
	for _, digit := range []string{"a", "b", "c"} {
		source.platforms = append(source.platforms, registry.Platform{Name: digit, Digest: digestOf(digit)})
	}
	o.policy.eachPlatform = true
	o.registry.cached, o.registry.isCached = nil, false
	e := NewEvaluator(Options{Policies: NewSet(o.policy), Registry: source})
	ask := func() PolicyResult {
		return e.Evaluate(t.Context(), Origin{}, outageImage+strings.Repeat("1", 64)).Policies[0]
	}
	if r := ask(); !accepted(r.Verdict) || r.Leniency() != nil {
		t.Fatalf("before the outage: %v", r.Verdict)
	}
	e = NewEvaluator(Options{Policies: NewSet(o.policy), Registry: &halfAway{source}})
	if r := ask(); !accepted(r.Verdict) || r.Leniency() == nil || r.Leniency().Rule != lenient.Rule {
		t.Errorf("%v with %+v, want it accepted leniently", r.Verdict, r.Leniency())
	}
}

// halfAway is down for one platform.
type halfAway struct{ *shelves }

func (h *halfAway) Signatures(ctx context.Context, ref image.Reference, digest string, from registry.Source) ([]verify.Signature, error) {
	if digest == digestOf("b") {
		return nil, failing(verify.RegistryUnavailable)
	}
	return h.shelves.Signatures(ctx, ref, digest, from)
}
