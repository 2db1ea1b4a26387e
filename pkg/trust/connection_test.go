// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// guarded is a log behind TLS by a private authority, which lets in whoever shows a
// client certificate of it, if it wants one, and the right Authorization field.
type guarded struct {
	*httptest.Server
	log           *tlogtest.Log
	authority     *privateAuthority
	authorization atomic.Value // of string
	opened        atomic.Int64 // connections
	open          atomic.Int64
}

func newGuarded(t *testing.T, config *tls.Config) *guarded {
	t.Helper()
	g := &guarded{log: tlogtest.New("rekor.test"), authority: newPrivateAuthority(t)}
	g.authorization.Store("")
	g.log.Grow(3)
	inner := tlogtest.NewServer(g.log)
	t.Cleanup(inner.Close)
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != g.authorization.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.Config.Handler.ServeHTTP(w, r)
	}))
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			g.opened.Add(1)
			g.open.Add(1)
		case http.StateClosed:
			g.open.Add(-1)
		default:
		}
	}
	g.TLS = config.Clone()
	g.TLS.ClientCAs = g.authority.pool
	g.TLS.Certificates = []tls.Certificate{g.authority.issue(t, x509.ExtKeyUsageServerAuth)}
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *guarded) object(t *testing.T, edit func(*v1alpha1.TransparencyLogSpec)) *v1alpha1.TransparencyLog {
	t.Helper()
	obj := object(t)
	obj.Spec.URLs = []string{g.URL}
	obj.Spec.PublicKey.Data = string(publicPEM(t, g.log.PublicKey()))
	edit(&obj.Spec)
	return obj
}

// poll asks the log once as obj says.
func poll(t *testing.T, logs *Logs, obj *v1alpha1.TransparencyLog) error {
	t.Helper()
	if err := logs.Set(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	prover, err := logs.Prover(obj.Name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = prover.Poll(t.Context())
	return err
}

// TestConnectionsToALog has logs that want something, and says to each what it wants,
// or not.
func TestConnectionsToALog(t *testing.T) {
	type spec = v1alpha1.TransparencyLogSpec
	yes := true
	mutual := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	plain := &tls.Config{}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("countersign:hunter2"))
	withAuth := func(auth v1alpha1.LogAuth) func(*spec) {
		return func(s *spec) { s.Auth = &auth }
	}
	basicFrom := func(name string) func(*spec) {
		return withAuth(v1alpha1.LogAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: name}})
	}
	bearerFrom := func(name, key string) func(*spec) {
		return withAuth(v1alpha1.LogAuth{BearerSecretRef: &v1alpha1.SecretKeyReference{Name: name, Key: key}})
	}
	tests := map[string]struct {
		server        *tls.Config
		authorization string
		edit          func(*spec)
		says          string // what the error says; "" is success
	}{
		"its authority is named":                {server: plain, edit: func(*spec) {}},
		"its authority is named in base64":      {server: plain, edit: func(s *spec) { s.TLS.CABundle = base64.StdEncoding.EncodeToString([]byte(s.TLS.CABundle)) }},
		"its authority is named after another":  {server: plain, edit: func(s *spec) { s.TLS.CABundle = newPrivateAuthority(t).pem + s.TLS.CABundle }},
		"no authority is named":                 {server: plain, edit: func(s *spec) { s.TLS = nil }, says: "tls.caBundle"},
		"another authority is named":            {server: plain, edit: func(s *spec) { s.TLS.CABundle = newPrivateAuthority(t).pem }, says: "tls.caBundle"},
		"any certificate is accepted":           {server: plain, edit: func(s *spec) { s.TLS = &v1alpha1.LogTLS{InsecureSkipVerify: &yes} }},
		"it speaks nothing newer than TLS 1.1":  {server: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, edit: func(*spec) {}, says: "protocol version"},
		"it speaks nothing older than TLS 1.3":  {server: &tls.Config{MinVersion: tls.VersionTLS13}, edit: func(*spec) {}},
		"it wants a certificate, and gets it":   {server: mutual, edit: func(s *spec) { s.TLS.ClientCertSecretRef = &v1alpha1.SecretReference{Name: "client"} }},
		"it wants a certificate, and gets none": {server: mutual, edit: func(*spec) {}, says: "tls.clientCertSecretRef"},
		"it wants a certificate of its own":     {server: mutual, edit: func(s *spec) { s.TLS.ClientCertSecretRef = &v1alpha1.SecretReference{Name: "stranger"} }, says: "tls.clientCertSecretRef"},
		"it wants a password, and gets it":      {server: plain, authorization: basic, edit: basicFrom("basic")},
		"it wants a password, and gets none":    {server: plain, authorization: basic, edit: func(*spec) {}, says: "HTTP status 401"},
		"it wants another password":             {server: plain, authorization: basic, edit: basicFrom("wrong"), says: "HTTP status 401"},
		"it wants a token, and gets it":         {server: plain, authorization: "Bearer abc.def", edit: bearerFrom("bearer", "")},
		"a token stands under another key":      {server: plain, authorization: "Bearer abc.def", edit: bearerFrom("bearer", "other")},
		"it wants a token, and gets a password": {server: plain, authorization: "Bearer abc.def", edit: basicFrom("basic"), says: "HTTP status 401"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, test.server)
			g.authorization.Store(test.authorization)
			client, key := g.authority.pair(t)
			foreign, foreignKey := newPrivateAuthority(t).pair(t)
			logs := memoryLogs(Secrets{
				"client":   {"tls.crt": client, "tls.key": key},
				"stranger": {"tls.crt": foreign, "tls.key": foreignKey},
				"basic":    {"username": []byte("countersign"), "password": []byte("hunter2")},
				"wrong":    {"username": []byte("countersign"), "password": []byte("Hunter2")},
				"bearer":   {"token": []byte("abc.def\n"), "other": []byte("abc.def")},
			})
			obj := g.object(t, func(s *spec) { s.TLS = &v1alpha1.LogTLS{CABundle: g.authority.pem}; test.edit(s) })
			err := poll(t, logs, obj)
			if test.says == "" {
				if err != nil {
					t.Errorf("got error %v", err)
				}
				return
			}
			if !errors.Is(err, tlog.ErrUnavailable) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v; want one that says %q", err, test.says)
			}
			if strings.Contains(strings.ToLower(err.Error()), "hunter2") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	type spec = v1alpha1.TransparencyLogSpec
	basic := func(name string) func(*spec) {
		return func(s *spec) {
			s.Auth = &v1alpha1.LogAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: name}}
		}
	}
	bearer := func(name string) func(*spec) {
		return func(s *spec) {
			s.Auth = &v1alpha1.LogAuth{BearerSecretRef: &v1alpha1.SecretKeyReference{Name: name}}
		}
	}
	client := func(name string) func(*spec) {
		return func(s *spec) {
			s.TLS = &v1alpha1.LogTLS{ClientCertSecretRef: &v1alpha1.SecretReference{Name: name}}
		}
	}
	const hidden = "hunter2"
	secrets := Secrets{
		"half":    {"username": []byte("u")},
		"colon":   {"username": []byte("a:b"), "password": []byte(hidden)},
		"long":    {"username": []byte("u"), "password": []byte(strings.Repeat(hidden, maxCredential))},
		"lines":   {"token": []byte("a\r\nX-Evil: " + hidden)},
		"empty":   {"token": []byte("\n")},
		"garbage": {"tls.crt": []byte(hidden), "tls.key": []byte(hidden)},
	}
	for name, test := range map[string]struct {
		edit   func(*spec)
		reason string
	}{
		"a Secret with a password that does not exist": {basic("none"), v1alpha1.ReasonSecretNotFound},
		"a Secret with a user and no password":         {basic("half"), v1alpha1.ReasonSecretNotFound},
		"a user name with a colon":                     {basic("colon"), v1alpha1.ReasonCredentialInvalid},
		"a password that is too long":                  {basic("long"), v1alpha1.ReasonCredentialInvalid},
		"a Secret with a token that does not exist":    {bearer("none"), v1alpha1.ReasonSecretNotFound},
		"a token that is two header fields":            {bearer("lines"), v1alpha1.ReasonCredentialInvalid},
		"a token that is empty":                        {bearer("empty"), v1alpha1.ReasonCredentialInvalid},
		"a Secret with a certificate that is missing":  {client("none"), v1alpha1.ReasonSecretNotFound},
		"a certificate that is none":                   {client("garbage"), v1alpha1.ReasonCredentialInvalid},
		"an authority that is none":                    {func(s *spec) { s.TLS = &v1alpha1.LogTLS{CABundle: hidden} }, v1alpha1.ReasonLogNotReady},
		"auth that says nothing":                       {func(s *spec) { s.Auth = &v1alpha1.LogAuth{} }, v1alpha1.ReasonLogNotReady},
		"nine addresses":                               {func(s *spec) { s.URLs = strings.Fields(strings.Repeat("https://rekor.test ", 9)) }, v1alpha1.ReasonLogNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			logs := memoryLogs(secrets)
			obj := object(t)
			test.edit(&obj.Spec)
			if err := logs.Set(t.Context(), obj); err == nil || strings.Contains(err.Error(), hidden) {
				t.Errorf("Set = %v; want an error that shows no secret", err)
			}
			_, err := logs.Prover(logName)
			if got := ConditionReason(err); got != test.reason {
				t.Errorf("reason %s; want %s (%v)", got, test.reason, err)
			}
		})
	}
}

// TestAPasswordThatChangesTakesEffect without a change of the object.
func TestAPasswordThatChangesTakesEffect(t *testing.T) {
	g := newGuarded(t, &tls.Config{})
	secrets := Secrets{"basic": {"username": []byte("u"), "password": []byte("old")}}
	logs := memoryLogs(secrets)
	obj := g.object(t, func(s *v1alpha1.TransparencyLogSpec) {
		s.TLS = &v1alpha1.LogTLS{CABundle: g.authority.pem}
		s.Auth = &v1alpha1.LogAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "basic"}}
	})
	for _, password := range []string{"old", "new"} {
		g.authorization.Store("Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+password)))
		if password == "new" {
			if err := poll(t, logs, obj); !errors.Is(err, tlog.ErrUnavailable) {
				t.Fatalf("the old password: %v", err)
			}
			secrets["basic"]["password"] = []byte(password)
		}
		if err := poll(t, logs, obj); err != nil {
			t.Fatalf("password %q: %v", password, err)
		}
	}
}

// TestConnectionsAreKeptForTheNextRequest, and are closed when the log is asked in
// another way, or no more.
func TestConnectionsAreKeptForTheNextRequest(t *testing.T) {
	g := newGuarded(t, &tls.Config{})
	logs := memoryLogs(nil)
	obj := g.object(t, func(s *v1alpha1.TransparencyLogSpec) { s.TLS = &v1alpha1.LogTLS{CABundle: g.authority.pem} })
	for range 20 {
		if err := poll(t, logs, obj); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 requests, one after the other", n)
	}
	yes := true
	obj.Spec.TLS.InsecureSkipVerify = &yes
	if err := poll(t, logs, obj); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the connections of the old form are open", func() bool { return g.open.Load() == 1 })
	logs.Delete(obj.Name)
	waitFor(t, "the connections of a log that was deleted are open", func() bool { return g.open.Load() == 0 })
}

func waitFor(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// TestPrivateAuthoritiesAreAdded to those of the system, and replace none.
func TestPrivateAuthoritiesAreAdded(t *testing.T) {
	authority := newPrivateAuthority(t)
	own, err := connection{caBundle: authority.pem}.transport()
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	want.AddCert(authority.certificate)
	if !own.TLSClientConfig.RootCAs.Equal(want) {
		t.Error("the authorities are not those of the system and the private one")
	}
	if own, err = (connection{}).transport(); err != nil || own.TLSClientConfig.RootCAs != nil {
		t.Errorf("authorities %v, %v; want those of the system", own.TLSClientConfig.RootCAs, err)
	}
}

// TestConnectionsSayWhatIsInsecure, and where a log is asked.
func TestConnectionsSayWhatIsInsecure(t *testing.T) {
	yes, logs, obj := true, memoryLogs(nil), object(t)
	obj.Spec.URLs = []string{"https://a.test", "https://b.test/rekor"}
	obj.Spec.TLS = &v1alpha1.LogTLS{InsecureSkipVerify: &yes}
	if err := logs.Set(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	got := logs.Connections()
	if len(got) != 1 || got[0].Log != logName || !got[0].SkipsTLSVerification || len(got[0].Replicas) != 2 ||
		got[0].Replicas[1] != (tlog.ReplicaState{URL: "https://b.test/rekor"}) {
		t.Errorf("got %+v", got)
	}
	logs.Delete(logName)
	if got := logs.Connections(); len(got) != 0 {
		t.Errorf("got %+v of a log that was deleted", got)
	}
}

// privateAuthority issues certificates for servers and clients on this machine.
type privateAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	pem         string
}

func newPrivateAuthority(t *testing.T) *privateAuthority {
	t.Helper()
	a := &privateAuthority{key: p256(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate = issued(t, template, template, a.key, a.key)
	a.pool.AddCert(a.certificate)
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
	return a
}

func (a *privateAuthority) issue(t *testing.T, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key := p256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	return tls.Certificate{Certificate: [][]byte{issued(t, template, a.certificate, key, a.key).Raw}, PrivateKey: key}
}

// pair is a client's certificate and key in PEM.
func (a *privateAuthority) pair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	client := a.issue(t, x509.ExtKeyUsageClientAuth)
	der, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issued(t *testing.T, template, parent *x509.Certificate, subject, issuer *ecdsa.PrivateKey) *x509.Certificate {
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
