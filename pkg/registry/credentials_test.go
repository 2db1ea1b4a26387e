// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestTheClientCertificateIsPresentedToItsRegistry(t *testing.T) {
	certificate, clients := clientCertificate(t)
	other, _ := clientCertificate(t)
	f := newFake(t)
	f.behindTLS(t, clients, tls.RequireAndVerifyClientCert)
	f.on(latest, withDigest(ociManifest, subject))
	for name, tc := range map[string]struct {
		host Host
		want verify.Reason
	}{
		"the right one":             {Host{RootCAs: f.roots(), Certificate: &certificate}, ""},
		"none":                      {Host{RootCAs: f.roots()}, verify.RegistryUnavailable},
		"one of another authority":  {Host{RootCAs: f.roots(), Certificate: &other}, verify.RegistryUnavailable},
		"to one who is not trusted": {Host{Certificate: &certificate}, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{Hosts: Hosts{f.host(): tc.host}}).Resolve(t.Context(), f.ref(t, ""))
			if reasonOf(t, err) != tc.want {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// witnessed is what a request showed of who made it.
type witnessed struct {
	host          string
	authorization string
	certificates  int
}

// TestCredentialsDoNotFollowARedirectToAnotherHost: neither a password, nor a token,
// nor a certificate.
func TestCredentialsDoNotFollowARedirectToAnotherHost(t *testing.T) {
	certificate, clients := clientCertificate(t)
	const registryHost, storageHost = "registry.example.com", "storage.example.com"
	for scheme, challenge := range map[string]string{
		"a password": `Basic realm="here"`,
		"a token":    `Bearer realm="https://` + registryHost + `/token",service="here"`,
	} {
		for name, named := range map[string]bool{"a host that nobody named": false, "a host that has a certificate of its own": true} {
			t.Run(scheme+", to "+name, func(t *testing.T) {
				var seen []witnessed
				note := func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						seen = append(seen, witnessed{r.Host, r.Header.Get("Authorization"), len(r.TLS.PeerCertificates)})
						next(w, r)
					}
				}
				registry, storage := newFake(t), newFake(t)
				registry.on("/token", serve("application/json", `{"token":"good"}`))
				protected := func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						if r.Header.Get("Authorization") == "" {
							w.Header().Set("WWW-Authenticate", challenge)
							w.WriteHeader(http.StatusUnauthorized)
							return
						}
						next(w, r)
					}
				}
				registry.on("/v2/", protected(func(http.ResponseWriter, *http.Request) {}))
				registry.on(latest, note(protected(redirect("https://"+storageHost+"/content"))))
				storage.on("/content", note(withDigest(ociManifest, subject)))
				for _, f := range []*fake{registry, storage} {
					f.behindTLS(t, clients, tls.VerifyClientCertIfGiven)
				}
				_, proxy := newProxy(t, map[string]string{registryHost + ":443": registry.host(), storageHost + ":443": storage.host()})
				settings := Host{RootCAs: registry.roots(), Certificate: &certificate, Proxy: proxy}
				hosts := Hosts{registryHost: settings}
				if named {
					hosts[storageHost] = settings
				}
				client := New(Options{Hosts: hosts, Keychain: keychain{host: registryHost}})
				if got, err := client.Resolve(t.Context(), parse(t, registryHost+"/org/app")); err != nil || got != subject {
					t.Fatalf("%q, %v: %v", got, err, errors.Unwrap(err))
				}
				at := slices.IndexFunc(seen, func(w witnessed) bool { return w.host == storageHost })
				if at < 1 {
					t.Fatalf("seen: %v", seen)
				}
				if w := seen[at]; w.authorization != "" || w.certificates != 0 {
					t.Errorf("the other host was shown %+v", w)
				}
				if w := seen[0]; w.authorization == "" || w.certificates != 1 {
					t.Errorf("the registry was shown %+v", w)
				}
			})
		}
	}
}
