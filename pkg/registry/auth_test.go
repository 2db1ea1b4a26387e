// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// keychain gives one registry's credentials.
type keychain struct {
	host string
	err  error
}

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if k.err != nil {
		return nil, k.err
	}
	if r.RegistryStr() != k.host {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: "robot", Password: "secret"}, nil
}

// protect makes the fake ask for a bearer token, which token hands out.
func (f *fake) protect(token http.HandlerFunc) {
	guarded := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer good" {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="fake"`, f.URL))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next(w, r)
		}
	}
	f.on("/token", token)
	f.on("/v2/", guarded(func(http.ResponseWriter, *http.Request) {}))
	f.on(latest, guarded(withDigest(ociManifest, subject)))
}

func TestTokens(t *testing.T) {
	issue := func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "robot" || password != "secret" || r.URL.Query().Get("scope") != "repository:org/app:pull" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"token":"good"}`))
	}
	cases := map[string]struct {
		token       http.HandlerFunc
		credentials bool
		want        verify.Reason
	}{
		"credentials are exchanged for a token":                 {issue, true, ""},
		"without credentials there is no token":                 {issue, false, verify.RegistryUnauthorized},
		"a token server that forbids":                           {status(403), true, verify.RegistryUnauthorized},
		"a token server that throttles":                         {status(429), true, verify.RegistryThrottled},
		"a token server that is not there is no absent image":   {status(404), true, verify.RegistryUnavailable},
		"a token server that is broken":                         {status(500), true, verify.RegistryUnavailable},
		"a token server that sends no token":                    {serve("application/json", `{}`), true, verify.RegistryUnavailable},
		"a token server that sends nonsense":                    {serve("text/html", "\x1b[31m<html>"), true, verify.RegistryUnavailable},
		"a token server without end":                            {endless("application/json"), true, verify.RegistryUnavailable},
		"a token server that stalls":                            {stall("application/json"), true, verify.DeadlineExceeded},
		"a token server that redirects to the metadata service": {redirect("http://169.254.169.254/"), true, verify.RegistryUnavailable},
		"a token that the registry does not take":               {serve("application/json", `{"token":"bad"}`), true, verify.RegistryUnauthorized},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.protect(tc.token)
			options := Options{InsecureRegistries: []string{f.host()}, Limits: patience(tc.want)}
			if tc.credentials {
				options.Keychain = keychain{host: f.host()}
			}
			got, err := New(options).Resolve(t.Context(), f.ref(t, ""))
			if reason := reasonOf(t, err); reason != tc.want {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestTheSessionIsKept(t *testing.T) {
	f := newFake(t)
	f.protect(serve("application/json", `{"token":"good"}`))
	client := f.client(Limits{})
	for range 3 {
		if _, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil {
			t.Fatal(err)
		}
	}
	if asked := strings.Join(f.requests(), "\n"); strings.Count(asked, "/token") != 1 {
		t.Errorf("asked\n%s", asked)
	}
}

func TestPermissionThatWasWithdrawnIsAskedForAnew(t *testing.T) {
	f := newFake(t)
	f.on(latest, status(403))
	client := f.client(Limits{})
	if _, err := client.Resolve(t.Context(), f.ref(t, "")); reasonOf(t, err) != verify.RegistryUnauthorized {
		t.Fatal(err)
	}
	if client.sessions.Len() != 0 {
		t.Error("the session is kept")
	}
}

func TestHandshakeFails(t *testing.T) {
	cases := map[string]struct {
		ping http.HandlerFunc
		want verify.Reason
	}{
		"a registry that is no registry is no absent image": {status(404), verify.RegistryUnavailable},
		"a registry that forbids":                           {status(403), verify.RegistryUnauthorized},
		"a registry that throttles":                         {status(429), verify.RegistryThrottled},
		"a registry that is broken":                         {status(503), verify.RegistryUnavailable},
		"a registry that resets":                            {reset, verify.RegistryUnavailable},
		// One that stalls after "200 OK" has said all that matters here.
		"a registry that never answers": {silent, verify.DeadlineExceeded},
		"a realm on the metadata service": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, verify.RegistryUnavailable},
		"a realm on a host of our own": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://localhost:1/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, verify.RegistryUnavailable},
		"a challenge with escape sequences": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer relm=\"\x1b[31m"+strings.Repeat("x", 4000)+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, verify.RegistryUnavailable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/v2/", tc.ping)
			f.on(latest, withDigest(ociManifest, subject))
			_, err := f.client(patience(tc.want)).Resolve(t.Context(), f.ref(t, ""))
			if reason := reasonOf(t, err); reason != tc.want {
				t.Errorf("%v; want %s", err, tc.want)
			}
		})
	}
	t.Run("credentials that cannot be loaded", func(t *testing.T) {
		cause := errors.New("no such secret")
		f := restrict(t, "somebody")
		client := New(Options{Keychain: keychain{err: cause}, InsecureRegistries: []string{f.host()}})
		_, err := client.Resolve(t.Context(), f.ref(t, ""))
		if reasonOf(t, err) != verify.RegistryUnauthorized || !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
	})
}
