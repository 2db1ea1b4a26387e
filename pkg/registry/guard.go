// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// guard is the RoundTripper beneath everything, token requests included. It
// bounds every response, allows plain HTTP only to registries that are named
// for it, and keeps a registry from sending us to hosts that only we can reach.
type guard struct {
	next     http.RoundTripper
	insecure map[string]bool
	maxBody  int64
}

type contextKey int

const (
	registryKey contextKey = iota // string: the registry's host name
	foreignKey                    // bool: the request goes to another host
)

// forRegistry notes on whose behalf requests are made.
func forRegistry(ctx context.Context, hostname string) context.Context {
	return context.WithValue(ctx, registryKey, hostname)
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := g.admit(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := g.next.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: g.maxBody}
	return resp, nil
}

func (g *guard) admit(req *http.Request) (*http.Request, error) {
	// go-containerregistry tries HTTPS and then HTTP for hosts that it guesses
	// to be local; here a host has exactly one scheme.
	if want := schemeOf(g.insecure, req.URL.Host); req.URL.Scheme != want {
		return nil, refused("%s to %s, which is spoken to by %s", printable(req.URL.Scheme), printable(req.URL.Host), want)
	}
	home, _ := req.Context().Value(registryKey).(string)
	if req.URL.Hostname() == home {
		return req, nil
	}
	if isOwnHost(req.URL.Hostname()) {
		return nil, refused("it refers to %s, a host of our own", printable(req.URL.Host))
	}
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		return req, nil // the address to be dialled is the proxy's
	}
	return req.WithContext(context.WithValue(req.Context(), foreignKey, true)), nil
}

func schemeOf(insecure map[string]bool, host string) string {
	if insecure[host] {
		return "http"
	}
	return "https"
}

// isOwnHost tells whether a host name says by itself that it is this machine or
// one that serves only this machine. Names that resolve to such an address are
// found when they are dialled.
func isOwnHost(hostname string) bool {
	name := strings.TrimSuffix(strings.ToLower(hostname), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(hostname)
	return err == nil && (isLocal(address) || isMetadata(address))
}

func isLocal(address netip.Addr) bool {
	address = plain(address)
	return address.IsLoopback() || address.IsUnspecified()
}

// isMetadata tells whether an address is link-local or one of those on which
// cloud providers serve credentials to their machines. No registry lives there.
func isMetadata(address netip.Addr) bool {
	address = plain(address)
	if address.IsLinkLocalUnicast() || address.IsMulticast() {
		return true
	}
	switch address.String() {
	case "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192":
		return true
	}
	return false
}

// The prefixes under which an IPv6 address stands for an IPv4 address, and the
// byte at which that begins: NAT64 (RFC 6052 and, as most networks use it, RFC
// 8215), 6to4 (RFC 3056) and IPv4-compatible addresses (RFC 4291, 2.5.5.1).
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// plain returns the address that another one stands for in the end.
func plain(address netip.Addr) netip.Addr {
	address = address.WithZone("").Unmap()
	if address.Is4() || address.IsLoopback() || address.IsUnspecified() {
		return address
	}
	bytes := address.As16()
	for _, form := range embedded {
		if form.prefix.Contains(address) {
			inner, _ := netip.AddrFromSlice(bytes[form.at : form.at+4])
			return inner
		}
	}
	return address
}

// checkAddress is called with each address that a host name resolved to.
func checkAddress(ctx context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return refused("address %s", printable(address))
	}
	foreign, _ := ctx.Value(foreignKey).(bool)
	if isMetadata(target.Addr()) || (foreign && isLocal(target.Addr())) {
		return refused("it refers to address %s, which serves this machine only", target.Addr())
	}
	return nil
}

// newTransport is what is used unless Options give another: system roots, the
// environment's proxies, bounded dials and no decompression.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, ControlContext: checkAddress}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: responseHeaders,
	}
}

// cappedBody fails, where io.LimitReader would end, when there is more.
type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}
