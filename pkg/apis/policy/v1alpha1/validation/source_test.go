// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestSources(t *testing.T) {
	const at = "spec.authorities[0].source"
	prefixes := func(n int, first string) []v1alpha1.Source {
		var all []v1alpha1.Source
		for i := range n {
			all = append(all, v1alpha1.Source{TagPrefix: first + strings.Repeat("x", i)})
		}
		return all
	}
	named := func(names ...string) (secrets []v1alpha1.SecretReference) {
		for _, name := range names {
			secrets = append(secrets, v1alpha1.SecretReference{Name: name})
		}
		return secrets
	}
	for name, tc := range map[string]struct {
		sources []v1alpha1.Source
		want    []string
	}{
		"a repository":                  {[]v1alpha1.Source{{OCI: "registry.example:5000/signatures"}}, nil},
		"a prefix":                      {[]v1alpha1.Source{{TagPrefix: "release-"}}, nil},
		"one repository, two prefixes":  {[]v1alpha1.Source{{OCI: "registry.example/s", TagPrefix: "a"}, {OCI: "registry.example/s", TagPrefix: "b"}}, nil},
		"as many as there may be":       {prefixes(maxSources, "a"), nil},
		"pull secrets":                  {[]v1alpha1.Source{{OCI: "registry.example/s", SignaturePullSecrets: named("a", "b")}}, nil},
		"pull secrets alone":            {[]v1alpha1.Source{{SignaturePullSecrets: named("a")}}, nil},
		"a pull secret twice":           {[]v1alpha1.Source{{SignaturePullSecrets: named("a", "a")}}, []string{at + "[0].signaturePullSecrets[1]"}},
		"a pull secret without a name":  {[]v1alpha1.Source{{SignaturePullSecrets: named("")}}, []string{at + "[0].signaturePullSecrets[0].name"}},
		"a path in place of a name":     {[]v1alpha1.Source{{SignaturePullSecrets: named("../a")}}, []string{at + "[0].signaturePullSecrets[0].name"}},
		"too many pull secrets":         {[]v1alpha1.Source{{SignaturePullSecrets: named("a", "b", "c", "d", "e")}}, []string{at + "[0].signaturePullSecrets"}},
		"one place, other credentials":  {[]v1alpha1.Source{{TagPrefix: "a", SignaturePullSecrets: named("a")}, {TagPrefix: "a"}}, []string{at + "[1]"}},
		"neither":                       {[]v1alpha1.Source{{}}, []string{at + "[0]"}},
		"a tag":                         {[]v1alpha1.Source{{OCI: "registry.example/s:v1"}}, []string{at + "[0].oci"}},
		"a digest":                      {[]v1alpha1.Source{{OCI: "registry.example/s@sha256:" + strings.Repeat("a", 64)}}, []string{at + "[0].oci"}},
		"a registry alone":              {[]v1alpha1.Source{{OCI: "registry.example"}}, []string{at + "[0].oci"}},
		"a name without a registry":     {[]v1alpha1.Source{{OCI: "org/signatures"}}, []string{at + "[0].oci"}},
		"a URL":                         {[]v1alpha1.Source{{OCI: "oci://registry.example/s"}}, []string{at + "[0].oci"}},
		"a host in upper case":          {[]v1alpha1.Source{{OCI: "Registry.example/s"}}, []string{at + "[0].oci"}},
		"an address in another form":    {[]v1alpha1.Source{{OCI: "127.1/s"}}, []string{at + "[0].oci"}},
		"a repository without end":      {[]v1alpha1.Source{{OCI: "registry.example/" + strings.Repeat("s", maxOCI)}}, []string{at + "[0].oci"}},
		"a prefix that is no tag":       {[]v1alpha1.Source{{OCI: "registry.example/s"}, {TagPrefix: "a/b"}}, []string{at + "[1].tagPrefix"}},
		"a prefix that leaves no room":  {[]v1alpha1.Source{{TagPrefix: strings.Repeat("a", maxTagPrefix+1)}}, []string{at + "[0].tagPrefix"}},
		"a repository twice":            {[]v1alpha1.Source{{OCI: "registry.example/s"}, {OCI: "registry.example/s"}}, []string{at + "[1]"}},
		"a repository under two names":  {[]v1alpha1.Source{{OCI: "docker.io/org/s"}, {OCI: "index.docker.io/org/s"}}, []string{at + "[1]"}},
		"a repository with and without": {[]v1alpha1.Source{{OCI: "registry.example/s"}, {OCI: "registry.example:443/s"}}, []string{at + "[1]"}},
		"too many":                      {prefixes(maxSources+1, "a"), []string{at}},
	} {
		t.Run(name, func(t *testing.T) {
			p := keylessPolicy()
			p.Spec.Authorities[0].Source = tc.sources
			if diff := cmp.Diff(tc.want, where(t, ClusterImagePolicy(p), "")); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("too many in all authorities together", func(t *testing.T) {
		p := keylessPolicy()
		for i, first := range []string{"a", "b", "c"} {
			a := p.Spec.Authorities[0].DeepCopy()
			a.Name, a.Source = first, prefixes(maxSources, first)
			p.Spec.Authorities = append(p.Spec.Authorities[:i], *a)
		}
		want := []string{"spec.authorities[2].source[0]"}
		if diff := cmp.Diff(want, where(t, ClusterImagePolicy(p), "")); diff != "" {
			t.Errorf("fields with errors (-want +got):\n%s", diff)
		}
	})
	t.Run("a static authority looks nowhere", func(t *testing.T) {
		p := keylessPolicy()
		p.Spec.Authorities[0] = v1alpha1.Authority{
			Name: "base", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail}, Source: []v1alpha1.Source{{TagPrefix: "a"}},
		}
		if diff := cmp.Diff([]string{"spec.authorities[0].static"}, where(t, ClusterImagePolicy(p), "")); diff != "" {
			t.Errorf("fields with errors (-want +got):\n%s", diff)
		}
	})
}
