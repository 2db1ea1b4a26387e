// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// TestWhatIsWrongWithAConnectionIsSaid, so that whoever reads a denial knows what to
// do about it.
func TestWhatIsWrongWithAConnectionIsSaid(t *testing.T) {
	t.Parallel() // it waits more than it works
	authority := newAuthority(t)
	good := authority.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		certificate tls.Certificate
		trusted     *authorityKeys
		clientCAs   *x509.CertPool
		handler     http.HandlerFunc
		want        string
	}{
		"an authority that is not trusted":  {certificate: good, trusted: newAuthority(t), want: "(private authorities that are to be trusted belong into tls.caBundle)"},
		"another host's certificate":        {certificate: authority.issue(t, "192.0.2.1", time.Now().Add(time.Hour)), trusted: authority, want: "certificate is valid for 192.0.2.1, not 127.0.0.1"},
		"a certificate that has expired":    {certificate: authority.issue(t, "127.0.0.1", time.Now().Add(-time.Hour)), trusted: authority, want: "certificate has expired"},
		"no client certificate":             {certificate: good, trusted: authority, clientCAs: authority.pool, want: "see tls.clientCertSecretRef"},
		"the wrong password":                {certificate: good, trusted: authority, handler: status(http.StatusUnauthorized), want: "HTTP status 401 (the credentials in auth are missing, or not the right ones)"},
		"credentials that may not read":     {certificate: good, trusted: authority, handler: status(http.StatusForbidden), want: "HTTP status 403 (the credentials in auth"},
		"a proxy that wants a password":     {certificate: good, trusted: authority, handler: status(http.StatusProxyAuthRequired), want: "HTTP status 407 (the proxy wants credentials)"},
		"a web server that is no log":       {certificate: good, trusted: authority, handler: page, want: "HTTP status 404, not as a log says it (is that the base URL of the log,"},
		"nginx, without a certificate":      {certificate: good, trusted: authority, handler: nginxWithoutCertificate, want: "HTTP status 400, not as a log says it (does what stands before it want a client certificate? See tls.clientCertSecretRef)"},
		"a redirect to another host":        {certificate: good, trusted: authority, handler: elsewhere, want: `redirect refused to another host "metadata.example"`},
		"a proxy whose log is down":         {certificate: good, trusted: authority, handler: status(http.StatusBadGateway), want: "HTTP status 502"},
		"a connection that is cut at once":  {certificate: good, trusted: authority, handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "EOF"},
		"a connection that is cut half way": {certificate: good, trusted: authority, handler: func(w http.ResponseWriter, _ *http.Request) { cut(w) }, want: "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(test.handler)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{test.certificate}, ClientCAs: test.clientCAs}
			if test.clientCAs != nil {
				server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
			}
			server.StartTLS()
			defer server.Close()
			base, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: test.trusted.pool, MinVersion: tls.VersionTLS12}}
			defer transport.CloseIdleConnections()
			_, err = dialAt(t, &http.Client{Transport: transport}, base).Entry(t.Context(), [32]byte{})
			wantErr(t, err, tlog.ErrUnavailable)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), server.URL) {
				t.Errorf("got %v\nwant it to name %s and to say %q", err, server.URL, test.want)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("<html><title>404 Not Found</title>"))
}

func nginxWithoutCertificate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte("<html><head><title>400 No required SSL certificate was sent</title>"))
}

func elsewhere(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "http://metadata.example/latest", http.StatusFound)
}

// authorityKeys is a certificate authority for servers.
type authorityKeys struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) *authorityKeys {
	t.Helper()
	a := &authorityKeys{key: newKey(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate = sign(t, template, template, a.key, a.key)
	a.pool.AddCert(a.certificate)
	return a
}

func (a *authorityKeys) issue(t *testing.T, address string, end time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: end.Add(-2 * time.Hour), NotAfter: end, IPAddresses: []net.IP{net.ParseIP(address)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return tls.Certificate{Certificate: [][]byte{sign(t, template, a.certificate, key, a.key).Raw}, PrivateKey: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, subject, issuer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
