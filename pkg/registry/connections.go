// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-dev/countersign/pkg/image"
)

// connections are those to registries as they are reached under one state of the
// configuration. Connections are shared by all requests that take the same route.
type connections struct {
	// generation tells one state from another.
	generation uint64
	hosts      Hosts
	// named are the hosts that stand in the configuration: see Hosts.named.
	named map[string]bool
	// proxy is what the environment says.
	proxy func(*http.Request) (*url.URL, error)
	// dialer is the template of all: its Control is set here.
	dialer net.Dialer
	// zone tells who is reached at an address.
	zone func(netip.Addr) zone

	mu         sync.Mutex
	transports map[route]*http.Transport

	limits Limits
	// lanes are those to the registries that were asked last, by host[:port].
	lanes *lru.Cache[string, *lane]
}

// newConnections returns connections that are made as hosts say.
func (c *core) newConnections(hosts Hosts) *connections {
	return &connections{
		generation: c.generations.Add(1), hosts: hosts, named: hosts.named(), proxy: c.options.proxy, dialer: c.options.dialer, zone: c.options.zone,
		transports: map[route]*http.Transport{}, limits: c.limits, lanes: newLRU[string, *lane](maxLanes),
	}
}

// lane returns the way to a registry. Whoever creates Pods names hosts, so only
// those that were asked last are known.
func (c *connections) lane(host string) *lane {
	if known, ok := c.lanes.Get(host); ok {
		return known
	}
	fresh := newLane(host, c.limits)
	if known, ok, _ := c.lanes.PeekOrAdd(host, fresh); ok {
		return known
	}
	return fresh
}

// route is what a request has in common with those that it may share a
// connection with.
type route struct {
	// settings is the name of the Host whose settings it takes; "" for none.
	settings string
	// presents is whether it presents that host's certificate.
	presents bool
	// local is whether it may lead to this machine, inside whether to a private address.
	local, inside bool
	// proxy is the URL of the proxy it takes; "" for none.
	proxy string
}

// plainHTTP reports whether a host is spoken to by plain HTTP.
func (c *connections) plainHTTP(host string) bool {
	entry, _, _ := c.hosts.find(host)
	return entry.PlainHTTP
}

func (c *connections) scheme(host string) string {
	if c.plainHTTP(host) {
		return "http"
	}
	return "https"
}

// route returns the way of a request, or the rule that forbids it.
//
// Only a registry that is named in the configuration may be on this machine. What
// a registry refers to never is: neither its storage nor whoever issues its
// tokens.
func (c *connections) route(req *http.Request, j journey) (route, error) {
	home, host, hostname := j.home, req.URL.Host, req.URL.Hostname()
	inside, err := c.referred(req, j)
	if err != nil {
		return route{}, err
	}
	if want := c.scheme(host); req.URL.Scheme != want {
		if host == home && req.Response == nil {
			return route{}, errGuess
		}
		return route{}, refused("%s to %s, which is spoken to by %s", printable(req.URL.Scheme), printable(host), want)
	}
	atHome := hostname == hostnameOf(home)
	r := route{local: atHome && (c.named[home] || c.named[image.NormaliseHost(home)]), inside: inside}
	if isOwnHost(hostname) && !r.local {
		return route{}, refused("%s is a host of our own: only a registry that the configuration names can be there", printable(host))
	}
	entry, name, own := c.hosts.find(host)
	if !own {
		entry, name, _ = c.hosts.find(home)
	}
	r.settings, r.presents = name, own && host == home && entry.Certificate != nil
	proxy, err := c.proxyFor(req, entry)
	if err != nil {
		return route{}, refused("the proxy for %s is no URL", printable(host))
	}
	if proxy != nil {
		r.proxy = proxy.String()
	}
	return r, nil
}

func (c *connections) proxyFor(req *http.Request, entry Host) (*url.URL, error) {
	switch {
	case entry.Direct:
		return nil, nil //nolint:nilnil // as http.Transport.Proxy: neither a proxy nor an error
	case entry.Proxy != nil:
		return entry.Proxy, nil
	default:
		return c.proxy(req)
	}
}

// transport returns the connections that take a route. There are a few for each
// Host at most.
func (c *connections) transport(r route) http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.transports[r]
	if !ok {
		t = c.newTransport(r)
		c.transports[r] = t
	}
	return t
}

func (c *connections) newTransport(r route) *http.Transport {
	entry := c.hosts[r.settings]
	t := &http.Transport{
		DialContext:            c.dial(r),
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: entry.RootCAs},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: responseHeaders,
	}
	if r.presents {
		t.TLSClientConfig.Certificates = []tls.Certificate{*entry.Certificate}
	}
	if proxy, err := url.Parse(r.proxy); err == nil && r.proxy != "" {
		// What is dialled is the proxy's address; where that leads to is the
		// proxy's to say.
		t.Proxy, t.DialContext = http.ProxyURL(proxy), c.dialer.DialContext
	}
	return t
}

// dial connects to the addresses that a host's name resolves to at that moment,
// each of which is checked: that it resolved to another one before says nothing.
func (c *connections) dial(r route) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		written, _ := netip.ParseAddr(host)
		dialer := c.dialer
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return c.checkAddress(host, address, written, r)
		}
		return dialer.DialContext(ctx, network, target)
	}
}

// checkAddress is asked about each address of a host before it is connected to. written is
// the address that stands in the host's place, if one does. An address that serves
// only this machine is refused, unless the route is local; one of a metadata service
// even then, unless it is written out; a private one, unless the route is inside.
func (c *connections) checkAddress(host, address string, written netip.Addr, r route) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return refused("address %s", printable(address))
	}
	to := target.Addr()
	switch c.zone(to) {
	case metadata:
		if r.local && written.IsValid() && plain(written) == plain(to) {
			return nil
		}
	case machine:
		if r.local {
			return nil
		}
	case private:
		if !r.inside {
			return refusedInside(host)
		}
		return nil
	case public:
		return nil
	}
	return refused("it leads to address %s, which serves this machine only", to)
}

// close ends the connections that nobody uses.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}
