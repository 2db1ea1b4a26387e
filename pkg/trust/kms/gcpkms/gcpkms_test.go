// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package gcpkms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

const key = "projects/corp/locations/global/keyRings/release/cryptoKeys/signing"

// fake is a Cloud KMS that lies.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newFake(t *testing.T, answer http.HandlerFunc) (*fake, *Provider) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.URL.Path+" "+r.Header.Get("Authorization"))
		f.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	p := New(kms.NewHTTPClient())
	p.endpoint = f.URL + "/v1/"
	p.token = func(context.Context, *http.Client) (*oauth2.Token, error) {
		return &oauth2.Token{AccessToken: "ya29.test"}, nil
	}
	return f, p
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.asked))
}

func ask(t *testing.T, p *Provider, version string) ([]kms.Version, error) {
	t.Helper()
	uri, err := kms.ParseURI("gcpkms://" + key + version)
	if err != nil {
		t.Fatal(err)
	}
	return p.PublicKeys(t.Context(), uri)
}

// versions answers as a key does that has versions: number to state.
func versions(t *testing.T, states map[string]string) (http.HandlerFunc, map[string]*ecdsa.PublicKey) {
	t.Helper()
	type listed struct {
		Name  string `json:"name"`
		State string `json:"state"`
	}
	var list []listed
	keys := map[string]*ecdsa.PublicKey{}
	for number, state := range states {
		list = append(list, listed{key + "/cryptoKeyVersions/" + number, state})
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[number] = &made.PublicKey
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/"+key+"/cryptoKeyVersions" {
			if r.URL.Query().Get("filter") != "state=ENABLED" {
				w.WriteHeader(http.StatusBadRequest)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"cryptoKeyVersions": list})
			return
		}
		name, _ := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), "/publicKey")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": name, "pem": pemOf(keys[name[strings.LastIndex(name, "/")+1:]]), "algorithm": "EC_SIGN_P256_SHA256",
		})
	}, keys
}

func pemOf(public *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestVersions: those that are enabled count, the newest first, which is not the
// last in the order of texts.
func TestVersions(t *testing.T) {
	answer, keys := versions(t, map[string]string{"1": "ENABLED", "2": "ENABLED", "9": "DISABLED", "10": "ENABLED", "11": "DESTROYED"})
	for name, tt := range map[string]struct {
		version string
		want    []string
		asked   int
	}{
		"all that are enabled":  {"", []string{"10", "2", "1"}, 4},
		"the one that is named": {"/cryptoKeyVersions/2", []string{"2"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := newFake(t, answer)
			got, err := ask(t, p, tt.version)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("got %v, %v", got, err)
			}
			for i, number := range tt.want {
				if got[i].Name != number || !keys[number].Equal(got[i].Key) {
					t.Errorf("number %d is %v", i, got[i])
				}
			}
			if asked := f.seen(); len(asked) != tt.asked || !strings.HasSuffix(asked[0], " Bearer ya29.test") {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// TestAnswersThatAreNone: each says what it means for the key that was read before.
func TestAnswersThatAreNone(t *testing.T) {
	elsewhere, _ := newFake(t, http.NotFound)
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(text))
		}
	}
	refused := func(code int, name string) http.HandlerFunc {
		return status(code, fmt.Sprintf(`{"error":{"code":%d,"message":"x","status":%q}}`, code, name))
	}
	good := pemOf(func() *ecdsa.PublicKey { _, keys := versions(t, map[string]string{"1": ""}); return keys["1"] }())
	says := func(name, algorithm string) http.HandlerFunc {
		text, err := json.Marshal(map[string]any{"name": name, "pem": good, "algorithm": algorithm})
		if err != nil {
			t.Fatal(err)
		}
		return status(200, string(text))
	}
	for name, tt := range map[string]struct {
		version string
		answer  http.HandlerFunc
		want    error
	}{
		"no such key":                  {"", refused(404, "NOT_FOUND"), kms.ErrNoKey},
		"a version that is disabled":   {"/versions/1", refused(400, "FAILED_PRECONDITION"), kms.ErrNoKey},
		"a key of another kind":        {"/versions/1", refused(400, "INVALID_ARGUMENT"), kms.ErrUnusable},
		"a key that decrypts":          {"/versions/1", says("", "RSA_DECRYPT_OAEP_2048_SHA256"), kms.ErrUnusable},
		"no access":                    {"", refused(403, "PERMISSION_DENIED"), kms.ErrForbidden},
		"no credentials":               {"", refused(401, "UNAUTHENTICATED"), kms.ErrForbidden},
		"too many requests":            {"", refused(429, "RESOURCE_EXHAUSTED"), kms.ErrUnavailable},
		"an error of its own":          {"", refused(503, "UNAVAILABLE"), kms.ErrUnavailable},
		"not found by something else":  {"", status(404, `<html>`), kms.ErrUnavailable},
		"no JSON":                      {"/versions/1", status(200, `<html>`), kms.ErrUnavailable},
		"half of an answer":            {"", status(200, `{"cryptoKeyVersions":[`), kms.ErrUnavailable},
		"a version that has no number": {"", status(200, `{"cryptoKeyVersions":[{"name":"x/latest","state":"ENABLED"}]}`), kms.ErrUnavailable},
		"a version below zero":         {"", status(200, `{"cryptoKeyVersions":[{"name":"x/-1","state":"ENABLED"}]}`), kms.ErrUnavailable},
		"versions on a second page":    {"", status(200, `{"cryptoKeyVersions":[],"nextPageToken":"x"}`), kms.ErrUnusable},
		"an answer about another key":  {"/versions/1", says(key+"/cryptoKeyVersions/2", "EC_SIGN_P256_SHA256"), kms.ErrUnavailable},
		"a redirect":                   {"", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, kms.ErrUnavailable},
		"an answer without end":        {"", status(200, `{"x":"`+strings.Repeat("x", 2<<20)), kms.ErrUnavailable},
		"one good version and one that fails": {"", func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "cryptoKeyVersions"):
				_, _ = w.Write([]byte(`{"cryptoKeyVersions":[{"name":"x/1","state":"ENABLED"},{"name":"x/2","state":"ENABLED"}]}`))
			case strings.Contains(r.URL.Path, "/2/"):
				says("", "EC_SIGN_P256_SHA256")(w, r)
			default:
				w.WriteHeader(http.StatusBadGateway)
			}
		}, kms.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := newFake(t, tt.answer)
			if _, err := ask(t, p, tt.version); !errors.Is(err, tt.want) {
				t.Errorf("got %v; want %v", err, tt.want)
			} else if strings.Contains(err.Error(), "ya29") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	if asked := elsewhere.seen(); len(asked) != 0 {
		t.Errorf("another server was asked: %q", asked)
	}
}

func TestAKeyWithoutVersions(t *testing.T) {
	answer, _ := versions(t, map[string]string{"1": "DISABLED"})
	_, p := newFake(t, answer)
	if got, err := ask(t, p, ""); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAVersionThatNobodyCanRead(t *testing.T) {
	_, p := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"algorithm":"PQ_SIGN_ML_DSA_65","pem":"x"}`))
	})
	got, err := ask(t, p, "/versions/1")
	if err != nil || len(got) != 1 || got[0].Err == nil || got[0].Key != nil || !strings.Contains(got[0].Err.Error(), "ML_DSA") {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestCredentials: those of the environment are exchanged for a token where they say.
func TestCredentials(t *testing.T) {
	answer, _ := versions(t, map[string]string{"1": "ENABLED"})
	tokens, status := 0, http.StatusOK
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tokens++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"access_token":"ya29.issued","token_type":"Bearer","expires_in":3600}`))
	}))
	t.Cleanup(issuer.Close)
	file := filepath.Join(t.TempDir(), "credentials.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	t.Setenv("HOME", t.TempDir())
	// A workload identity federation: a token of ours for one of Google's.
	subject := filepath.Join(t.TempDir(), "token")
	text, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": issuer.URL, "credential_source": map[string]string{"file": subject},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{file: string(text), subject: "the account's"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, p := newFake(t, answer)
	p.token = defaultToken
	if _, err := ask(t, p, "/versions/1"); err != nil {
		t.Fatal(err)
	}
	if asked := f.seen(); tokens != 1 || len(asked) != 1 || !strings.HasSuffix(asked[0], " Bearer ya29.issued") {
		t.Errorf("%d tokens, asked %q", tokens, asked)
	}
	status = http.StatusForbidden
	if _, err := ask(t, p, "/versions/1"); !errors.Is(err, kms.ErrForbidden) && !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("credentials that are refused: %v", err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
	if _, err := ask(t, p, ""); !errors.Is(err, kms.ErrMisconfigured) {
		t.Errorf("credentials that are not there: %v", err)
	}
}

func TestAServiceThatStallsIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	_, p := newFake(t, func(http.ResponseWriter, *http.Request) { <-released })
	t.Cleanup(func() { close(released) })
	uri, err := kms.ParseURI("gcpkms://" + key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.PublicKeys(ctx, uri); !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
