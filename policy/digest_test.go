// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// The registry is the attacker's: it answers 503 while a Pod is pinned, and with
// any digest it likes while the Pod is judged. The kubelet pulls the tag.
func TestAPodWithoutADigestIsRefusedWhateverItsRegistryAnswers(t *testing.T) {
	down := errors.New("503")
	pass := authority{name: "pass", fixed: verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}}
	deny := authority{name: "deny", fixed: verify.Rejected{Reason: verify.StaticDenied, Detail: "no"}}
	key := authority{name: "k", key: keyed{accepts: "k"}}
	at := func(digit string) string { return "@" + digestOf(digit) }
	for name, tt := range map[string]struct {
		mode            v1alpha1.Mode
		images, exclude string
		authorities     []authority
		threshold       int
		resolveErr      error
		noMatch         NoMatch
		// want is the decision about the Pod as it is written, reasons those of
		// its denial; pinned is the decision about the Pod that was pinned.
		want, reasons, pinned string
	}{
		"an exclusion names the digest that it answers": {
			images: "**", exclude: "**" + at("1"), authorities: []authority{key},
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "",
		},
		"a blocked digest is not the one that it answers": {
			images: "**" + at("9"), authorities: []authority{deny},
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "",
		},
		"an allowed digest is the one that it answers": {
			images: "**" + at("1"), authorities: []authority{pass}, noMatch: NoMatchDeny,
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "p=Verified",
		},
		"an exclusion from what passes is not the digest that it answers": {
			images: "**", exclude: "**" + at("9"), authorities: []authority{pass}, noMatch: NoMatchDeny,
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "p=Verified",
		},
		"an exclusion from what passes, and it answers nothing": {
			images: "**", exclude: "**" + at("9"), authorities: []authority{pass}, resolveErr: down,
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "p=Verified",
		},
		"a blocked digest refuses for its own reason": {
			images: "**" + at("1"), authorities: []authority{deny},
			want: "p=Rejected/StaticDenied", reasons: "StaticDenied", pinned: "p=Rejected/StaticDenied",
		},
		"a key accepted beside a static authority that came first": {
			images: "**", authorities: []authority{pass, key}, threshold: 2,
			want: "p=Rejected/DigestRequired", reasons: "DigestRequired", pinned: "p=Verified",
		},
		"a static authority passes whatever the digest is": {
			images: "**", authorities: []authority{pass},
			want: "p=Verified", pinned: "p=Verified",
		},
		"a static authority passes beside a key that nobody could ask": {
			images: "**", authorities: []authority{key, pass}, resolveErr: down,
			want: "p=Verified", pinned: "p=Verified",
		},
		"a policy that warns only warns": {
			mode: warn, images: "**", exclude: "**" + at("1"), authorities: []authority{key},
			want: "p=Rejected/DigestRequired", pinned: "",
		},
		"a policy that audits one digest is no cover where an image needs one": {
			mode: audit, images: "**" + at("1"), authorities: []authority{pass}, noMatch: NoMatchDeny,
			want: "p=Rejected/DigestRequired", reasons: "NoMatchingPolicy", pinned: "p=Verified",
		},
		"a policy that audits another digest is no cover where an image needs one": {
			mode: audit, images: "**" + at("9"), authorities: []authority{pass}, noMatch: NoMatchDeny,
			want: "p=Rejected/DigestRequired", reasons: "NoMatchingPolicy", pinned: "",
		},
		"a policy that audits one digest is no cover when nobody knows the digest": {
			mode: audit, images: "**" + at("9"), authorities: []authority{pass}, noMatch: NoMatchDeny, resolveErr: down,
			want: "p=Unavailable/RegistryUnavailable", reasons: "NoMatchingPolicy", pinned: "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			mode, noMatch := tt.mode, tt.noMatch
			if mode == "" {
				mode = enforce
			}
			if noMatch == "" {
				noMatch = NoMatchAllow
			}
			p := covering(t, "p", mode, []string{tt.images})
			p.threshold, p.authorities = max(1, tt.threshold), tt.authorities
			if tt.exclude != "" {
				p.exclude = append(p.exclude, parseGlob(t, tt.exclude))
			}
			const written = "evil.example/app:1"
			evil := &scripted{digest: digestOf("1"), fresh: signed("k"), resolveErr: tt.resolveErr}
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: evil})
			got := e.Evaluate(t.Context(), Origin{}, written).RequireDigest()
			if diff := cmp.Diff(tt.want, summary(got)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			var reasons []string
			for _, r := range got.Refusals(enforce, noMatch) {
				reasons = append(reasons, string(r.Reason))
			}
			if diff := cmp.Diff(tt.reasons, strings.Join(reasons, " ")); diff != "" {
				t.Errorf("reasons of the denial (-want +got):\n%s", diff)
			}

			evil.resolveErr = nil
			reference, err := e.Pin(t.Context(), Origin{}, written)
			if err != nil {
				t.Fatal(err)
			}
			pinned := e.Evaluate(t.Context(), Origin{}, reference).RequireDigest()
			if diff := cmp.Diff(tt.pinned, summary(pinned)); diff != "" {
				t.Errorf("decision about %s, pinned (-want +got):\n%s", reference, diff)
			}
			if strings.Contains(tt.want, "DigestRequired") && reference == written {
				t.Errorf("a Pod that is refused for want of a digest was not pinned")
			}
		})
	}
}

func TestAnImageThatCannotBeReadIsNotCoveredByAnAuditPolicyAlone(t *testing.T) {
	e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", audit, []string{"corp.example/**"}, "k")), Registry: &scripted{}})
	d := e.Evaluate(t.Context(), Origin{}, "corp.example/APP:1")
	if refusals := d.Refusals(enforce, NoMatchDeny); len(refusals) != 1 || refusals[0].Reason != verify.NoMatchingPolicy {
		t.Errorf("refusals = %v, want NoMatchingPolicy", refusals)
	}
	if refusals := d.Refusals(enforce, NoMatchAllow); len(refusals) != 0 {
		t.Errorf("refusals = %v, want none where uncovered images are allowed", refusals)
	}
}

func TestAnInsecureAcceptanceIsSeenWhicheverAuthorityComesFirst(t *testing.T) {
	static := verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}
	unlogged := verify.Verified{Evidence: verify.Evidence{Format: "legacy", Signer: "key sha256:01"}}
	p := covering(t, "p", enforce, []string{"**"}, "unlogged")
	p.threshold = 2
	p.authorities = append([]authority{{name: "first", fixed: static}}, p.authorities...)
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{fresh: signed("unlogged")}})
	d := e.Evaluate(t.Context(), Origin{}, "corp.example/app@"+digestOf("1"))
	if summary(d) != "p=Verified" || !d.Policies[0].Unlogged() {
		t.Errorf("decision %s, unlogged = %v, want it to be seen", summary(d), d.Policies[0].Unlogged())
	}
	if n := counterValue(t, e.metrics.insecure.WithLabelValues("p", "insecureIgnoreTlog")); n != 1 {
		t.Errorf("insecure acceptances counted = %v, want 1", n)
	}
	if text := d.ExplainVerified(d.Policies[0]); !strings.Contains(text, "insecureIgnoreTlog") {
		t.Errorf("the text does not show it:\n%s", text)
	}
	refused := PolicyResult{Verdict: verify.Rejected{}, Authorities: []AuthorityResult{{Verdict: unlogged}}}
	if refused.Unlogged() {
		t.Error("a policy that refuses accepts nothing insecurely")
	}
}

func TestAPolicyThatNeedsNoDigestIsNotTouchedByARegistryThatHasNone(t *testing.T) {
	p := covering(t, "p", enforce, []string{"corp.example/**", "other.example/app@" + digestOf("9")})
	p.authorities = []authority{{name: "pass", fixed: verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}}}
	source := &scripted{resolveErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: source})
	if got := summary(e.Evaluate(t.Context(), Origin{}, "corp.example/app:1").RequireDigest()); got != "p=Verified" || source.resolved != 0 {
		t.Errorf("decision = %s after %d requests, want p=Verified after none", got, source.resolved)
	}
}

func TestAPolicyThatWantsDigestsRefusesTags(t *testing.T) {
	static := authority{name: "pass", fixed: verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}}
	for name, tt := range map[string]struct {
		image       string
		authorities []authority
		registry    *scripted
		want        string
	}{
		"a good image by tag": {
			"registry.corp.example/app:1", []authority{{name: "a", key: keyed{accepts: "a"}}}, &scripted{fresh: signed("a")}, "p=Rejected/DigestRequired",
		},
		"a good image by digest": {
			"registry.corp.example/app@" + digestOf("1"), []authority{{name: "a", key: keyed{accepts: "a"}}}, &scripted{fresh: signed("a")}, "p=Verified",
		},
		"an image by tag that nobody looks at":    {"registry.corp.example/app:1", []authority{static}, &scripted{}, "p=Rejected/DigestRequired"},
		"an image by digest that nobody looks at": {"registry.corp.example/app@" + digestOf("1"), []authority{static}, &scripted{}, "p=Verified"},
		"a bad image by tag says more": {
			"registry.corp.example/app:1", []authority{{name: "a", key: keyed{accepts: "a"}}}, &scripted{fresh: signed()}, "p=Rejected/NoSignature",
		},
		"an image by tag that cannot be found says more": {
			"registry.corp.example/app:1", []authority{{name: "a", key: keyed{accepts: "a"}}},
			&scripted{resolveErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}}, "p=Unavailable/RegistryUnavailable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := covering(t, "p", enforce, []string{"registry.corp.example/**"})
			p.authorities, p.requireDigest = tt.authorities, true
			tt.registry.digest = digestOf("1")
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: tt.registry})
			if got := summary(e.Evaluate(t.Context(), Origin{}, tt.image)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if tt.want == "p=Rejected/DigestRequired" {
				pinned, err := e.Pin(t.Context(), Origin{}, tt.image)
				if err != nil || summary(e.Evaluate(t.Context(), Origin{}, pinned)) != "p=Verified" {
					t.Errorf("pinned to %q, %v: %s, want it accepted", pinned, err, summary(e.Evaluate(t.Context(), Origin{}, pinned)))
				}
			}
		})
	}
}
