// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package azurekms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// fake is a Key Vault that lies. Its name has the form that a vault's has.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

const vault = "corp.vault.azure.net"

// token is a credential that is always there.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "eyJ.test", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func newFake(t *testing.T, answer http.HandlerFunc) (*fake, *Provider) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" { // Key Vault tells who asks where to get a token
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.mu.Lock()
		f.asked = append(f.asked, r.URL.Path+" "+r.Header.Get("Authorization"))
		f.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	p := New(kms.NewHTTPClient())
	p.credential = func(azcore.ClientOptions) (azcore.TokenCredential, error) { return token{}, nil }
	p.http.Transport = kms.Bounded(dialling{f.Listener.Addr().String(), f.Client().Transport.(*http.Transport)})
	return f, p
}

// dialling leads all that is asked of the vault to the fake.
type dialling struct {
	address   string
	transport *http.Transport
}

func (d dialling) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != vault {
		return nil, fmt.Errorf("asked %s", r.URL.Host)
	}
	there := r.Clone(r.Context())
	there.URL.Host = d.address
	return d.transport.RoundTrip(there)
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func ask(t *testing.T, p *Provider, version string) ([]kms.Version, error) {
	t.Helper()
	uri, err := kms.ParseURI("azurekms://" + vault + "/release" + version)
	if err != nil {
		t.Fatal(err)
	}
	return p.PublicKeys(t.Context(), uri)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}
}

func encode(number *big.Int) string { return base64.RawURLEncoding.EncodeToString(number.Bytes()) }

// ec is Key Vault's answer about a P-256 key, and the key.
func ec(t *testing.T, kind string, enabled bool) (string, *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"attributes": map[string]any{"enabled": enabled}, "key": map[string]any{
		"kid": "https://" + vault + "/keys/release/aa", "kty": kind, "crv": "P-256",
		"x": encode(new(big.Int).SetBytes(point[1:33])), "y": encode(new(big.Int).SetBytes(point[33:])),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), &key.PublicKey
}

// TestVersions: those that are enabled count, the newest first.
func TestVersions(t *testing.T) {
	first, key1 := ec(t, "EC", true)
	second, key2 := ec(t, "EC-HSM", true)
	const list = `{"value":[
		{"kid":"https://corp.vault.azure.net/keys/release/aa","attributes":{"enabled":true,"created":1700000000}},
		{"kid":"https://corp.vault.azure.net/keys/release/cc","attributes":{"enabled":false,"created":1700000002}},
		{"kid":"https://corp.vault.azure.net/keys/release/dd"}
	],"nextLink":"https://corp.vault.azure.net/keys/release/versions?page=2"}`
	const rest = `{"value":[{"kid":"https://corp.vault.azure.net/keys/release/bb","attributes":{"enabled":true,"created":1700000001}}]}`
	f, p := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("page"):
			says(rest)(w, r)
		case strings.HasSuffix(r.URL.Path, "/versions"):
			says(list)(w, r)
		case strings.HasSuffix(r.URL.Path, "/aa"):
			says(first)(w, r)
		default:
			says(second)(w, r)
		}
	})
	got, err := ask(t, p, "")
	if err != nil || len(got) != 2 || got[0].Name != "bb" || !key2.Equal(got[0].Key) || got[1].Name != "aa" || !key1.Equal(got[1].Key) {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = ask(t, p, "/aa")
	if err != nil || len(got) != 1 || !key1.Equal(got[0].Key) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, asked := range f.seen() {
		if !strings.HasSuffix(asked, " Bearer eyJ.test") {
			t.Errorf("asked %q", asked)
		}
	}
}

func TestAnRSAKey(t *testing.T) {
	for _, kind := range []string{"RSA", "RSA-HSM"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		_, p := newFake(t, says(fmt.Sprintf(`{"attributes":{"enabled":true},"key":{"kty":%q,"n":%q,"e":"AQAB"}}`, kind, encode(key.N))))
		got, err := ask(t, p, "/aa")
		if err != nil || len(got) != 1 || !key.PublicKey.Equal(got[0].Key) {
			t.Errorf("%s: got %v, %v", kind, got, err)
		}
	}
}

// TestAnswersThatAreNone: each says what it means for the key that was read before.
func TestAnswersThatAreNone(t *testing.T) {
	disabled, _ := ec(t, "EC", false)
	refused := func(code int, name string) http.HandlerFunc {
		return status(code, fmt.Sprintf(`{"error":{"code":%q,"message":"x"}}`, name))
	}
	many := strings.Repeat(`{"kid":"https://corp.vault.azure.net/keys/release/aa","attributes":{"enabled":true}},`, kms.MaxVersions)
	for name, tt := range map[string]struct {
		version string
		answer  http.HandlerFunc
		want    error
	}{
		"no such key":                         {"/aa", refused(404, "KeyNotFound"), kms.ErrNoKey},
		"no such key, of which none is named": {"", refused(404, "KeyNotFound"), kms.ErrNoKey},
		"a version that is disabled":          {"/aa", says(disabled), kms.ErrNoKey},
		"no access":                           {"/aa", refused(403, "Forbidden"), kms.ErrForbidden},
		"no right to list":                    {"", refused(403, "Forbidden"), kms.ErrForbidden},
		"a token that is refused":             {"/aa", refused(401, "Unauthorized"), kms.ErrForbidden},
		"too many requests":                   {"/aa", refused(429, "Throttled"), kms.ErrUnavailable},
		"an error of its own":                 {"", refused(503, "ServiceUnavailable"), kms.ErrUnavailable},
		"not found by something else":         {"/aa", status(404, `<html>`), kms.ErrUnavailable},
		"no JSON":                             {"/aa", says(`<html>`), kms.ErrUnavailable},
		"no key":                              {"/aa", says(`{"attributes":{"enabled":true}}`), kms.ErrUnavailable},
		"nothing about being enabled":         {"/aa", says(`{"key":{"kty":"EC"}}`), kms.ErrNoKey},
		"a version without an ID":             {"", says(`{"value":[{"kid":"https://corp.vault.azure.net/keys/release","attributes":{"enabled":true}}]}`), kms.ErrUnavailable},
		"more versions than anybody needs":    {"", says(`{"value":[` + many + many[:len(many)-1] + `]}`), kms.ErrUnusable},
		"a list that goes on elsewhere":       {"", says(`{"value":[],"nextLink":"https://evil.example/keys"}`), kms.ErrUnavailable},
		"a redirect": {"/aa", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, kms.ErrUnavailable},
		"an answer without end": {"/aa", says(`{"x":"` + strings.Repeat("x", 2<<20)), kms.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := newFake(t, tt.answer)
			got, err := ask(t, p, tt.version)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			} else if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "asked evil") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestATokenIsForTheVaultsDomain: a host elsewhere that says it is a vault gets none.
func TestATokenIsForTheVaultsDomain(t *testing.T) {
	asked := 0
	p := New(kms.NewHTTPClient())
	p.credential = func(azcore.ClientOptions) (azcore.TokenCredential, error) { return token{}, nil }
	p.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		asked++
		if r.Header.Get("Authorization") != "" {
			t.Error("it got a token")
		}
		return &http.Response{StatusCode: http.StatusUnauthorized, Body: http.NoBody, Request: r, Header: http.Header{
			"Www-Authenticate": {`Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`},
		}}, nil
	})
	uri, err := kms.ParseURI("azurekms://corp.evil.example/release/aa")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.PublicKeys(t.Context(), uri); err == nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestKeysThatNobodyCanRead(t *testing.T) {
	text := func(s string) *azkeys.KeyType { k := azkeys.KeyType(s); return &k }
	curve := func(s string) *azkeys.CurveName { c := azkeys.CurveName(s); return &c }
	one := make([]byte, 32)
	one[31] = 1
	for name, jwk := range map[string]azkeys.JSONWebKey{
		"no type":                    {},
		"a symmetric key":            {Kty: text("oct-HSM")},
		"no curve":                   {Kty: text("EC")},
		"a curve that we do not use": {Kty: text("EC"), Crv: curve("P-256K"), X: one, Y: one},
		"a point off the curve":      {Kty: text("EC"), Crv: curve("P-256"), X: one, Y: one},
		"no point":                   {Kty: text("EC"), Crv: curve("P-256")},
		"a coordinate too long":      {Kty: text("EC"), Crv: curve("P-256"), X: make([]byte, 33), Y: one},
		"no modulus":                 {Kty: text("RSA"), E: []byte{1, 0, 1}},
		"no exponent":                {Kty: text("RSA"), N: one},
		"an exponent of one":         {Kty: text("RSA"), N: one, E: []byte{1}},
		"an exponent without end":    {Kty: text("RSA"), N: one, E: make([]byte, 1000)},
		"a huge exponent":            {Kty: text("RSA"), N: one, E: []byte{1, 0, 0, 0, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if key, err := parse(&jwk); err == nil {
				t.Errorf("got %v", key)
			}
		})
	}
}

// TestACoordinateThatBeginsWithZeros may be written without them.
func TestACoordinateThatBeginsWithZeros(t *testing.T) {
	for range 20000 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if point[1] != 0 {
			continue
		}
		kind, curve := azkeys.KeyTypeEC, azkeys.CurveNameP256
		got, err := parse(&azkeys.JSONWebKey{Kty: &kind, Crv: &curve, X: point[2:33], Y: point[33:]})
		if err != nil || !key.PublicKey.Equal(got) {
			t.Errorf("got %v, %v", got, err)
		}
		return
	}
	t.Fatal("no key of 20000 has a coordinate that begins with a zero")
}

func TestCredentialsThatAreNotThere(t *testing.T) {
	_, p := newFake(t, status(500, ""))
	p.credential = func(azcore.ClientOptions) (azcore.TokenCredential, error) { return nil, errors.New("none") }
	if _, err := ask(t, p, ""); !errors.Is(err, kms.ErrMisconfigured) {
		t.Errorf("got %v", err)
	}
	for name, want := range map[string]string{"": "https://login.microsoftonline.com/", "AZURECHINACLOUD": "https://login.chinacloudapi.cn/", "AZUREUSGOVERNMENT": "https://login.microsoftonline.us/"} {
		if got := cloudOf(name).ActiveDirectoryAuthorityHost; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAServiceThatStallsIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	_, p := newFake(t, func(http.ResponseWriter, *http.Request) { <-released })
	t.Cleanup(func() { close(released) })
	uri, err := kms.ParseURI("azurekms://" + vault + "/release")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.PublicKeys(ctx, uri); !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
