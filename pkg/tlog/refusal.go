// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxRefusalBytes bounds what is read of an answer that may be a refusal.
const maxRefusalBytes = 64 << 10

var (
	// errAbsent: the log answered that it has no such thing.
	errAbsent = fmt.Errorf("%w: it has no such thing", errRefused)
	// errNoLog: whatever answered does not speak as a log does.
	errNoLog = fmt.Errorf("%w: that is not a log's answer", ErrUnavailable)
)

// statusError is an answer that is not a success.
type statusError struct {
	target *url.URL
	code   int
	// means is what it says of the log: errAbsent, errRefused, errNoLog or ErrUnavailable.
	means error
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("GET %s: HTTP status %d", place(e.target), e.code)
	switch {
	case e.code == http.StatusUnauthorized, e.code == http.StatusForbidden:
		return text + " (the credentials in auth are missing, or not the right ones)"
	case e.code == http.StatusProxyAuthRequired:
		return text + " (the proxy wants credentials)"
	case e.means == errNoLog && e.code == http.StatusBadRequest: //nolint:errorlint // It is this very one, set below.
		// nginx takes connections without a certificate, and then says 400.
		return text + ", not as a log says it (does what stands before it want a client certificate? See tls.clientCertSecretRef)"
	case e.means == errNoLog: //nolint:errorlint // The same.
		return text + ", not as a log says it (is that the base URL of the log, and does what stands before it pass on its answers?)"
	default:
		return text
	}
}

// Unwrap tells a refusal from an outage: what a server could not do, or could not do
// now, is no statement about the log's content, and neither is what any web server says.
func (e *statusError) Unwrap() error { return e.means }

// meaningOf is what an answer to q with a status other than 200 says of the log.
//
// Web servers, gateways and load balancers whose log is gone answer with 404, too, some
// of them without a body. So it must be told from Rekor's own, which is one of two:
//
//   - 404 without a body or a type, and with the headers against caching, for an entry
//     that it does not have (getLogEntryByUUID in rekor's openapi.yaml);
//   - {"code": …, "message": "…"} for everything else.
//
// A proxy that takes those headers away makes "not there" into "could not be asked":
// the image is denied either way.
func meaningOf(q question, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		return ErrUnavailable
	}
	if q.isFile {
		if resp.StatusCode == http.StatusNotFound {
			return errAbsent // whatever a file server says of it
		}
		return errRefused
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusalBytes))
	switch {
	case err != nil:
		return ErrUnavailable
	case isAbsence(resp, body):
		return errAbsent
	case isRekorError(resp, body):
		return errRefused
	default:
		return errNoLog
	}
}

func isAbsence(resp *http.Response, body []byte) bool {
	return resp.StatusCode == http.StatusNotFound && len(body) == 0 && resp.Header.Get("Content-Type") == "" &&
		strings.Contains(resp.Header.Get("Cache-Control"), "no-cache")
}

// isRekorError reports whether body is the Error of rekor's openapi.yaml. Gateways that
// answer in JSON use other fields, or more.
func isRekorError(resp *http.Response, body []byte) bool {
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/json" {
		return false
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || len(fields) != 2 {
		return false
	}
	var code int
	var message *string
	return json.Unmarshal(fields["code"], &code) == nil && json.Unmarshal(fields["message"], &message) == nil && code != 0 && message != nil
}
