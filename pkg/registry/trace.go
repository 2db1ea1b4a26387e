// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Exchange is one request to a registry, or to a host that it refers to, and what
// came of it. It holds no credentials and is fit to be shown.
type Exchange struct {
	Method string
	// URL has what may be a credential replaced by "REDACTED".
	URL string
	// Status is that of the answer, 0 if there is none; Bytes is how much of its
	// body was read.
	Status int
	Bytes  int64
	// Took is the time until the answer had been read.
	Took time.Duration
	// Problem says why there is no answer, or not all of it, in a few words.
	Problem string
}

// begin notes the start of an exchange, and returns what notes its end.
func (g *guard) begin(req *http.Request) func(status int, read int64, err error) {
	start := time.Now()
	e := Exchange{Method: req.Method}
	if g.trace != nil {
		e.URL = printable(redactedURL(req))
	}
	return func(status int, read int64, err error) {
		e.Status, e.Bytes, e.Took = status, read, time.Since(start)
		g.metrics.count(req, status, e.Took, err)
		if g.trace == nil || errors.Is(err, errGuess) { // which never goes out
			return
		}
		e.Problem = problem(req.Context(), err)
		g.trace(e)
	}
}

// problem says in a few words why there is no answer, or not all of it; "" if there is.
func problem(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errTooLarge):
		return "it sent more than is accepted"
	case ctx.Err() != nil:
		return "it does not answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "its answer ends too early"
	default:
		return describe(err)
	}
}

const redacted = "REDACTED"

// harmless are the parameters of the OCI distribution specification, and of
// token requests, that say what is asked for and not who asks.
var harmless = []string{"n", "last", "artifactType", "scope", "service"}

// redactedURL is the address of a request without what may be a credential. Those
// of storage that a registry redirects to are signed, in a parameter or in the
// path: of them only the host is left, even if that is the registry's own.
func redactedURL(req *http.Request) string {
	shown := *req.URL
	j, _ := req.Context().Value(journeyKey).(journey)
	if req.Response != nil && (shown.Host != j.home || !strings.HasPrefix(shown.Path, "/v2/")) {
		return shown.Scheme + "://" + shown.Host + "/" + redacted
	}
	return withoutSecrets(&shown)
}

func withoutSecrets(shown *url.URL) string {
	if shown.User != nil {
		shown.User = url.User(redacted)
	}
	var parameters []string
	for parameter := range strings.SplitSeq(shown.RawQuery, "&") {
		name, value, valued := strings.Cut(parameter, "=")
		switch {
		case !valued && parameter != "":
			parameter = redacted
		case valued && (!slices.Contains(harmless, name) || strings.Contains(value, ";")):
			parameter = name + "=" + redacted
		}
		parameters = append(parameters, parameter)
	}
	shown.RawQuery, shown.Fragment = strings.Join(parameters, "&"), ""
	return shown.String()
}
