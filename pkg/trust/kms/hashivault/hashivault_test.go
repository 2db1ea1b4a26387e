// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package hashivault

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// fake is a Vault that lies. A real one is asked in e2e.
type fake struct {
	*httptest.Server
	mu sync.Mutex
	// requests are "METHOD path token namespace", in the order in which they came.
	requests []string
	answer   http.HandlerFunc
}

// newFake starts a Vault and names it in the environment.
func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, strings.TrimSpace(strings.Join([]string{r.Method, r.URL.Path, r.Header.Get("X-Vault-Token"), r.Header.Get("X-Vault-Namespace")}, " ")))
		f.mu.Unlock()
		f.answer(w, r)
	}))
	t.Cleanup(f.Close)
	for _, variable := range []string{"VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_AGENT_ADDR", engineVariable, roleVariable, authPathVariable} {
		t.Setenv(variable, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv(addressVariable, f.URL)
	t.Setenv("VAULT_TOKEN", "hvs.test")
	return f
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func ask(t *testing.T, p *Provider) ([]kms.Version, error) {
	t.Helper()
	uri, err := kms.ParseURI("hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	return p.PublicKeys(t.Context(), uri)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}
}

// transitKey is Vault's answer about a key.
func transitKey(t *testing.T, kind string, first any, keys map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"data": map[string]any{
		"name": "release", "type": kind, "min_decryption_version": first, "latest_version": len(keys), "keys": keys,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func p256(t *testing.T) (public *ecdsa.PublicKey, entry map[string]any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey, map[string]any{"name": "P-256", "public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// TestVersions: those that Vault itself verifies with count, the newest first.
func TestVersions(t *testing.T) {
	keys := map[string]any{}
	for n := 1; n <= 12; n++ {
		_, keys[fmt.Sprint(n)] = p256(t)
	}
	for name, tt := range map[string]struct {
		first int
		want  string
	}{
		"all of them":                         {1, "12 11 10 9 8 7 6 5 4 3 2 1"},
		"old ones are retired":                {9, "12 11 10 9"},
		"the newest alone":                    {12, "12"},
		"what nobody set is no bound":         {0, "12 11 10 9 8 7 6 5 4 3 2 1"},
		"none, which Vault itself cannot set": {13, ""},
	} {
		t.Run(name, func(t *testing.T) {
			newFake(t, says(transitKey(t, "ecdsa-p256", tt.first, keys)))
			versions, err := ask(t, New())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range versions {
				if v.Err != nil || v.Key == nil {
					t.Errorf("version %s: %v", v.Name, v.Err)
				}
				got = append(got, v.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeysAreThoseOfTheService(t *testing.T) {
	public, entry := p256(t)
	newFake(t, says(transitKey(t, "ecdsa-p256", 1, map[string]any{"1": entry})))
	versions, err := ask(t, New())
	if err != nil || len(versions) != 1 || !public.Equal(versions[0].Key) {
		t.Errorf("got %v, %v", versions, err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	newFake(t, says(transitKey(t, "ed25519", 1, map[string]any{"1": map[string]any{"name": "ed25519", "public_key": base64.StdEncoding.EncodeToString(edwards)}})))
	versions, err = ask(t, New())
	if err != nil || len(versions) != 1 || !edwards.Equal(versions[0].Key) {
		t.Errorf("got %v, %v", versions, err)
	}
}

// TestRequestsGoWhereTheEnvironmentSays and hold its credentials.
func TestRequestsGoWhereTheEnvironmentSays(t *testing.T) {
	_, entry := p256(t)
	answer := says(transitKey(t, "ecdsa-p256", 1, map[string]any{"1": entry}))
	for name, tt := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"as it stands":                {nil, "GET /v1/transit/keys/release hvs.test"},
		"an engine of another path":   {map[string]string{engineVariable: "/teams/signing/"}, "GET /v1/teams/signing/keys/release hvs.test"},
		"a namespace":                 {map[string]string{"VAULT_NAMESPACE": "corp"}, "GET /v1/transit/keys/release hvs.test corp"},
		"the token that a login left": {map[string]string{"VAULT_TOKEN": ""}, "GET /v1/transit/keys/release hvs.login"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, answer)
			if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".vault-token"), []byte("hvs.login\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for variable, value := range tt.environment {
				t.Setenv(variable, value)
			}
			if _, err := ask(t, New()); err != nil {
				t.Fatal(err)
			}
			if got := f.seen(); len(got) != 1 || got[0] != tt.want {
				t.Errorf("asked %q; want %q", got, tt.want)
			}
		})
	}
}

// TestAnswersThatAreNone: each says what it means for the key that was read before.
func TestAnswersThatAreNone(t *testing.T) {
	elsewhere := newFake(t, says(`{}`))
	_, entry := p256(t)
	with := func(keys map[string]any) http.HandlerFunc { return says(transitKey(t, "ecdsa-p256", 1, keys)) }
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"no such key":                 {status(404, `{"errors":[]}`), kms.ErrNoKey},
		"no such engine":              {status(404, `{"errors":["no handler for route \"transit/keys/release\""]}`), kms.ErrNoKey},
		"not found by something else": {status(404, `<html>nginx</html>`), kms.ErrUnavailable},
		"no access":                   {status(403, `{"errors":["permission denied"]}`), kms.ErrForbidden},
		"no token":                    {status(400, `{"errors":["missing client token"]}`), kms.ErrForbidden},
		"sealed":                      {status(503, `{"errors":["Vault is sealed"]}`), kms.ErrUnavailable},
		"too many requests":           {status(429, `{}`), kms.ErrUnavailable},
		"a standby that sends us elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/v1/transit/keys/release", http.StatusTemporaryRedirect)
		}, kms.ErrUnavailable},
		"a redirect for ever": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/v1/transit/keys/release", http.StatusMovedPermanently)
		}, kms.ErrUnavailable},
		"no JSON":                              {says(`<html>`), kms.ErrUnavailable},
		"half of an answer":                    {says(`{"data":{"keys":{`), kms.ErrUnavailable},
		"nothing":                              {says(``), kms.ErrUnavailable},
		"an empty object":                      {says(`{}`), kms.ErrUnavailable},
		"keys that are a list":                 {says(`{"data":{"min_decryption_version":1,"keys":[]}}`), kms.ErrUnavailable},
		"no first version":                     {says(`{"data":{"keys":{}}}`), kms.ErrUnavailable},
		"a first version that is a text":       {says(`{"data":{"min_decryption_version":"1","keys":{}}}`), kms.ErrUnavailable},
		"a first version larger than a number": {says(`{"data":{"min_decryption_version":99999999999999999999,"keys":{}}}`), kms.ErrUnavailable},
		"a version that is no number":          {with(map[string]any{"one": entry}), kms.ErrUnavailable},
		"a key that encrypts":                  {says(`{"data":{"type":"aes256-gcm96","min_decryption_version":1,"keys":{"1":1700000000}}}`), kms.ErrUnusable},
		"an answer without end":                {says(`{"data":{"x":"` + strings.Repeat("x", 2<<20)), kms.ErrUnavailable},
		"a header without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 20<<20))
		}, kms.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			newFake(t, tt.answer)
			versions, err := ask(t, New())
			if len(versions) != 0 || !errors.Is(err, tt.want) {
				t.Errorf("got %d versions and %v; want %v", len(versions), err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hvs.test") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	if asked := elsewhere.seen(); len(asked) != 0 {
		t.Errorf("another server was asked: %q", asked)
	}
}

// TestVersionsThatNobodyCanRead are named, and not in the way of others.
func TestVersionsThatNobodyCanRead(t *testing.T) {
	_, entry := p256(t)
	for name, bad := range map[string]map[string]any{
		"no public key":             {"name": "P-256"},
		"an empty public key":       {"name": "P-256", "public_key": ""},
		"a public key that is none": {"name": "P-256", "public_key": "x"},
		"a list":                    {"name": "P-256", "public_key": []string{"x"}},
		"a private key":             {"name": "P-256", "public_key": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"},
	} {
		t.Run(name, func(t *testing.T) {
			newFake(t, says(transitKey(t, "ecdsa-p256", 1, map[string]any{"1": entry, "2": bad})))
			versions, err := ask(t, New())
			if err != nil || len(versions) != 2 || versions[0].Err == nil || versions[1].Err != nil {
				t.Errorf("got %v, %v", versions, err)
			}
		})
	}
	newFake(t, says(transitKey(t, "ed25519", 1, map[string]any{"1": map[string]any{"public_key": "AAAA"}})))
	if versions, err := ask(t, New()); err != nil || len(versions) != 1 || versions[0].Err == nil {
		t.Errorf("a short Ed25519 key: %v, %v", versions, err)
	}
}

func TestWithoutWhatVaultNeeds(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"no address":             {addressVariable: ""},
		"an address that is no":  {addressVariable: "://"},
		"a CA that is not there": {"VAULT_CACERT": "/nowhere"},
		"no token":               {"VAULT_TOKEN": ""},
		"no home":                {"VAULT_TOKEN": "", "HOME": ""},
		"a role and no account":  {"VAULT_TOKEN": "", roleVariable: "countersign"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, says(`{}`))
			for variable, value := range environment {
				t.Setenv(variable, value)
			}
			p := New()
			p.tokenFile = filepath.Join(t.TempDir(), "token")
			if _, err := ask(t, p); !errors.Is(err, kms.ErrMisconfigured) {
				t.Errorf("got %v", err)
			}
			if asked := f.seen(); len(asked) != 0 {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestAVaultThatStallsIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	newFake(t, func(http.ResponseWriter, *http.Request) { <-released })
	t.Cleanup(func() { close(released) })
	uri, err := kms.ParseURI("hashivault://release")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := New().PublicKeys(ctx, uri); !errors.Is(err, kms.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestLoginOfAPod: the service account's token is exchanged for one of Vault's,
// which is used until it is old, or refused.
func TestLoginOfAPod(t *testing.T) {
	_, entry := p256(t)
	good := transitKey(t, "ecdsa-p256", 1, map[string]any{"1": entry})
	lease, refused, logins := 3600, false, 0
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/login"):
			var login struct{ Role, JWT string }
			if err := json.NewDecoder(r.Body).Decode(&login); err != nil || login.Role != "countersign" || login.JWT != "the account's" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			logins++
			fmt.Fprintf(w, `{"auth":{"client_token":"hvs.%d","lease_duration":%d}}`, logins, lease)
		case refused:
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = w.Write([]byte(good))
		}
	})
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv(roleVariable, "countersign")
	p := New()
	p.tokenFile = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(p.tokenFile, []byte("the account's"), 0o600); err != nil {
		t.Fatal(err)
	}
	step := func(name string, class error, want ...string) {
		t.Helper()
		before := len(f.seen())
		if _, err := ask(t, p); !errors.Is(err, class) {
			t.Errorf("%s: %v; want %v", name, err, class)
		}
		if got := f.seen()[before:]; strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: asked %q; want %q", name, got, want)
		}
	}
	const login, key = "PUT /v1/auth/kubernetes/login", "GET /v1/transit/keys/release hvs."
	step("the first question", nil, login, key+"1")
	step("the token is used again", nil, key+"1")
	refused = true
	step("a token that is revoked", kms.ErrForbidden, key+"1")
	refused, lease = false, 0
	step("logs in anew", nil, login, key+"2")
	step("a token that ends at once", nil, login, key+"3")
	t.Setenv(authPathVariable, "/k8s/corp/")
	step("another path", nil, "PUT /v1/auth/k8s/corp/login", key+"4")
	t.Setenv(roleVariable, "nobody")
	step("a role that is refused", kms.ErrForbidden, "PUT /v1/auth/k8s/corp/login")
	f.answer = status(404, `{"errors":["no handler for route"]}`)
	step("a login that is not there", kms.ErrMisconfigured, "PUT /v1/auth/k8s/corp/login")
	f.answer = status(503, `{"errors":["sealed"]}`)
	step("a Vault that is sealed", kms.ErrUnavailable, "PUT /v1/auth/k8s/corp/login")
	f.answer = says(`{}`)
	step("a login that gives nothing", kms.ErrUnavailable, "PUT /v1/auth/k8s/corp/login")
}
