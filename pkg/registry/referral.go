// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// A registry refers to other hosts: it redirects questions to its storage, or to where
// it has moved, and names who issues its tokens. So it decides where requests go, and
// what is inside a network must not be reached because somebody outside said so.
//
// Public hosts may be referred to: most registries are in front of storage with names
// that nobody could list. A private address only by what is itself at one, or where the
// configuration says so (Host.RefersTo); this machine and metadata services by nobody.
// What an address is, is seen when it is dialled (checkAddress).

// Referrals are the hosts that a registry may refer to, each host[:port] with the port
// left out for that of HTTPS. In a label of a host, * and ? stand for other characters,
// as in pull secrets. Nil says nothing; one that is empty permits none.
type Referrals []string

func (r Referrals) include(host string) bool {
	host = withoutDefaultPort(host)
	for _, glob := range r {
		if keyring.MatchHost(withoutDefaultPort(glob), host) {
			return true
		}
	}
	return false
}

func isSameHost(a, b string) bool { return withoutDefaultPort(a) == withoutDefaultPort(b) }

func withoutDefaultPort(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }

// Others is the name, in Hosts, of what holds for the registries about whose referrals
// nothing is said. Only RefersTo counts of it.
const Others = "*"

// referrals returns what the configuration says of where a registry may refer to.
func (h Hosts) referrals(home string) Referrals {
	if entry, _, ok := h.find(home); ok && entry.RefersTo != nil {
		return entry.RefersTo
	}
	return h[Others].RefersTo
}

// sighting is where the last answer to a request on a journey came from.
type sighting struct{ inside atomic.Bool }

// note takes note of the address that an answer came from.
func (s *sighting) note(from zone) { s.inside.Store(from != public) }

// referred decides whether a request that is not to the registry itself may be made,
// and whether it may lead to a private address. The error says which rule forbids it.
func (c *connections) referred(req *http.Request, j journey) (inside bool, err error) {
	first, hops := origin(req)
	host, hostname := req.URL.Host, strings.TrimSuffix(req.URL.Hostname(), ".")
	listed := c.hosts.referrals(j.home)
	switch {
	case hops > c.limits.Redirects:
		return false, refused("more than %d redirects", c.limits.Redirects)
	case hops > 0 && req.Response.Request.URL.Scheme == "https" && req.URL.Scheme != "https":
		return false, refused("a redirect from HTTPS to %s", printable(req.URL.Scheme))
	case isSameHost(host, j.home):
		return true, nil
	case hops > 0 && first.URL.String() != j.asks && !isSameHost(host, first.URL.Host):
		return false, refused("who issues tokens redirects to %s", printable(host))
	case isOddAddress(hostname):
		return false, refused("%s is an address in another form than is usual", printable(host))
	case listed != nil && !listed.include(host):
		return false, refused("%s is none of the hosts that registry %s may refer to by refersTo", printable(host), j.home)
	}
	inside = listed != nil || j.last.inside.Load()
	// Behind a proxy nobody here dials it.
	if address, err := netip.ParseAddr(hostname); err == nil && !inside && c.zone(address) == private {
		return false, refusedInside(host)
	}
	return inside, nil
}

func refusedInside(host string) error {
	return refused("%s is at a private address, to which only who is at one may refer, or a registry whose refersTo names it", printable(host))
}

// origin returns the request that led to another one by redirects, and how many.
func origin(req *http.Request) (first *http.Request, hops int) {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
		hops++
	}
	return req, hops
}

var numeric = regexp.MustCompile(`^(0[xX][0-9a-fA-F]*|[0-9]+)$`)

// isOddAddress tells whether a host looks like an address to those who resolve it, and
// is none to us: 127.1, 0x7f000001, 2130706433.
func isOddAddress(hostname string) bool {
	_, err := netip.ParseAddr(hostname)
	return err != nil && numeric.MatchString(hostname[strings.LastIndexByte(hostname, '.')+1:])
}
