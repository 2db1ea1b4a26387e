// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// causeOf says why a request failed, for the log.
//
// The texts of errors are not fit for that: http.Client repeats the address of the
// request, and the header that led to it, with the signature of a redirect to
// storage; go-containerregistry repeats what a token server said, which can be a
// token. So only errors of kinds that are known to hold nothing of the sort speak
// for themselves. Of all others the type is told.
func causeOf(err error) string {
	if status := (*transport.Error)(nil); errors.As(err, &status) {
		said := fmt.Sprintf("status %d", status.StatusCode)
		if len(status.Errors) > 0 && knownCode.MatchString(string(status.Errors[0].Code)) {
			said += " " + string(status.Errors[0].Code)
		}
		return said
	}
	if harmless := harmlessError(err); harmless != nil {
		return printable(harmless.Error())
	}
	innermost := err
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		innermost = next
	}
	return fmt.Sprintf("%s (%T)", describe(err), innermost)
}

// harmlessError returns the error in err's tree that says most of why a connection
// failed, if it is one of those whose text is made of names and addresses.
func harmlessError(err error) error {
	var (
		rule      *refusedError
		dns       *net.DNSError
		network   *net.OpError
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &rule):
		return rule
	case errors.As(err, &network):
		return network
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &cert):
		return cert
	case errors.As(err, &authority):
		return authority
	case errors.As(err, &hostname):
		return hostname
	case errors.As(err, &record):
		return record
	}
	for _, known := range []error{
		errTooLarge, errGuess, http.ErrSchemeMismatch, context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}
