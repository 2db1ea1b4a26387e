// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestPlainHTTPOnlyWhereNamed(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		withDigest(ociManifest, subject)(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		named []string
		ref   string
		want  verify.Reason
	}{
		"a registry on loopback that nobody named": {nil, host, verify.RegistryUnavailable},
		"localhost that nobody named":              {nil, "localhost:" + port, verify.RegistryUnavailable},
		"another port was named":                   {[]string{"127.0.0.1:1"}, host, verify.RegistryUnavailable},
		"another name of the host was named":       {[]string{host}, "localhost:" + port, verify.RegistryUnavailable},
		"the registry was named":                   {[]string{host}, host, ""},
		"the registry was named under that name":   {[]string{"localhost:" + port}, "localhost:" + port, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			requests.Store(0)
			client := New(Options{InsecureRegistries: tc.named})
			_, err := client.Resolve(t.Context(), parse(t, tc.ref+"/org/app"))
			if reason := reasonOf(t, err); reason != tc.want {
				t.Fatalf("%v; want %q", err, tc.want)
			}
			if tc.want != "" && requests.Load() != 0 {
				t.Errorf("%d requests went out in plain text", requests.Load())
			}
			if tc.want != "" && !strings.Contains(err.Error(), "only a registry that the configuration names") {
				t.Errorf("the error does not say why: %v", err)
			}
		})
	}
}

// tlsFake is a fake behind TLS, and options that trust it.
func tlsFake(t *testing.T) (*fake, Options) {
	t.Helper()
	f := newFake(t)
	f.Close()
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	f.URL = "http://" + strings.TrimPrefix(f.URL, "https://") // for host()
	return f, Options{Hosts: Hosts{f.host(): {RootCAs: f.roots()}}}
}

// roots trust a fake behind TLS.
func (f *fake) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(f.Certificate())
	return roots
}

func TestTLS(t *testing.T) {
	f, options := tlsFake(t)
	f.on(latest, withDigest(ociManifest, subject))
	t.Run("a registry whose certificate is trusted", func(t *testing.T) {
		if got, err := New(options).Resolve(t.Context(), f.ref(t, "")); err != nil || got != subject {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("a registry whose certificate is not trusted is unavailable, and not asked again", func(t *testing.T) {
		_, err := New(Options{Hosts: Hosts{f.host(): {}}}).Resolve(t.Context(), f.ref(t, ""))
		if reasonOf(t, err) != verify.RegistryUnavailable || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a registry that is named for plain HTTP is not spoken to by TLS", func(t *testing.T) {
		options := options
		options.InsecureRegistries = []string{f.host()}
		if _, err := New(options).Resolve(t.Context(), f.ref(t, "")); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("a redirect to plain HTTP is refused, even to a named registry", func(t *testing.T) {
		plain := newFake(t)
		f.on(repo+"manifests/v2", redirect(plain.URL+latest))
		options := options
		options.InsecureRegistries = []string{plain.host()}
		_, err := New(options).Resolve(t.Context(), f.ref(t, ":v2"))
		if reasonOf(t, err) != verify.RegistryUnavailable || len(plain.requests()) != 0 {
			t.Errorf("%v", err)
		}
	})
	t.Run("a host that does not exist is unavailable", func(t *testing.T) {
		_, err := New(Options{}).Resolve(t.Context(), parse(t, "registry.invalid/org/app"))
		if reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("a port that nobody listens on is unavailable", func(t *testing.T) {
		_, err := New(Options{}).Resolve(t.Context(), parse(t, "127.0.0.1:1/org/app"))
		if reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestIsOwnHost(t *testing.T) {
	cases := map[string]struct {
		host string
		want bool
	}{
		"localhost":                  {"localhost", true},
		"localhost with a dot":       {"LOCALHOST.", true},
		"a name below localhost":     {"x.localhost", true},
		"loopback":                   {"127.1.2.3", true},
		"the metadata address":       {"169.254.169.254", true},
		"a name that only begins so": {"localhost.example", false},
		"a public address":           {"192.0.2.1", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isOwnHost(tc.host); got != tc.want {
				t.Errorf("isOwnHost(%q) = %v", tc.host, got)
			}
		})
	}
}
