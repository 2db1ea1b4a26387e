// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

func TestConnectionOfALog(t *testing.T) {
	_, private := keys(t)
	authority := trusttest.NewCA("rekor", time.Now().Add(time.Hour)).PEM(1)
	yes := true
	type spec = v1alpha1.TransparencyLogSpec
	withTLS := func(tls v1alpha1.LogTLS) func(*spec) { return func(s *spec) { s.TLS = &tls } }
	withAuth := func(auth v1alpha1.LogAuth) func(*spec) { return func(s *spec) { s.Auth = &auth } }
	named := func(name string) *v1alpha1.SecretReference { return &v1alpha1.SecretReference{Name: name} }
	tests := map[string]struct {
		edit func(*spec)
		want []string
	}{
		"eight replicas":                   {func(s *spec) { s.URLs = slices.Repeat(s.URLs, 8) }, nil},
		"nine replicas":                    {func(s *spec) { s.URLs = slices.Repeat(s.URLs, 9) }, []string{"spec.urls"}},
		"the third replica has a password": {func(s *spec) { s.URLs = append(s.URLs, "https://b", "https://u:p@c") }, []string{"spec.urls[2]"}},
		"a private authority":              {withTLS(v1alpha1.LogTLS{CABundle: authority}), nil},
		"two private authorities":          {withTLS(v1alpha1.LogTLS{CABundle: authority + authority}), nil},
		"an authority that is none":        {withTLS(v1alpha1.LogTLS{CABundle: "x"}), []string{"spec.tls.caBundle"}},
		"a private key for an authority":   {withTLS(v1alpha1.LogTLS{CABundle: private}), []string{"spec.tls.caBundle"}},
		"authorities of a megabyte":        {withTLS(v1alpha1.LogTLS{CABundle: strings.Repeat(authority, 1<<20/len(authority))}), []string{"spec.tls.caBundle"}},
		"a client certificate":             {withTLS(v1alpha1.LogTLS{ClientCertSecretRef: named("client")}), nil},
		"a Secret in another namespace":    {withTLS(v1alpha1.LogTLS{ClientCertSecretRef: named("other/client")}), []string{"spec.tls.clientCertSecretRef.name"}},
		"any certificate":                  {withTLS(v1alpha1.LogTLS{InsecureSkipVerify: &yes}), nil},
		"tls that says nothing":            {withTLS(v1alpha1.LogTLS{}), []string{"spec.tls"}},
		"a password":                       {withAuth(v1alpha1.LogAuth{BasicSecretRef: named("basic")}), nil},
		"a Secret without a name":          {withAuth(v1alpha1.LogAuth{BasicSecretRef: named("")}), []string{"spec.auth.basicSecretRef.name"}},
		"a token":                          {withAuth(v1alpha1.LogAuth{BearerSecretRef: &v1alpha1.SecretKeyReference{Name: "bearer"}}), nil},
		"a token under a bad key":          {withAuth(v1alpha1.LogAuth{BearerSecretRef: &v1alpha1.SecretKeyReference{Name: "bearer", Key: "a/b"}}), []string{"spec.auth.bearerSecretRef.key"}},
		"auth that says nothing":           {withAuth(v1alpha1.LogAuth{}), []string{"spec.auth"}},
		"a password and a token":           {withAuth(v1alpha1.LogAuth{BasicSecretRef: named("a"), BearerSecretRef: &v1alpha1.SecretKeyReference{Name: "b"}}), []string{"spec.auth"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			log := goodLog(t)
			tc.edit(&log.Spec)
			if diff := cmp.Diff(tc.want, where(t, TransparencyLog(log), private)); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarningsOfConnections(t *testing.T) {
	yes := true
	for name, test := range map[string]struct {
		edit func(*v1alpha1.TransparencyLogSpec)
		want string
	}{
		"any certificate is accepted": {func(s *v1alpha1.TransparencyLogSpec) { s.TLS = &v1alpha1.LogTLS{InsecureSkipVerify: &yes} }, "spec.tls.insecureSkipVerify: "},
		"the same address twice":      {func(s *v1alpha1.TransparencyLogSpec) { s.URLs = append(s.URLs, s.URLs[0]) }, "spec.urls[1]: the same address"},
		"a password in the clear": {func(s *v1alpha1.TransparencyLogSpec) {
			s.URLs = []string{"http://rekor.example"}
			s.Auth = &v1alpha1.LogAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "a"}}
		}, "the credentials in spec.auth can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			log := goodLog(t)
			if warnings := LogWarnings(log, nil); len(warnings) > 0 {
				t.Fatalf("a good log: %q", warnings)
			}
			test.edit(&log.Spec)
			if got := strings.Join(LogWarnings(log, nil), "\n"); !strings.Contains(got, test.want) {
				t.Errorf("got %q; want %q", got, test.want)
			}
		})
	}
}
