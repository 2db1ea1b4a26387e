// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

// StartTokenRegistry starts a registry behind TLS that takes bearer tokens, and the
// server that issues them, at the same address (Distribution's token authentication:
// https://distribution.github.io/distribution/spec/auth/token/). Each user may read
// and write the repositories below his name, and nobody any other.
func (s *Stack) StartTokenRegistry(ctx context.Context, name string, users ...Login) (*SecureRegistry, error) {
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	behind, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	client, server, err := s.issueTLS(name, false)
	if err != nil {
		return nil, err
	}
	r := &SecureRegistry{Host: loopback(port), TLSClient: client}
	if _, err := r.admit(s, name, users); err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	issuer := tokenServer{key: private, users: users}
	keys, err := s.run.write(name+"-jwks.json", fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}]}`,
		tokenParty, base64.RawURLEncoding.EncodeToString(public)))
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(distributionConfig, s.run.file(name), loopback(behind)) +
		fmt.Sprintf("  host: https://%s\nauth:\n  token: {realm: %q, service: %s, issuer: %s, jwks: %q}\n", r.Host, "https://"+r.Host+"/token", tokenParty, tokenParty, keys)
	config, err := s.run.write(name+".yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	if r.front, err = serveInFront(ctx, r.Host, server, issuer, loopbackURL(behind)); err != nil {
		return nil, err
	}
	r.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("registry"),
		args:  []string{"serve", config},
		env:   []string{"OTEL_TRACES_EXPORTER=none"},
		ready: answers(http.DefaultClient, loopbackURL(behind)+"/v2/"),
	})
	return r, err
}

// serveInFront serves tokens, and passes everything else on.
func serveInFront(ctx context.Context, host string, files tlsServer, issuer http.Handler, behind string) (io.Closer, error) {
	target, err := url.Parse(behind)
	if err != nil {
		return nil, err
	}
	forward := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host
	}, ErrorLog: log.New(io.Discard, "", 0)}
	mux := http.NewServeMux()
	mux.Handle("/token", issuer)
	mux.Handle("/", forward)
	listener, err := listen(ctx, host)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.ServeTLS(listener, files.cert, files.key) }()
	return server, nil
}

// tokenParty is the issuer of tokens, the service that they are for, and the key's name.
const tokenParty = "stack"

// tokenServer issues tokens. It knows a password from a wrong one, and gives whoever has
// none a token that opens nothing, as Docker Hub does.
type tokenServer struct {
	key   ed25519.PrivateKey
	users []Login
}

// ServeHTTP implements http.Handler.
func (s tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	if given && !slices.Contains(s.users, Login{user, password}) {
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	token, err := s.issue(user, r.URL.Query()["scope"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	answer := struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}{token, 300}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		return // whoever asked has gone
	}
}

// issue signs a token for what of the scopes, "repository:<name>:<actions>", a user may.
func (s tokenServer) issue(user string, scopes []string) (string, error) {
	access := []map[string]any{}
	for scope := range strings.FieldsSeq(strings.Join(scopes, " ")) {
		parts := strings.Split(scope, ":")
		if len(parts) == 3 && parts[0] == "repository" && user != "" && strings.HasPrefix(parts[1], user+"/") {
			access = append(access, map[string]any{"type": "repository", "name": parts[1], "actions": strings.Split(parts[2], ",")})
		}
	}
	now := time.Now()
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "EdDSA", "kid": tokenParty})
	claims, problem := json.Marshal(map[string]any{
		"iss": tokenParty, "aud": tokenParty, "sub": user, "access": access,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err := errors.Join(err, problem); err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(text))), nil
}
