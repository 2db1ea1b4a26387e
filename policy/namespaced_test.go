// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// own is a compiled ImagePolicy shop/own with one authority for every image.
func own(t Trust, a v1alpha1.Authority, edit ...func(*v1alpha1.ImagePolicySpec)) *Policy {
	obj := &v1alpha1.ImagePolicy{Spec: v1alpha1.ImagePolicySpec{Images: []v1alpha1.ImagePattern{{Glob: "**"}}, Authorities: []v1alpha1.Authority{a}}}
	obj.Namespace, obj.Name = "shop", "own"
	obj.SetDefaults()
	for _, e := range edit {
		e(&obj.Spec)
	}
	return CompileOwn(context.Background(), obj, t)
}

// TestAnImagePolicyCannotWeakenWhatTheClusterDemands: whatever it says, and whatever of it
// the API server should have refused.
func TestAnImagePolicyCannotWeakenWhatTheClusterDemands(t *testing.T) {
	pass := v1alpha1.Authority{Name: "pass", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}}
	yes := true
	unlogged := v1alpha1.Authority{Name: "k", Key: &v1alpha1.KeyAuthority{Data: publicKey(t)}, CTLog: &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}}
	for name, p := range map[string]*Policy{
		"one that passes everything":     own(Trust{}, pass),
		"one that asks no log":           own(Trust{}, unlogged),
		"one that only audits":           own(Trust{}, pass, func(s *v1alpha1.ImagePolicySpec) { s.Mode = v1alpha1.ModeAudit }),
		"one that excludes the image":    own(Trust{}, pass, func(s *v1alpha1.ImagePolicySpec) { s.ExcludeImages = s.Images }),
		"one that cannot be read":        own(Trust{}, pass, func(s *v1alpha1.ImagePolicySpec) { s.Images[0].Glob = "a//b" }),
		"one with the name of the other": func() *Policy { p := own(Trust{}, pass); p.id.Name = "cluster"; return p }(),
		"one that needs no authority":    own(Trust{}, pass, func(s *v1alpha1.ImagePolicySpec) { s.Threshold = -1 }),
		"one without any authority":      own(Trust{}, pass, func(s *v1alpha1.ImagePolicySpec) { s.Authorities = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			cluster := covering(t, "cluster", enforce, []string{"**"}, "k")
			e := NewEvaluator(Options{Policies: NewSet(cluster, p), Registry: &scripted{digest: digestOf("1"), fresh: signed("another")}})
			d := e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")
			if r := find(d.Policies, ClusterPolicy("cluster")); r == nil || accepted(r.Verdict) || !strings.Contains(Denial([]Decision{d}, NoMatchAllow), `ClusterImagePolicy "cluster"`) {
				t.Errorf("the cluster's policy does not refuse the image any more: %s", summary(d))
			}
		})
	}
}

// TestAnImagePolicyDoesNotCountWhereUncoveredImagesAreRefused: otherwise its owner would
// write one to get around --no-match-policy=deny.
func TestAnImagePolicyDoesNotCountWhereUncoveredImagesAreRefused(t *testing.T) {
	p := covering(t, "own", enforce, []string{"**"}, "k")
	p.id = OwnPolicy("shop", "own")
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}})
	d := e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app@"+digestOf("1"))
	if got := summary(d); got != "shop/own=Verified" {
		t.Fatal(got)
	}
	if got := Denial([]Decision{d}, NoMatchDeny); !strings.Contains(got, "no policy of the cluster covers this image") {
		t.Errorf("denial = %q", got)
	}
	if got := Denial([]Decision{d}, NoMatchAllow); got != "" {
		t.Errorf("denial where uncovered images are allowed = %q", got)
	}
}

// TestAnImagePolicyLeadsNowhereWithCountersignsRights: what the API server should have
// refused asks nobody, and accepts nothing.
func TestAnImagePolicyLeadsNowhereWithCountersignsRights(t *testing.T) {
	yes := true
	for name, a := range map[string]v1alpha1.Authority{
		"a Secret":         {Name: "k", Key: &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "s"}}},
		"a key service":    {Name: "k", Key: &v1alpha1.KeyAuthority{KMS: "hashivault://k"}},
		"another registry": {Name: "k", Key: &v1alpha1.KeyAuthority{Data: publicKey(t)}, CTLog: &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}, Source: []v1alpha1.Source{{OCI: "metadata.internal/x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := &forbidden{t: t}
			p := own(Trust{Secrets: asked, KMS: asked, Logs: trust.LogsFromObjects(t.Context(), nil, trust.Secrets{})}, a)
			elsewhere := &scripted{fresh: signed("k")}
			registry := &scripted{digest: digestOf("1"), fresh: signed("k"), away: map[string]*scripted{"in metadata.internal/x": elsewhere}}
			got := summary(NewEvaluator(Options{Policies: NewSet(p), Registry: registry}).Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1"))
			if got != "shop/own=Rejected/PolicyNotReady" || registry.signatures+elsewhere.signatures != 0 {
				t.Errorf("%s after %d questions", got, registry.signatures+elsewhere.signatures)
			}
		})
	}
}

// forbidden fails the test when it is asked.
type forbidden struct{ t *testing.T }

func (f *forbidden) Secret(_ context.Context, name string) (map[string][]byte, error) {
	f.t.Errorf("Secret %s was read for the owner of a namespace", name)
	return nil, errors.New("forbidden")
}

func (f *forbidden) Lookup(uri string) kms.State {
	f.t.Errorf("%s was asked for the owner of a namespace", uri)
	return kms.State{}
}

// TestThePoliciesOfANamespaceAreBounded: its owner decides how many there are, and
// everybody pays for the time they take.
func TestThePoliciesOfANamespaceAreBounded(t *testing.T) {
	for n, want := range map[int]string{maxOwnPolicies: "", maxOwnPolicies + 1: "LimitExceeded", 1000: "LimitExceeded"} {
		set := NewSet(covering(t, "cluster", enforce, []string{"**"}, "k"))
		for i := range n {
			p := covering(t, "own", audit, []string{"**"}, "k")
			p.id = OwnPolicy("shop", fmt.Sprintf("own-%04d", i))
			set.Set(p)
		}
		e := NewEvaluator(Options{Policies: set, Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}})
		d := e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")
		denial := Denial([]Decision{d}, NoMatchDeny)
		if (denial != "") != (want != "") || !strings.Contains(denial, want) || len(d.Policies) > 2+maxOwnPolicies {
			t.Errorf("%d policies: %d results, denial %q; want %q", n, len(d.Policies), denial, want)
		}
		if other := e.Evaluate(t.Context(), Origin{Namespace: "dev"}, "corp.example/app:1"); summary(other) != "cluster=Verified" {
			t.Errorf("%d policies of shop: in dev %s", n, summary(other))
		}
	}
}

// BenchmarkCoveringOfNamespaces is what it costs to find the policies of one image where
// each of n namespaces has one for every image.
func BenchmarkCoveringOfNamespaces(b *testing.B) {
	ref := parseReference(b, "registry.corp.example/team-7/app:v1")
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("%d namespaces", n), func(b *testing.B) {
			policies := []*Policy{{id: ClusterPolicy("all"), images: []image.Glob{globOf(b, "**")}}}
			for i := range n {
				policies = append(policies, &Policy{id: OwnPolicy(fmt.Sprintf("team-%d", i), "own"), images: []image.Glob{globOf(b, "**")}})
			}
			set := NewSet(policies...)
			b.ReportAllocs()
			for b.Loop() {
				if got := set.Covering(ref, Origin{Namespace: "team-7"}); len(got) != 2 {
					b.Fatal(got)
				}
			}
		})
	}
}

// TestAChangeInOneNamespaceTouchesNoOther: neither the index of the cluster's policies nor
// those of other namespaces are made anew, and who asks there shares an answer all the same.
func TestAChangeInOneNamespaceTouchesNoOther(t *testing.T) {
	own := func(namespace, name string) *Policy {
		return &Policy{id: OwnPolicy(namespace, name), images: []image.Glob{globOf(t, "**")}}
	}
	set := NewSet(&Policy{id: ClusterPolicy("all"), images: []image.Glob{globOf(t, "**")}}, own("shop", "a"), own("dev", "a"), own("dev", "b"))
	ref := parseReference(t, "corp.example/app:1")
	asked := func(namespace string) question {
		c := set.load().at(namespace).covering(ref, view{Origin: Origin{Namespace: namespace}})
		return question{policies: c.asked, covering: c.key}
	}
	elsewhere, here, nowhere := asked("dev"), asked("shop"), asked("empty")
	for i, change := range []func(){
		func() { set.Set(own("shop", "a")) },
		func() { set.Set(own("shop", "b")) },
		func() { set.Delete(OwnPolicy("shop", "a")) },
		func() { set.Delete(OwnPolicy("shop", "b")) },
		func() { set.Delete(OwnPolicy("none", "b")) },
	} {
		change()
		if asked("dev") != elsewhere || asked("empty") != nowhere {
			t.Errorf("after change %d in shop, others ask something else than before", i)
		}
	}
	if asked("shop") == here {
		t.Error("shop asks what it asked before its policies changed")
	}
	if len(set.load().own) != 1 || !set.HasOwn() || set.Len() != 3 {
		t.Errorf("%d namespaces and %d policies are left", len(set.load().own), set.Len())
	}
	set.Set(&Policy{id: ClusterPolicy("all"), images: []image.Glob{globOf(t, "**")}})
	if asked("dev") == elsewhere || asked("empty") == nowhere {
		t.Error("a policy of the cluster changed, and they ask what they asked before")
	}
}

// BenchmarkAChangeAmongManyNamespaces is what a change of one ImagePolicy costs, up to the
// next decision.
func BenchmarkAChangeAmongManyNamespaces(b *testing.B) {
	ref := parseReference(b, "registry.corp.example/team-7/app:v1")
	var policies []*Policy
	for i := range 10_000 {
		policies = append(policies, &Policy{id: OwnPolicy(fmt.Sprintf("team-%d", i), "own"), images: []image.Glob{globOf(b, "**")}})
	}
	set := NewSet(policies...)
	for b.Loop() {
		set.Set(&Policy{id: OwnPolicy("team-7", "own"), images: policies[7].images})
		if got := set.Covering(ref, Origin{Namespace: "team-7"}); len(got) != 1 {
			b.Fatal(got)
		}
	}
}
