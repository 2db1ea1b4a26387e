// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxReplicas bounds the addresses of one log.
	maxReplicas = 8
	// requestTimeout bounds one request to one replica, so that a log that
	// stalls leaves time to say so inside an admission request's deadline.
	requestTimeout = 5 * time.Second
	// maxRedirects bounds the redirects of one request, which never lead to
	// another host.
	maxRedirects = 3
)

// EndpointsConfig says where a log answers.
type EndpointsConfig struct {
	// URLs are the base URLs of one to eight replicas of one log, in the order in
	// which they are asked.
	URLs []*url.URL
	// Client makes the requests. Nil stands for one with Go's defaults.
	Client *http.Client
}

// Endpoints is where one log answers: one address, or several that are replicas of
// one log. A question is put to one after the other until one has answered it.
// Nothing that comes back is verified: it is the claim of whoever sits at that
// address. Safe for concurrent use.
type Endpoints struct {
	bases []*url.URL
	http  *http.Client
}

// NewEndpoints returns the endpoints that config describes. Redirects to another
// host are refused: the log's owner named these.
func NewEndpoints(config EndpointsConfig) (*Endpoints, error) {
	if len(config.URLs) == 0 || len(config.URLs) > maxReplicas {
		return nil, fmt.Errorf("a log has %d addresses, not 1 to %d", len(config.URLs), maxReplicas)
	}
	for _, base := range config.URLs {
		if (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" {
			return nil, fmt.Errorf("URL %q is not an http or https address", base.Redacted())
		}
	}
	var own http.Client
	if config.Client != nil {
		own = *config.Client
	}
	own.CheckRedirect = checkRedirect
	return &Endpoints{bases: config.URLs, http: &own}, nil
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if first := via[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("redirect to another host %q refused", next.URL.Host)
	}
	if len(via) >= maxRedirects {
		return errors.New("too many redirects")
	}
	return nil
}

// question is a GET request that every replica of a log can answer.
type question struct {
	// path is relative to the base URLs.
	path  string
	query url.Values
	// maxBytes bounds the body of the answer.
	maxBytes int64
}

// get puts q to one replica after the other. accept is given the body of an answer;
// a replica whose answer it refuses is passed over like one that gave none.
//
// When no answer was accepted the error wraps, for each replica that was asked, one
// of: errRefused, when it answered that it has no such thing, *statusError with the
// status; ErrUnavailable, when it did not answer; ErrLimit; and what accept said.
// So both errRefused and ErrUnavailable can be in one error: some replicas refused
// and the others could not be asked.
func (e *Endpoints) get(ctx context.Context, q question, accept func(body []byte) error) error {
	var failures replicaErrors
	for _, base := range e.bases {
		target := base.JoinPath(q.path)
		target.RawQuery = q.query.Encode()
		body, err := e.fetch(ctx, target, q.maxBytes)
		if err == nil {
			if err = accept(body); err == nil {
				return nil
			}
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failures) == 1 {
		return failures[0]
	}
	return failures
}

// fetch makes one request.
func (e *Endpoints) fetch(ctx context.Context, target *url.URL, maxBytes int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{target: target, code: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: GET %s: %w", ErrUnavailable, place(target), err)
	}
	if int64(len(body)) > maxBytes {
		return nil, fmt.Errorf("%w: GET %s: the answer is longer than %d bytes", ErrLimit, place(target), maxBytes)
	}
	return body, nil
}

// place is a URL as messages show it: without query and password.
func place(target *url.URL) string {
	shown := *target
	shown.RawQuery = ""
	return shown.Redacted()
}

// statusError is an answer of the log that is not a success.
type statusError struct {
	target *url.URL
	code   int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("GET %s: HTTP status %d", place(e.target), e.code)
}

// Unwrap tells a refusal from an outage: what a server could not do, or could
// not do now, is no statement about the log's content.
func (e *statusError) Unwrap() error {
	switch e.code {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return errRefused
	default:
		return ErrUnavailable
	}
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
