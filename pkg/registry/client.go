// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry asks OCI registries for what admission needs: the digest
// that a tag names, and the signatures that lie beside an image.
//
// Whatever a registry sends is hostile. Everything is bounded (Limits), whatever
// is fetched by digest is verified against it, and the answers are never mixed
// up: that there are no signatures is only what a registry clearly said; every
// other outcome is an error that says so.
package registry

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Options configure a Client. The zero value is anonymous, HTTPS only, with the
// system's roots, the environment's proxies and the default limits.
type Options struct {
	// Keychain finds credentials of this program itself for a repository, besides
	// those that Hosts hold; nil means none. It is asked for each session anew.
	Keychain authn.Keychain
	// Hosts are the registries that are not reached as all others are. SetHosts
	// changes them.
	Hosts Hosts
	// InsecureRegistries are the hosts, host[:port] in lower case and exactly as
	// references write them, that are spoken to by plain HTTP, whatever Hosts
	// say. All others, those on loopback included, are spoken to by HTTPS.
	InsecureRegistries []string
	// Limits bound what registries may send; zero fields have their defaults.
	Limits Limits
	// Logger is told at level 1 what was found beside an image and left out.
	Logger logr.Logger
	// Trace, if not nil, is told of each request. It may be called concurrently.
	Trace func(Exchange)
	// Metrics, if not nil, measure this client, and no other.
	Metrics *Metrics

	// proxy, dialer and zone stand in for the environment and the network in tests.
	proxy  func(*http.Request) (*url.URL, error)
	dialer net.Dialer
	zone   func(netip.Addr) zone
}

// Client asks registries, on behalf of somebody whose credentials it has, or of
// nobody. It is safe for concurrent use.
type Client struct {
	*core
	keyring *keyring.Keyring
	// via, if not nil, is how registries were reached when it was made.
	via *connections
}

// As returns a client that also presents the credentials of a keyring, before any
// others. It shares all with c but what has been learnt, or is being asked, with
// credentials that the other does not have. It goes on reaching registries as they are
// reached now: to which of them the credentials matter (Scope) must not change under
// whoever asked.
func (c *Client) As(k *keyring.Keyring) *Client {
	return &Client{core: c.core, keyring: k, via: c.reached()}
}

// reached returns how registries are reached.
func (c *Client) reached() *connections {
	if c.via != nil {
		return c.via
	}
	return c.connections.Load()
}

// core is what all clients share. It keeps connections, sessions and content known
// by digest, and joins equal questions that are under way. What is kept is kept
// under the credentials that it was got with: see credentials.go.
type core struct {
	keychain authn.Keychain
	guard    *guard
	limits   Limits
	log      logr.Logger

	options     Options
	connections atomic.Pointer[connections]
	generations atomic.Uint64

	sessions   *lru.Cache[sessionKey, session]
	turnedAway *lru.Cache[sessionKey, refusal]
	preferred  *lru.Cache[string, string]
	handshakes flight[http.RoundTripper]

	resolving flight[string]
	fetching  flight[[]byte]
	listing   flight[[]verify.Signature]

	// memory is in bytes, Limits.Memory of them.
	memory *semaphore.Weighted

	contents *cache[[]byte]
	found    *cache[[]verify.Signature]
}

// New returns a Client. It makes no request.
func New(o Options) *Client {
	limits := o.Limits.withDefaults()
	if o.proxy == nil {
		o.proxy = http.ProxyFromEnvironment
	}
	if o.dialer.Timeout == 0 {
		o.dialer.Timeout, o.dialer.KeepAlive = 5*time.Second, 30*time.Second
	}
	if o.zone == nil {
		o.zone = zoneOf
	}
	c := &Client{core: &core{
		keychain: o.Keychain,
		guard:    &guard{maxBody: limits.response(), trace: o.Trace, metrics: o.Metrics},
		limits:   limits,
		log:      o.Logger,
		options:  o,

		sessions:   newLRU[sessionKey, session](maxSessions),
		turnedAway: newLRU[sessionKey, refusal](maxSessions),
		preferred:  newLRU[string, string](maxSessions),

		handshakes: flight[http.RoundTripper]{limit: limits.exchange()},
		resolving:  flight[string]{limit: limits.shared()},
		fetching:   flight[[]byte]{limit: limits.shared()},
		listing:    flight[[]verify.Signature]{limit: limits.shared()},

		memory:   semaphore.NewWeighted(limits.Memory),
		contents: newCache[[]byte](limits.Cache),
		found:    newCache[[]verify.Signature](limits.Cache),
	}}
	c.SetHosts(o.Hosts)
	if o.Metrics != nil {
		o.Metrics.core.Store(c.core)
	}
	return c
}

func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // only for a size below one
	}
	return c
}

// SetHosts changes how registries are reached: requests that begin from now on
// are made so. What is known by digest stays known.
func (c *core) SetHosts(hosts Hosts) {
	hosts = hosts.withPlainHTTP(c.options.InsecureRegistries)
	before := c.connections.Swap(c.newConnections(hosts))
	if before != nil {
		before.close()
	}
}

// within bounds a call by the limit on its time.
func (c *core) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.limits.Timeout)
}

// hostnameOf cuts the port off host[:port].
func hostnameOf(host string) string {
	return (&url.URL{Host: host}).Hostname()
}
