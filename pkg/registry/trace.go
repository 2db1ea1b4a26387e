// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
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

// redactedURL is the address of a request without what may be a credential: what a
// registry has put into it. It may have been shown a credential before that. So of an
// address that it redirects to only the host is left, unless it is the same question
// elsewhere, and of a next page only that it is one. Who issues tokens is told to those who
// have shown nothing yet, but not which scopes else there might be.
func redactedURL(req *http.Request) string {
	shown := *req.URL
	j, _ := req.Context().Value(journeyKey).(journey)
	if req.Response != nil && !strings.HasSuffix(j.asks, shown.Path) {
		return shown.Scheme + "://" + shown.Host + "/" + redacted
	}
	if shown.User != nil {
		shown.User = url.User(redacted)
	}
	var parameters []string
	for parameter := range strings.SplitSeq(shown.RawQuery, "&") {
		name, value, valued := strings.Cut(parameter, "=")
		switch {
		case !valued && parameter != "":
			parameter = redacted
		case valued && (req.Response != nil || !j.isOurs(req.URL, name, value)):
			parameter = name + "=" + redacted
		}
		parameters = append(parameters, parameter)
	}
	shown.RawQuery, shown.Fragment = strings.Join(parameters, "&"), ""
	return shown.String()
}

// isOurs tells whether a parameter of a question for a token says nothing but what the
// question is about.
func (j journey) isOurs(asked *url.URL, name, value string) bool {
	switch {
	case asked.String() == j.asks:
		return false
	case name == "scope":
		return value == url.QueryEscape(j.scope)
	}
	return name == "service" && !strings.Contains(value, ";")
}
