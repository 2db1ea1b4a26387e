// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxAnswer bounds the body of an answer, and maxHeader its header, in bytes.
	// Sixty-four RSA keys of 4096 bits with all that a service says of them are
	// less than a tenth of it.
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
)

var errTooLong = errors.New("answer is longer than 1 MiB")

// NewHTTPClient returns a client to speak to a service with: see NewHTTPClientWith.
// The environment may name a proxy.
func NewHTTPClient() *http.Client {
	return NewHTTPClientWith(&http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: askTimeout}).DialContext,
		TLSHandshakeTimeout: askTimeout,
		ForceAttemptHTTP2:   true,
	}, Bounded)
}

// NewHTTPClientWith returns a client that goes where it is told and nowhere else: a
// redirect is an answer, which no service gives. Its transport is the one given, with
// guard around it. Time is for the caller's context to bound.
func NewHTTPClientWith(transport *http.Transport, guard func(http.RoundTripper) http.RoundTripper) *http.Client {
	transport.MaxResponseHeaderBytes = maxHeader
	transport.MaxIdleConnsPerHost = 1
	transport.IdleConnTimeout = 30 * time.Second // questions are minutes apart
	return &http.Client{
		Transport:     guard(transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Bounded returns a transport whose answers end in an error when they are longer
// than anything that a service says.
func Bounded(transport http.RoundTripper) http.RoundTripper { return bounded{transport} }

type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
