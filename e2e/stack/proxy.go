// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Request is one request that a proxy has seen.
type Request struct {
	Method string
	Path   string
	Query  string
}

// Hook handles a request in place of the server behind a proxy. It may pass the
// request on with next, before or after doing anything else to it or its answer.
type Hook func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Proxy stands in front of a server of the stack and counts what passes. It can
// change what passes, and go down and up without losing its address.
type Proxy struct {
	Host string // 127.0.0.1:port
	URL  string

	forward http.Handler

	mu       sync.Mutex
	hook     Hook
	requests []Request
	server   *http.Server // nil while it is down
}

// ProxyRegistry starts a proxy in front of a registry, at an address to which
// Countersign speaks plain HTTP.
func (s *Stack) ProxyRegistry(ctx context.Context, r *Registry) (*Proxy, error) {
	host, err := s.leaseRegistryHost()
	if err != nil {
		return nil, err
	}
	return s.newProxy(ctx, host, r.URL())
}

// ProxyLog starts a proxy in front of where a log is read.
func (s *Stack) ProxyLog(ctx context.Context, l Log) (*Proxy, error) {
	return s.ProxyURL(ctx, l.known().readURL)
}

// ProxyURL starts a proxy in front of whatever is at a URL.
func (s *Stack) ProxyURL(ctx context.Context, target string) (*Proxy, error) {
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	return s.newProxy(ctx, loopback(port), target)
}

func (s *Stack) newProxy(ctx context.Context, host, target string) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{Host: host, URL: "http://" + host}
	p.forward = &httputil.ReverseProxy{
		// The Host header stays: registries build upload locations from it.
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorLog: log.New(io.Discard, "", 0), // a server that is down is what some scenarios are about
	}
	if err := p.Up(ctx); err != nil {
		return nil, err
	}
	s.onClose(p.Down)
	return p, nil
}

// Up starts to listen. It does nothing when the proxy is up.
func (p *Proxy) Up(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return nil
	}
	listener, err := listen(ctx, p.Host)
	if err != nil {
		return err
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go p.server.Serve(listener) //nolint:errcheck // ends with Close
	return nil
}

// Down closes the listener and all connections: from now on they are refused.
func (p *Proxy) Down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close()
		p.server = nil
	}
}

// SetHook puts hook before the server, or nothing if it is nil.
func (p *Proxy) SetHook(hook Hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

// Requests returns what has passed since the start or the last Reset.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.requests...)
}

// Reset forgets the requests seen so far.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// ServeHTTP handles a request that came in.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery})
	hook := p.hook
	p.mu.Unlock()
	if hook == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	hook(w, r, p.forward)
}
