// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

const (
	maxCABundleBytes = 128 << 10
	maxCABundle      = 256
	// maxCredential bounds a user name, a password and a token each.
	maxCredential = 16 << 10
	// maxHeaderBytes bounds the header of an answer of a log.
	maxHeaderBytes = 64 << 10
)

// connection is what the connections to a log are made from: all that the object and
// the Secrets that it names say of them. It is comparable, so that what a log is asked
// over is kept until that changes.
type connection struct {
	caBundle           string
	certificate, key   string // PEM, of the client
	authorization      string // the header field
	insecureSkipVerify bool
}

// newConnection reads what spec names.
func newConnection(ctx context.Context, spec *v1alpha1.TransparencyLogSpec, secrets SecretReader) (connection, error) {
	c := connection{insecureSkipVerify: spec.SkipsTLSVerification()}
	if spec.TLS != nil {
		c.caBundle = spec.TLS.CABundle
		if ref := spec.TLS.ClientCertSecretRef; ref != nil {
			values, err := secretValues(ctx, ref.Name, secrets, v1alpha1.SecretKeyCertificate, v1alpha1.SecretKeyPrivateKey)
			if err != nil {
				return connection{}, fmt.Errorf("tls.clientCertSecretRef: %w", err)
			}
			c.certificate, c.key = values[0], values[1]
		}
	}
	var err error
	if c.authorization, err = authorization(ctx, spec.Auth, secrets); err != nil {
		return connection{}, fmt.Errorf("auth: %w", err)
	}
	return c, nil
}

// authorization returns the Authorization header field (RFC 7617, RFC 6750).
func authorization(ctx context.Context, auth *v1alpha1.LogAuth, secrets SecretReader) (string, error) {
	switch {
	case auth == nil:
		return "", nil
	case auth.BasicSecretRef != nil:
		values, err := secretValues(ctx, auth.BasicSecretRef.Name, secrets, v1alpha1.SecretKeyUsername, v1alpha1.SecretKeyPassword)
		if err != nil {
			return "", fmt.Errorf("basicSecretRef: %w", err)
		}
		if strings.Contains(values[0], ":") {
			return "", fmt.Errorf("basicSecretRef: %w: a user name cannot hold a colon", ErrCredentialInvalid)
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(values[0]+":"+values[1])), nil
	case auth.BearerSecretRef != nil:
		key := auth.BearerSecretRef.Key
		if key == "" {
			key = v1alpha1.DefaultBearerSecretKey
		}
		values, err := secretValues(ctx, auth.BearerSecretRef.Name, secrets, key)
		if err != nil {
			return "", fmt.Errorf("bearerSecretRef: %w", err)
		}
		// A token that was written with an editor ends in a line break.
		token := strings.TrimSpace(values[0])
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("bearerSecretRef: %w: a token is one word of printable ASCII", ErrCredentialInvalid)
		}
		return "Bearer " + token, nil
	default:
		return "", errors.New("neither basicSecretRef nor bearerSecretRef is set")
	}
}

// secretValues returns the values of keys in the named Secret. No error quotes one.
func secretValues(ctx context.Context, name string, secrets SecretReader, keys ...string) ([]string, error) {
	content, err := secrets.Secret(ctx, name)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(keys))
	for i, key := range keys {
		value, ok := content[key]
		if !ok {
			return nil, fmt.Errorf("%w: Secret %q has no key %q", ErrSecretNotFound, name, key)
		}
		if len(value) > maxCredential {
			return nil, fmt.Errorf("%w: %s of Secret %q is longer than %d bytes", ErrCredentialInvalid, key, name, maxCredential)
		}
		values[i] = string(value)
	}
	return values, nil
}

// ParseCABundle parses the certificates (PEM, or base64 of it) of authorities. Its
// error quotes nothing of the text.
func ParseCABundle(text string) ([]*x509.Certificate, error) {
	if len(text) > maxCABundleBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxCABundleBytes)
	}
	return parseCertificates(text, maxCABundle)
}

// transport has connections enough for a server that many requests ask at once, and
// not more than one should bear. They are kept for the next request. Each request has
// its own time limit. Proxies are those that the environment names.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// transport returns connections for one log.
func (c connection) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.insecureSkipVerify} //nolint:gosec // That is what the field is for.
	if c.caBundle != "" {
		authorities, err := ParseCABundle(c.caBundle)
		if err != nil {
			return nil, fmt.Errorf("tls.caBundle: %w", err)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("the certificate authorities of the system: %w", err)
		}
		for _, authority := range authorities {
			config.RootCAs.AddCert(authority)
		}
	}
	if c.certificate != "" {
		pair, err := tls.X509KeyPair([]byte(c.certificate), []byte(c.key))
		if err != nil {
			return nil, fmt.Errorf("tls.clientCertSecretRef: %w: %w", ErrCredentialInvalid, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	own := transport()
	own.TLSClientConfig = config
	return own, nil
}

// client returns the client that makes the requests to a log over transport.
func (c connection) client(transport *http.Transport) *http.Client {
	if c.authorization == "" {
		return &http.Client{Transport: transport}
	}
	return &http.Client{Transport: authorized{transport, c.authorization}}
}

// authorized adds the credentials to each request. Package tlog follows no redirect
// to another host, so that they reach the log's own and no other.
type authorized struct {
	transport     http.RoundTripper
	authorization string
}

// RoundTrip implements http.RoundTripper.
func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", a.authorization)
	return a.transport.RoundTrip(r)
}
