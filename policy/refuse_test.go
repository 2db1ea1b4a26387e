// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestWhatIsRefusedAcceptsNothing(t *testing.T) {
	at := func(paths ...string) (errs field.ErrorList) {
		for _, path := range paths {
			errs = append(errs, &field.Error{Type: field.ErrorTypeForbidden, Field: path, Detail: "it cannot be"})
		}
		return errs
	}
	for name, tt := range map[string]struct {
		errs field.ErrorList
		// accepts are the authorities that accept an image all the same.
		accepts string
	}{
		"nothing":                         {nil, "a b"},
		"a part of one authority":         {at("spec.authorities[0].key.data"), "b"},
		"one authority":                   {at("spec.authorities[1]"), "a"},
		"an authority that there is not":  {at("spec.authorities[10].key"), ""},
		"both":                            {at("spec.authorities[0].key", "spec.authorities[1].key"), ""},
		"all authorities":                 {at("spec.authorities"), ""},
		"something that all are bound by": {at("spec.policy"), ""},
		"something that nobody knows":     {at("spec.authoritys[0]"), ""},
		"the whole object":                {at("spec"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			pass := &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}
			p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{
				ObjectMeta: metav1.ObjectMeta{Name: "p"},
				Spec: v1alpha1.ClusterImagePolicySpec{
					Images:      []v1alpha1.ImagePattern{{Glob: "corp.example/**"}},
					Authorities: []v1alpha1.Authority{{Name: "a", Static: pass}, {Name: "b", Static: pass}},
				},
			}, Trust{})
			p.Refuse(tt.errs)
			var accepting []string
			for _, a := range p.authorities {
				switch verdict := a.fixed.(type) {
				case verify.Verified:
					accepting = append(accepting, a.name)
				case verify.Rejected:
					if verdict.Reason != verify.PolicyNotReady || !strings.Contains(verdict.Detail, "it cannot be") {
						t.Errorf("%+v", verdict)
					}
				default:
					t.Errorf("%T", verdict)
				}
			}
			if got := strings.Join(accepting, " "); got != tt.accepts {
				t.Errorf("%q accept, want %q", got, tt.accepts)
			}
			if (len(p.Problems()) > 0) != (len(accepting) < 2) {
				t.Errorf("problems %v", p.Problems())
			}
		})
	}
}

func TestARefusedPolicyWithoutAuthoritiesSaysWhy(t *testing.T) {
	p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{Images: []v1alpha1.ImagePattern{{Glob: "**"}}}}, Trust{})
	p.Refuse(field.ErrorList{{Type: field.ErrorTypeForbidden, Field: "spec.authoritys", Detail: "unknown"}})
	if len(p.Problems()) == 0 || !strings.Contains(p.Problems()[len(p.Problems())-1].Path, "spec.authoritys") {
		t.Errorf("%v", p.Problems())
	}
}

func TestWhoIsRefusedIsToldTheFirstError(t *testing.T) {
	p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{}, Trust{})
	p.Refuse(field.ErrorList{{Type: field.ErrorTypeForbidden, Field: "spec.a"}, {Type: field.ErrorTypeForbidden, Field: "spec.b"}})
	var paths []string
	for _, problem := range p.Problems() {
		paths = append(paths, problem.Path)
	}
	if told, ok := p.authorities[0].fixed.(verify.Rejected); !ok || !strings.HasPrefix(told.Detail, "spec.a: ") || !strings.HasSuffix(strings.Join(paths, " "), "spec.a spec.b") {
		t.Errorf("told %+v of the problems %q", p.authorities[0].fixed, paths)
	}
}
