// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"
)

// guard is the RoundTripper beneath everything, token requests included. It sends
// each request on its route, or refuses it, and bounds every response.
type guard struct {
	maxBody int64
	trace   func(Exchange)
	metrics *Metrics
}

type contextKey int

const journeyKey contextKey = iota // journey

// journey is on whose behalf, and how, requests are made.
type journey struct {
	via *connections
	// home is the registry's host[:port].
	home string
	// credential is the ID of the one that is presented there.
	credential string
	// asks is the address of the question, which the registry may refer to others, and
	// scope is what a token for it is to allow.
	asks, scope string
	// last is where the last answer came from.
	last *sighting
}

func withJourney(ctx context.Context, j journey) context.Context {
	return context.WithValue(ctx, journeyKey, j)
}

// errNoJourney is a fault of this package: a request that is on nobody's behalf.
var errNoJourney = errors.New("a request that no registry was named for")

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	done := g.begin(req)
	resp, err := g.send(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		done(0, 0, err)
		return nil, err
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: g.maxBody, closed: func(read int64, err error) { done(resp.StatusCode, read, err) }}
	return resp, nil
}

func (g *guard) send(req *http.Request) (*http.Response, error) {
	j, ok := req.Context().Value(journeyKey).(journey)
	if !ok {
		return nil, errNoJourney
	}
	r, err := j.via.route(req, j)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	from := public // behind a proxy nobody knows
	seen := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if address, err := netip.ParseAddrPort(got.Conn.RemoteAddr().String()); err == nil && r.proxy == "" {
			from = j.via.zone(address.Addr())
		}
	}}
	resp, err := j.via.transport(r).RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), seen)))
	if err == nil {
		j.last.note(from)
		j.via.lane(j.home).heard(j.credential, began, req, resp)
	}
	return resp, err
}

// cappedBody fails, where io.LimitReader would end, when there is more.
type cappedBody struct {
	io.ReadCloser
	left int64
	// closed, if not nil, is told once how much was read, and what failed.
	closed func(read int64, err error)
	read   int64
	failed error
}

func (b *cappedBody) Read(p []byte) (int, error) {
	n, err := b.readUpTo(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

func (b *cappedBody) readUpTo(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	b.read += int64(n)
	if b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}

// Close implements io.Closer.
func (b *cappedBody) Close() error {
	if b.closed != nil {
		b.closed(b.read, b.failed)
		b.closed = nil
	}
	return b.ReadCloser.Close()
}
