// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestSelect(t *testing.T) {
	yes, no := true, false
	at := func(name string, owners []metav1.OwnerReference, urls ...string) *v1alpha1.TransparencyLog {
		return object(t, func(l *v1alpha1.TransparencyLog) {
			l.Name, l.OwnerReferences, l.Spec.URLs = name, owners, urls
		})
	}
	owner := func(edit func(*metav1.OwnerReference)) []metav1.OwnerReference {
		ref := ownerReference(&v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "corp"}})
		if edit != nil {
			edit(&ref)
		}
		return []metav1.OwnerReference{ref}
	}
	logs := memoryLogs(nil)
	broken := at("broken", nil, "https://broken.test")
	broken.Spec.PublicKey.Data = "x"
	marked := at("marked", nil, "https://marked.test")
	marked.Spec.Default = &yes
	for _, log := range []*v1alpha1.TransparencyLog{
		at("a", nil, "https://a.test"),
		at("replicas", nil, "https://a2.test/rekor", "https://a.test/"),
		at("corp-1", owner(nil), "https://one.test"),
		at("corp-2", owner(nil), "https://two.test:8443/log/"),
		at("another-kind", owner(func(o *metav1.OwnerReference) { o.Kind = "ConfigMap" }), "https://x.test"),
		at("another-group", owner(func(o *metav1.OwnerReference) { o.APIVersion = "policy.sigstore.dev/v1alpha1" }), "https://x.test", "https://a.test", "https://theirs.test"),
		at("another-root", owner(func(o *metav1.OwnerReference) { o.Name = "corp-2" }), "https://x.test"),
		at("not-its-controller", owner(func(o *metav1.OwnerReference) { o.Controller = &no }), "https://x.test"),
		at("not-its-controller-either", owner(func(o *metav1.OwnerReference) { o.Controller = nil }), "https://x.test"),
		marked,
	} {
		if err := logs.Set(t.Context(), log); err != nil {
			t.Fatal(err)
		}
	}
	_ = logs.Set(t.Context(), broken) // it is meant to fail
	for name, test := range map[string]struct {
		ask  *v1alpha1.CTLog
		want []string
		err  error
	}{
		"nothing in particular":          {nil, []string{"marked"}, nil},
		"a log by name":                  {&v1alpha1.CTLog{LogRefs: []string{"a"}}, []string{"a"}, nil},
		"two logs by name":               {&v1alpha1.CTLog{LogRefs: []string{"corp-1", "a"}, Threshold: 2}, []string{"corp-1", "a"}, nil},
		"a log that does not exist":      {&v1alpha1.CTLog{LogRefs: []string{"a", "none"}}, nil, ErrLogNotFound},
		"a log that cannot be used":      {&v1alpha1.CTLog{LogRefs: []string{"a", "broken"}}, nil, ErrLogNotReady},
		"a URL":                          {&v1alpha1.CTLog{URL: "https://one.test"}, []string{"corp-1"}, nil},
		"a URL of two logs":              {&v1alpha1.CTLog{URL: "https://a.test"}, []string{"a", "replicas"}, nil},
		"a URL with a slash more":        {&v1alpha1.CTLog{URL: "https://one.test/"}, []string{"corp-1"}, nil},
		"a URL with a slash less":        {&v1alpha1.CTLog{URL: "https://two.test:8443/log"}, []string{"corp-2"}, nil},
		"a URL with a host in capitals":  {&v1alpha1.CTLog{URL: "HTTPS://One.Test"}, []string{"corp-1"}, nil},
		"a URL with a path in capitals":  {&v1alpha1.CTLog{URL: "https://two.test:8443/LOG"}, nil, ErrLogNotFound},
		"a URL of another port":          {&v1alpha1.CTLog{URL: "https://two.test/log"}, nil, ErrLogNotFound},
		"a URL of another scheme":        {&v1alpha1.CTLog{URL: "http://one.test"}, nil, ErrLogNotFound},
		"a URL that begins like another": {&v1alpha1.CTLog{URL: "https://one.test.evil"}, nil, ErrLogNotFound},
		"a URL that is none":             {&v1alpha1.CTLog{URL: "https://[::1"}, nil, ErrLogNotFound},
		"a URL of a log that has none":   {&v1alpha1.CTLog{URL: "https://broken.test"}, nil, ErrLogNotReady},
		"a trust root":                   {&v1alpha1.CTLog{TrustRootRef: "corp"}, []string{"corp-1", "corp-2"}, nil},
		"a trust root, both of its logs": {&v1alpha1.CTLog{TrustRootRef: "corp", Threshold: 2}, []string{"corp-1", "corp-2"}, nil},
		"the URL of a log that a trust root of policy.sigstore.dev owns": {&v1alpha1.CTLog{URL: "https://theirs.test"}, nil, ErrLogNotFound},
		"a trust root of policy.sigstore.dev":                            {&v1alpha1.CTLog{TrustRootRef: v1alpha1.SigstoreName("corp")}, []string{"another-group"}, nil},
		"a trust root without logs":                                      {&v1alpha1.CTLog{TrustRootRef: "empty"}, nil, ErrLogNotFound},
		"a log of a trust root":                                          {&v1alpha1.CTLog{TrustRootRef: "corp", URL: "https://two.test:8443/log"}, []string{"corp-2"}, nil},
		"a trust root, and a URL elsewhere":                              {&v1alpha1.CTLog{TrustRootRef: "corp", URL: "https://a.test"}, nil, ErrLogNotFound},
		"no log at all":                                                  {&v1alpha1.CTLog{InsecureIgnoreTlog: &yes, LogRefs: nil}, nil, ErrLogNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			provers, err := logs.Select(test.ask)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v; want %v", err, test.err)
			}
			var got []string
			for _, prover := range provers {
				got = append(got, prover.Log().Name())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("logs (-want +got):\n%s", diff)
			}
		})
	}
	_, err := logs.Select(&v1alpha1.CTLog{TrustRootRef: "empty", URL: "https://a.test"})
	if err == nil || !strings.HasSuffix(err.Error(), `none is owned by TrustRoot "empty" and has the URL "https://a.test"`) {
		t.Errorf("error %v, which does not say what was looked for", err)
	}
}
