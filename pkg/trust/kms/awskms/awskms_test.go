// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package awskms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// fake is an AWS KMS that lies, at an endpoint of its own.
type fake struct {
	*httptest.Server
	asked atomic.Int32
	last  atomic.Pointer[http.Request]
	body  atomic.Pointer[string]
}

func newFake(t *testing.T, answer http.HandlerFunc) (*fake, *Provider) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		f.last.Store(r)
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		f.body.Store(&text)
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	empty, bundle := filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "the secret", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_CONFIG_FILE": empty, "AWS_SHARED_CREDENTIALS_FILE": empty,
		"AWS_ROLE_ARN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CA_BUNDLE": bundle,
	} {
		t.Setenv(variable, value)
	}
	return f, New()
}

// endpoint is the URI of a key at the fake.
func (f *fake) endpoint(t *testing.T, key string) kms.URI {
	t.Helper()
	uri, err := kms.ParseURI("awskms://" + strings.TrimPrefix(f.URL, "https://") + "/" + key)
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}
}

func publicKey(t *testing.T) (public *ecdsa.PublicKey, answer map[string]any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey, map[string]any{
		"KeyId": arn, "PublicKey": base64.StdEncoding.EncodeToString(der), "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256", "SigningAlgorithms": []string{"ECDSA_SHA_256"},
	}
}

func text(t *testing.T, answer map[string]any) string {
	t.Helper()
	written, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(written)
}

func TestTheKeyIsAskedForAtTheEndpointOfTheURI(t *testing.T) {
	public, answer := publicKey(t)
	for name, tt := range map[string]struct {
		key, region string
		environment map[string]string
	}{
		"an alias":                        {"alias/release", "us-east-1", nil},
		"an ARN, whose region counts":     {arn, "eu-central-1", nil},
		"an ARN, and no region":           {arn, "eu-central-1", map[string]string{"AWS_REGION": ""}},
		"another endpoint in the process": {"alias/release", "us-east-1", map[string]string{"AWS_ENDPOINT_URL_KMS": "https://127.0.0.1:1", "AWS_ENDPOINT_URL": "https://127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := newFake(t, status(200, text(t, answer)))
			for variable, value := range tt.environment {
				t.Setenv(variable, value)
			}
			versions, err := p.PublicKeys(t.Context(), f.endpoint(t, tt.key))
			if err != nil || len(versions) != 1 || !public.Equal(versions[0].Key) || versions[0].Name != arn {
				t.Fatalf("got %v, %v", versions, err)
			}
			if n := f.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			if got := f.last.Load().Header.Get("X-Amz-Target"); got != "TrentService.GetPublicKey" {
				t.Errorf("asked for %q", got)
			}
			if got, want := *f.body.Load(), fmt.Sprintf(`{"KeyId":%q}`, tt.key); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
			if got := f.last.Load().Header.Get("Authorization"); !strings.Contains(got, "/"+tt.region+"/kms/aws4_request") || !strings.Contains(got, "AKIDTEST") {
				t.Errorf("signed as %q", got)
			}
		})
	}
}

// TestWithoutAnEndpointTheRegionsIsAsked: the address is AWS' own.
func TestWithoutAnEndpointTheRegionsIsAsked(t *testing.T) {
	_, p := newFake(t, status(500, ""))
	var hosts []string
	p.guard = func(http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host)
			return nil, errors.New("no network")
		})
	}
	for _, text := range []string{"awskms:///alias/release", "awskms:///" + arn} {
		uri, err := kms.ParseURI(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.PublicKeys(t.Context(), uri); !errors.Is(err, kms.ErrUnavailable) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := strings.Join(hosts, " "); got != "kms.us-east-1.amazonaws.com kms.eu-central-1.amazonaws.com" {
		t.Errorf("asked %s", got)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// TestAnswersThatAreNone: each says what it means for the key that was read before.
func TestAnswersThatAreNone(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	refused := func(kind string) http.HandlerFunc { return status(400, `{"__type":"`+kind+`","message":"x"}`) }
	_, answer := publicKey(t)
	answer["KeyUsage"] = "ENCRYPT_DECRYPT"
	encrypts := text(t, answer)
	delete(answer, "KeyUsage")
	useless := text(t, answer)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"no such key":                 {refused("NotFoundException"), kms.ErrNoKey},
		"a disabled key":              {refused("DisabledException"), kms.ErrNoKey},
		"a key about to be deleted":   {refused("KMSInvalidStateException"), kms.ErrNoKey},
		"a symmetric key":             {refused("UnsupportedOperationException"), kms.ErrUnusable},
		"a key that encrypts":         {status(200, encrypts), kms.ErrUnusable},
		"a key of no use":             {status(200, useless), kms.ErrUnusable},
		"no access":                   {refused("AccessDeniedException"), kms.ErrForbidden},
		"unknown credentials":         {refused("UnrecognizedClientException"), kms.ErrForbidden},
		"credentials that ended":      {refused("ExpiredTokenException"), kms.ErrForbidden},
		"too many requests":           {refused("ThrottlingException"), kms.ErrUnavailable},
		"an error of its own":         {status(500, `{"__type":"KMSInternalException"}`), kms.ErrUnavailable},
		"an error of nobody's":        {status(503, `<html>`), kms.ErrUnavailable},
		"no JSON":                     {status(200, `<html>`), kms.ErrUnavailable},
		"half of an answer":           {status(200, useless[:40]), kms.ErrUnavailable},
		"not found by something else": {status(404, `<html>nginx</html>`), kms.ErrUnavailable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, kms.ErrUnavailable},
		"an answer without end": {status(200, `{"x":"`+strings.Repeat("x", 2<<20)), kms.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := newFake(t, tt.answer)
			versions, err := p.PublicKeys(t.Context(), f.endpoint(t, "alias/release"))
			if len(versions) != 0 || !errors.Is(err, tt.want) {
				t.Errorf("got %d versions and %v; want %v", len(versions), err, tt.want)
			}
			if n := f.asked.Load(); n != 1 {
				t.Errorf("asked %d times: whoever keeps the key says when to try again", n)
			}
			if err != nil && strings.Contains(err.Error(), "the secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestAKeyThatNobodyCanRead(t *testing.T) {
	_, answer := publicKey(t)
	for name, der := range map[string]string{"no key": "", "bytes": "AAAA", "a key cut short": answer["PublicKey"].(string)[:40]} {
		t.Run(name, func(t *testing.T) {
			answer["PublicKey"] = der
			f, p := newFake(t, status(200, text(t, answer)))
			versions, err := p.PublicKeys(t.Context(), f.endpoint(t, "alias/release"))
			if err != nil || len(versions) != 1 || versions[0].Err == nil || versions[0].Key != nil {
				t.Errorf("got %v, %v", versions, err)
			}
		})
	}
}

func TestWithoutWhatAWSNeeds(t *testing.T) {
	for name, tt := range map[string]struct {
		environment map[string]string
		want        error
	}{
		"no region":                      {map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, kms.ErrMisconfigured},
		"a bundle that is not there":     {map[string]string{"AWS_CA_BUNDLE": "/nowhere"}, kms.ErrMisconfigured},
		"a profile that is not there":    {map[string]string{"AWS_PROFILE": "corp"}, kms.ErrMisconfigured},
		"no credentials":                 {map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, kms.ErrUnavailable},
		"a web identity without a token": {map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}, kms.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := newFake(t, status(500, ""))
			for variable, value := range tt.environment {
				t.Setenv(variable, value)
			}
			if _, err := p.PublicKeys(t.Context(), f.endpoint(t, "alias/release")); !errors.Is(err, tt.want) {
				t.Errorf("got %v; want %v", err, tt.want)
			}
			if n := f.asked.Load(); n != 0 {
				t.Errorf("the key was asked for %d times", n)
			}
		})
	}
}

func TestAServiceThatStallsIsGivenUp(t *testing.T) {
	released := make(chan struct{})
	f, p := newFake(t, func(http.ResponseWriter, *http.Request) { <-released })
	t.Cleanup(func() { close(released) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := p.PublicKeys(ctx, f.endpoint(t, "alias/release")); !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
