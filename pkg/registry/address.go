// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/netip"
	"slices"
	"strings"
)

// isOwnHost tells whether a host name says by itself that it is this machine or
// one that serves only this machine. Names that resolve to such an address are
// found when they are dialled.
func isOwnHost(hostname string) bool {
	name := strings.TrimSuffix(strings.ToLower(hostname), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(hostname)
	return err == nil && zoneOf(address) >= machine
}

// zone is who is reached at an address.
type zone int

const (
	// public is whoever has an address on the Internet.
	public zone = iota
	// private is what only some network knows.
	private
	// machine is this machine.
	machine
	// metadata is the link that this machine is on, or one of the addresses on which
	// cloud providers serve credentials to their machines. No registry lives there.
	metadata
)

// private networks besides those of RFC 1918 and RFC 4193: the shared address space of
// carriers, which clusters use for Pods (RFC 6598), and what is never on the Internet
// (the registries of RFC 6890). Teredo (RFC 4380) hides an IPv4 address.
var inner = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("fec0::/10"),
}

func zoneOf(address netip.Addr) zone {
	address = plain(address)
	switch {
	case isMetadata(address):
		return metadata
	case address.IsLoopback(), address.IsUnspecified():
		return machine
	case address.IsPrivate(), slices.ContainsFunc(inner, func(p netip.Prefix) bool { return p.Contains(address) }):
		return private
	}
	return public
}

func isMetadata(address netip.Addr) bool {
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
