// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"time"
)

// OIDC is a server of identity issuers (OpenID Connect Discovery 1.0) that vouch
// for whatever they are told to. Each issuer is a path: URL/email, URL/github-workflow …
type OIDC struct {
	URL string

	key    *rsa.PrivateKey
	server *http.Server
}

// clientID is the audience of identity tokens for Fulcio.
const clientID = "sigstore"

// tokenLifetime is how long identity tokens are good for.
const tokenLifetime = 10 * time.Minute

func (s *Stack) startOIDC(ctx context.Context) (*OIDC, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, loopback(port))
	if err != nil {
		return nil, err
	}
	o := &OIDC{URL: loopbackURL(port), key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{issuer}/.well-known/openid-configuration", o.discovery)
	mux.HandleFunc("GET /keys", o.keys)
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go o.server.Serve(listener) //nolint:errcheck // ends with Close
	s.onClose(func() { _ = o.server.Close() })
	return o, nil
}

// issuer is the issuer of that name, as it is in tokens.
func (o *OIDC) issuer(name string) string { return o.URL + "/" + name }

func (o *OIDC) discovery(w http.ResponseWriter, r *http.Request) {
	issuer := o.issuer(r.PathValue("issuer"))
	answer(w, map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              o.URL + "/keys",
		"authorization_endpoint":                issuer + "/auth",
		"token_endpoint":                        issuer + "/token",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// keys is a JSON Web Key Set (RFC 7517) of the one key.
func (o *OIDC) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
		"n": base64url(o.key.N.Bytes()),
		"e": base64url(big.NewInt(int64(o.key.E)).Bytes()),
	}}})
}

func answer(w http.ResponseWriter, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone if it fails
}

// token signs claims as a JSON Web Token (RFC 7519) of one issuer for Fulcio.
func (o *OIDC) token(issuer string, claims map[string]any) (string, error) {
	now := time.Now()
	all := map[string]any{
		"iss": issuer,
		"aud": clientID,
		"iat": now.Unix(),
		"nbf": now.Add(-time.Second).Unix(),
		"exp": now.Add(tokenLifetime).Unix(),
	}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	signed := base64url([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + base64url(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, o.key, crypto.SHA256, digest[:])
	return signed + "." + base64url(signature), err
}

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
