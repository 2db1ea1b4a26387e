// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// failure is why a replica gave no answer that can be used.
type failure struct {
	err     error
	outcome Outcome
	// again is set if the same replica may answer in a moment, at the earliest
	// after wait.
	again bool
	wait  time.Duration
}

func (f *failure) Error() string { return f.err.Error() }

// asError is the failure as the circuit breaker takes it.
func (f *failure) asError() error {
	if f == nil {
		return nil
	}
	return f
}

func outcomeOf(err error) Outcome {
	if err == nil {
		return Answered
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.outcome
	}
	return Failed
}

var (
	// errStalled: there was no answer, or not all of it, in the time for one request.
	errStalled = fmt.Errorf("no answer within %v", requestTimeout)
	// errAbandoned: whoever asked has given up.
	errAbandoned = errors.New("nobody waits for the answer any more")
)

// transportFailure is what it means that a request, or the reading of its answer,
// ended with err.
func transportFailure(ctx context.Context, target *url.URL, err error) *failure {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which stands before it
	}
	f := &failure{outcome: Unreachable, again: true}
	if cause := context.Cause(ctx); cause != nil {
		f.outcome, f.again, err = Abandoned, false, cause
		if errors.Is(cause, errStalled) {
			f.outcome = Stalled
		}
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		f.outcome, f.again = Stalled, false
	} else if errors.Is(err, errRedirect) {
		f.outcome, f.again = Invalid, false
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.outcome, f.again = Untrusted, false
		err = fmt.Errorf("%w (private authorities that are to be trusted belong into tls.caBundle)", err)
	} else if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // a TLS alert
		f.outcome, f.again = Forbidden, false
		err = fmt.Errorf("%w (the log may want another client certificate: see tls.clientCertSecretRef)", err)
	}
	f.err = fmt.Errorf("%w: GET %s: %w", ErrUnavailable, place(target), err)
	return f
}

// statusFailure is what it means that an answer is not a success.
func statusFailure(target *url.URL, q question, resp *http.Response) *failure {
	status := &statusError{target: target, code: resp.StatusCode, means: meaningOf(q, resp)}
	f := &failure{err: status, outcome: Failed}
	switch code := resp.StatusCode; {
	case errors.Is(status, errRefused):
		f.outcome = Refused
	case errors.Is(status, errNoLog):
		f.outcome = Invalid
	case code == http.StatusTooManyRequests:
		f.outcome, f.again, f.wait = Throttled, true, retryAfter(resp)
	case code == http.StatusServiceUnavailable:
		f.again, f.wait = true, retryAfter(resp)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		f.outcome = Forbidden
	case code >= http.StatusInternalServerError:
		f.again = true
	}
	return f
}

// retryAfter is how long the replica wants to be left alone: 0 if it does not say
// (RFC 9110 section 10.2.3). A date is compared with the replica's own clock.
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, until.Sub(now))
}

// place is a URL as messages show it: without query and password.
func place(target *url.URL) string {
	shown := *target
	shown.RawQuery = ""
	return shown.Redacted()
}

// replicaErrors says for each replica why it gave no answer that could be used.
type replicaErrors []error

func (e replicaErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e replicaErrors) Unwrap() []error { return e }

// joined is nil for no error, and the error itself for one.
func joined(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	default:
		return replicaErrors(errs)
	}
}
