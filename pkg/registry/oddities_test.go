// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// says answers with an error of the OCI distribution specification.
func says(code int, errorCode string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"errors":[{"code":"` + errorCode + `","message":"x"}]}`))
	}
}

// TestWaysOfKnownRegistries: each differs from the specification somewhere, or uses what
// it leaves open. What an image has elsewhere is found, whatever one question is answered;
// what cannot be told is not taken for none.
func TestWaysOfKnownRegistries(t *testing.T) {
	signed := []string{"legacy good (sig of good)"}
	legacy := func(f *fake) { f.legacyTag(f.legacyLayer("good")) }
	fallback := func(f *fake) { f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }
	for name, tc := range map[string]struct {
		registry func(f *fake)
		reason   verify.Reason
		want     []string
		says     string
	}{
		"Artifactory: 403 for a tag that does not exist": {
			func(f *fake) { f.list(); f.on(legacyPath, says(403, "UNAUTHORIZED")) }, verify.RegistryUnauthorized, nil,
			"answered 403 to the question for signatures of " + subject + " (UNAUTHORIZED): the credentials do not allow it, or, as many registries answer, there is no such repository or tag",
		},
		"Artifactory: 403 for that tag, and a bundle": {
			func(f *fake) { f.list(f.bundleReferrer("b")); f.on(legacyPath, says(403, "UNAUTHORIZED")) }, verify.RegistryUnauthorized, []string{"bundle b"}, "",
		},
		"Artifactory: 406 for referrers":           {func(f *fake) { legacy(f); f.on(apiPath, status(406)) }, "", signed, ""},
		"ECR before 2024: 404 for referrers":       {func(f *fake) { legacy(f); f.on(apiPath, says(404, "")) }, "", signed, ""},
		"ECR: a repository that does not exist":    {func(f *fake) { f.on(apiPath, says(404, "NAME_UNKNOWN")); f.on(legacyPath, says(404, "NAME_UNKNOWN")) }, "", nil, ""},
		"ECR: a policy that permits images alone":  {func(f *fake) { legacy(f); f.on(apiPath, says(403, "DENIED")) }, verify.RegistryUnauthorized, signed, "(DENIED)"},
		"Quay: 400 for referrers of what it lacks": {func(f *fake) { legacy(f); f.on(apiPath, says(400, "MANIFEST_INVALID")) }, "", signed, ""},
		"Quay before 3.12: 404 and a fallback tag": {func(f *fake) { fallback(f); f.on(apiPath, says(404, "MANIFEST_UNKNOWN")) }, "", []string{"bundle b"}, ""},
		"Harbor before 2.8: 401 for referrers without a challenge": {
			func(f *fake) { legacy(f); f.on(apiPath, says(401, "UNAUTHORIZED")) }, verify.RegistryUnauthorized, signed, "",
		},
		"Harbor: 412 where a project's policy forbids to pull": {
			func(f *fake) { f.list(); f.on(legacyPath, says(412, "PROJECTPOLICYVIOLATION")) }, verify.RegistryUnavailable, nil, "answered 412 to the question for signatures of " + subject + " (PROJECTPOLICYVIOLATION)",
		},
		"Harbor: 404 with a code of its own":           {func(f *fake) { f.on(apiPath, says(404, "NOT_FOUND")); f.on(legacyPath, says(404, "NOT_FOUND")) }, "", nil, ""},
		"GitHub: 404 for referrers, and a tag":         {func(f *fake) { fallback(f); f.on(apiPath, status(404)) }, "", []string{"bundle b"}, ""},
		"Google: a redirect of referrers to its pages": {func(f *fake) { fallback(f); f.on(apiPath, redirect("https://cloud.google.com/x")) }, "", []string{"bundle b"}, ""},
		"GitLab: 404 without a body":                   {func(f *fake) { legacy(f); f.on(apiPath, status(404)) }, "", signed, ""},
		"Docker Hub: 401 for what may not be seen":     {func(f *fake) { f.on(apiPath, status(404)); f.on(legacyPath, says(401, "UNAUTHORIZED")) }, verify.RegistryUnauthorized, nil, "there is no such repository or tag"},
		"a registry that filters nothing, and does not say so": {
			func(f *fake) {
				sbom := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: "application/spdx+json", Subject: &target{Digest: subject}})
				sbom.ArtifactType = "application/spdx+json"
				f.list(sbom, f.bundleReferrer("b"))
			}, "", []string{"bundle b"}, "",
		},
		"a registry whose next page has its whole address": {
			func(f *fake) {
				a, b := f.bundleReferrer("a"), f.bundleReferrer("b")
				f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.RawQuery != "" {
						serve(ociIndex, index(b))(w, r)
						return
					}
					w.Header().Set("Link", "<"+f.URL+apiPath+`?nextToken=x>; rel="next"`)
					serve(ociIndex, index(a))(w, r)
				})
			}, "", []string{"bundle a", "bundle b"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			tc.registry(f)
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reason := reasonOf(t, err); reason != tc.reason || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%v; want %q, and to read %q", err, tc.reason, tc.says)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// login is what docker login leaves.
type login authn.AuthConfig

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(l)), nil
}

// TestWaysOfKnownTokenServers: how one is let in.
func TestWaysOfKnownTokenServers(t *testing.T) {
	issue := func(answer string, permit func(r *http.Request) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !permit(r) {
				says(http.StatusUnauthorized, "UNAUTHORIZED")(w, r)
				return
			}
			_, _ = w.Write([]byte(answer))
		}
	}
	basic := func(user, password string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			u, p, _ := r.BasicAuth()
			return u == user && p == password
		}
	}
	refresh := func(r *http.Request) bool {
		return r.Method == http.MethodPost && r.FormValue("grant_type") == "refresh_token" && r.FormValue("refresh_token") == "refresh" &&
			r.FormValue("scope") == "repository:org/app:pull"
	}
	for name, tc := range map[string]struct {
		as     login
		server http.HandlerFunc
		reason verify.Reason
		says   string
	}{
		"Azure: a refresh token is exchanged by POST":          {login{Username: "<token>", IdentityToken: "refresh"}, issue(`{"access_token":"good"}`, refresh), "", ""},
		"Azure: a refresh token that has expired":              {login{Username: "<token>", IdentityToken: "old"}, issue(`{"access_token":"good"}`, refresh), verify.RegistryUnauthorized, ""},
		"Azure: the user of a repository's token":              {login{Username: "mytoken", Password: "p"}, issue(`{"access_token":"good"}`, basic("mytoken", "p")), "", ""},
		"Azure: 00000000-… with a refresh token as password":   {login{Username: "00000000-0000-0000-0000-000000000000", Password: "refresh"}, issue(`{"access_token":"good"}`, basic("00000000-0000-0000-0000-000000000000", "refresh")), "", ""},
		"Google: an access token as password, access_token":    {login{Username: "oauth2accesstoken", Password: "ya29"}, issue(`{"access_token":"good","expires_in":3600}`, basic("oauth2accesstoken", "ya29")), "", ""},
		"Google: both fields":                                  {login{Username: "_json_key", Password: `{"a":"b"}`}, issue(`{"token":"good","access_token":"good"}`, basic("_json_key", `{"a":"b"}`)), "", ""},
		"Harbor: a robot's name has a dollar":                  {login{Username: "robot$shop+verifier", Password: "p$"}, issue(`{"token":"good"}`, basic("robot$shop+verifier", "p$")), "", ""},
		"GitHub: 403 for a package that does not exist":        {login{Username: "u", Password: "p"}, says(http.StatusForbidden, "DENIED"), verify.RegistryUnauthorized, "there is no such repository or tag"},
		"Docker Hub: too many logins":                          {login{Username: "u", Password: "p"}, says(http.StatusTooManyRequests, "TOOMANYREQUESTS"), verify.RegistryThrottled, ""},
		"a token server without OAuth, that says 404 to POST":  {login{Username: "<token>", IdentityToken: "refresh"}, issue404ToPost(`{"token":"good"}`), "", ""},
		"a token server that issues tokens that let in nobody": {login{Username: "u", Password: "p"}, issue(`{"token":"bad"}`, basic("u", "p")), verify.RegistryUnauthorized, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.protect(tc.server)
			client := New(Options{InsecureRegistries: []string{f.host()}, Keychain: tc.as})
			_, err := client.Resolve(t.Context(), f.ref(t, ""))
			if reasonOf(t, err) != tc.reason || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%v (%v); want %q, and to read %q", err, errors.Unwrap(err), tc.reason, tc.says)
			}
		})
	}
}

// issue404ToPost permits everybody who asks by GET.
func issue404ToPost(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(answer))
	}
}
