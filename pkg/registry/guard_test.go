// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
			if tc.want != "" && !strings.Contains(err.Error(), "plain HTTP") {
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
	transport := newTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	transport.TLSClientConfig.RootCAs.AddCert(f.Certificate())
	return f, Options{Transport: transport}
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
		_, err := New(Options{}).Resolve(t.Context(), f.ref(t, ""))
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

func TestRedirectIntoOurOwnNetworkIsRefusedWhenDialled(t *testing.T) {
	// The name of the target says nothing; its address does. The dialer is told
	// of every address by net.Dialer, whatever name led to it.
	f := newFake(t)
	get := func(home string) error {
		transport := newTransport()
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(forRegistry(t.Context(), home), http.MethodGet, f.URL+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		// As admit marks a request to a name that does not show what it resolves to.
		if home != "127.0.0.1" {
			req = req.WithContext(context.WithValue(req.Context(), foreignKey, true))
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := get("127.0.0.1"); err != nil {
		t.Errorf("the registry itself: %v", err)
	}
	if err := get("registry.example"); !errors.Is(err, errRefused) {
		t.Errorf("another host that resolves to loopback: %v", err)
	}
}

func TestCheckAddress(t *testing.T) {
	foreign := context.WithValue(t.Context(), foreignKey, true)
	cases := map[string]struct {
		ctx     context.Context
		address string
		refused bool
	}{
		"a public address": {foreign, "192.0.2.1:443", false},
		"a private address, where a registry's storage may be": {foreign, "10.0.0.5:9000", false},
		"loopback for another host":                            {foreign, "127.0.0.1:80", true},
		"loopback in IPv6 for another host":                    {foreign, "[::1]:80", true},
		"loopback dressed as IPv6":                             {foreign, "[::ffff:127.0.0.1]:80", true},
		"the unspecified address":                              {foreign, "0.0.0.0:80", true},
		"loopback for the registry itself":                     {t.Context(), "127.0.0.1:80", false},
		"the metadata service":                                 {foreign, "169.254.169.254:80", true},
		"the metadata service as registry":                     {t.Context(), "169.254.169.254:443", true},
		"the metadata service in IPv6":                         {t.Context(), "[fd00:ec2::254]:443", true},
		"another cloud's metadata service":                     {t.Context(), "100.100.100.200:443", true},
		"the metadata service behind NAT64":                    {t.Context(), "[64:ff9b::a9fe:a9fe]:443", true},
		"the metadata service behind a network's own NAT64":    {t.Context(), "[64:ff9b:1::a9fe:a9fe]:443", true},
		"the metadata service by 6to4":                         {t.Context(), "[2002:a9fe:a9fe::1]:443", true},
		"the metadata service as IPv4-compatible":              {t.Context(), "[::169.254.169.254]:443", true},
		"Google's metadata service in IPv6":                    {t.Context(), "[fd20:ce::254]:443", true},
		"loopback behind NAT64 for another host":               {foreign, "[64:ff9b::7f00:1]:443", true},
		"a public address behind NAT64":                        {foreign, "[64:ff9b::c000:201]:443", false},
		"link-local with a zone":                               {t.Context(), "[fe80::1%eth0]:443", true},
		"no address":                                           {t.Context(), "somewhere", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := checkAddress(tc.ctx, "tcp", tc.address, nil); errors.Is(err, errRefused) != tc.refused {
				t.Errorf("%v, want refused = %v", err, tc.refused)
			}
		})
	}
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

// roundTrip is a RoundTripper that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestGuardAdmits(t *testing.T) {
	cases := map[string]struct {
		url              string
		refused, foreign bool
	}{
		"the registry itself":                             {"https://registry.example:5000/v2/", false, false},
		"the registry's host on another port":             {"https://registry.example/v2/", false, false},
		"another host":                                    {"https://storage.example/blob", false, true},
		"the registry by plain HTTP":                      {"http://registry.example:5000/v2/", true, false},
		"another host by plain HTTP":                      {"http://storage.example/blob", true, false},
		"a host named for plain HTTP by plain HTTP":       {"http://plain.example/v2/", false, true},
		"a host named for plain HTTP by TLS":              {"https://plain.example/v2/", true, false},
		"this machine":                                    {"https://localhost/v2/", true, false},
		"this machine, though it is named for plain HTTP": {"http://localhost:5000/v2/", true, false},
		"this machine by address":                         {"https://127.0.0.1/v2/", true, false},
		"this machine by IPv6 address":                    {"https://[::1]/v2/", true, false},
		"the metadata service":                            {"https://169.254.169.254/", true, false},
		"another scheme":                                  {"gopher://storage.example/", true, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var sent *http.Request
			g := &guard{maxBody: kib, insecure: map[string]bool{"plain.example": true, "localhost:5000": true}, next: roundTrip(func(r *http.Request) (*http.Response, error) {
				sent = r
				return &http.Response{Body: http.NoBody}, nil
			})}
			req, err := http.NewRequestWithContext(forRegistry(t.Context(), "registry.example"), http.MethodGet, tc.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := g.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if errors.Is(err, errRefused) != tc.refused || (sent == nil) != tc.refused {
				t.Fatalf("%v, want refused = %v", err, tc.refused)
			}
			if sent == nil {
				return
			}
			if foreign, _ := sent.Context().Value(foreignKey).(bool); foreign != tc.foreign {
				t.Errorf("foreign = %v, want %v", foreign, tc.foreign)
			}
		})
	}
}

func TestARegistryWhoseNameIsNotLocalMayBeNamedForPlainHTTP(t *testing.T) {
	f := newFake(t)
	f.on(latest, withDigest(ociManifest, subject))
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.host())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	for name, tc := range map[string]struct {
		named []string
		want  verify.Reason
	}{
		"named":     {[]string{"registry.example"}, ""},
		"not named": {nil, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			client := New(Options{Transport: transport, InsecureRegistries: tc.named})
			_, err := client.Resolve(t.Context(), parse(t, "registry.example/org/app"))
			if reason := reasonOf(t, err); reason != tc.want || (len(f.requests()) > 0) != (tc.want == "") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
