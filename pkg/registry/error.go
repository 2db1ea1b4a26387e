// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// Error is what every method of Client returns when it fails. Reason is one of
// ImageNotFound, LimitExceeded, RegistryUnavailable, RegistryUnauthorized,
// RegistryThrottled and DeadlineExceeded.
type Error struct {
	Reason verify.Reason
	// Detail is one clause for a person. It is short and holds printable ASCII
	// only, whatever the registry sent.
	Detail string
	// Err is the cause, for errors.Is and errors.As; its text may hold what a
	// registry sent, so print Detail instead.
	Err error
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errRefused marks requests that our own rules forbid.
var errRefused = errors.New("refused")

// refusedError says, in our own words, which rule that is.
type refusedError struct{ rule string }

func refused(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

func (e *refusedError) Error() string        { return "refused: " + e.rule }
func (e *refusedError) Is(target error) bool { return target == errRefused }

// errGuess refuses a scheme that go-containerregistry tries because of how a host's
// name looks: it takes HTTPS or HTTP for possible where only one is. What came of
// the other one is what there is to tell.
var errGuess = errors.New("not the scheme of this registry")

// errTooLarge is what a response's body ends with when it exceeds its bound.
var errTooLarge = errors.New("response is too large")

func unavailable(format string, args ...any) *Error {
	return &Error{Reason: verify.RegistryUnavailable, Detail: fmt.Sprintf(format, args...)}
}

func limitExceeded(format string, args ...any) *Error {
	return &Error{Reason: verify.LimitExceeded, Detail: fmt.Sprintf(format, args...)}
}

// failure turns the error of a request, or of the handshake before it, into an
// *Error. host is the registry.
func failure(ctx context.Context, host string, err error) *Error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	switch {
	case ctx.Err() != nil:
		return &Error{verify.DeadlineExceeded, "registry " + host + " did not answer in time", err}
	case errors.Is(err, errTooLarge):
		return &Error{verify.LimitExceeded, "registry " + host + " sent more than is accepted", err}
	}
	// Only the handshake (ping and token) returns these: the status of the
	// request itself is judged by whoever made it. So a 404 here says nothing
	// about the image.
	if status := (*transport.Error)(nil); errors.As(err, &status) {
		e := statusError(host, "the authentication handshake", status.StatusCode, "")
		e.Err = err
		return e
	}
	return &Error{verify.RegistryUnavailable, "registry " + host + " cannot be reached: " + describe(err), err}
}

// statusError is the outcome of a request that was answered with a status that
// is neither success nor, for what was asked, absence.
func statusError(host, what string, status int, code string) *Error {
	answer := fmt.Sprintf("registry %s answered %d to %s", host, status, what)
	if code != "" {
		answer += " (" + code + ")"
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &Error{verify.RegistryUnauthorized, answer + ": the credentials do not allow it, or, as many registries answer, there is no such repository or tag", nil}
	case http.StatusTooManyRequests:
		return &Error{verify.RegistryThrottled, answer + ": it limits the rate of requests", nil}
	default:
		return &Error{verify.RegistryUnavailable, answer, nil}
	}
}

// describe says in a few words why a request failed. It repeats nothing that the
// network said: whoever creates a Pod names the host, and must not learn from a
// denial what else answers at which address. The whole error is logged.
func describe(err error) string {
	var (
		dns       *net.DNSError
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		remote    *net.OpError
		record    tls.RecordHeaderError
		network   net.Error
		ours      *refusedError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks plain HTTP, which is used only for registries that are named as insecure"
	case errors.As(err, &dns):
		return "its host name does not resolve"
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &hostname):
		return "its certificate is not trusted"
	case errors.As(err, &record), errors.As(err, &remote) && remote.Op == "remote error": // a TLS alert
		return "the TLS handshake fails"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses connections"
	case errors.As(err, &ours):
		return ours.Error()
	case errors.As(err, &network) && network.Timeout():
		return "it does not answer"
	default:
		return "the connection fails"
	}
}

// printable makes a text from elsewhere fit for an error message.
func printable(s string) string { return printableUpTo(s, shownText) }

func printableUpTo(s string, longest int) string {
	cut := len(s) > longest
	if cut {
		s = s[:longest]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if cut {
		s += "..."
	}
	return s
}

// worse returns the error to report of two, either of which may be nil: what
// could not be told, and may be told later, before what was refused for good.
func worse(a, b error) error {
	if a == nil || (b != nil && !isUnavailable(a) && isUnavailable(b)) {
		return b
	}
	return a
}

func isUnavailable(err error) bool {
	known := (*Error)(nil)
	return !errors.As(err, &known) || known.Reason.Unavailable()
}
