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
	"net/http"
	"net/url"
	"strings"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Options configure a Client. The zero value is anonymous, HTTPS only, with the
// system's roots and the default limits.
type Options struct {
	// Keychain finds the credentials for a repository; nil means none.
	Keychain authn.Keychain
	// Transport sends the requests; nil means one of our own. It should not
	// decompress. One given here must itself keep names that resolve to loopback,
	// link-local and metadata addresses from being dialled.
	Transport http.RoundTripper
	// InsecureRegistries are the hosts, host[:port] in lower case and exactly as
	// references write them, that are spoken to by plain HTTP. All others, those
	// on loopback included, are spoken to by HTTPS.
	InsecureRegistries []string
	// Limits bound what registries may send; zero fields have their defaults.
	Limits Limits
	// Logger is told at level 1 what was found beside an image and left out.
	Logger logr.Logger
}

// Client asks registries. It keeps connections, sessions and content known by
// digest, and joins equal questions that are under way. It is safe for
// concurrent use.
type Client struct {
	keychain authn.Keychain
	guard    *guard
	limits   Limits
	log      logr.Logger

	sessions   *lru.Cache[string, session]
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
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	insecure := make(map[string]bool, len(o.InsecureRegistries))
	for _, host := range o.InsecureRegistries {
		insecure[strings.ToLower(host)] = true
	}
	sessions, err := lru.New[string, session](maxSessions)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Client{
		keychain: o.Keychain,
		guard:    &guard{next: o.Transport, insecure: insecure, maxBody: limits.response()},
		limits:   limits,
		log:      o.Logger,
		sessions: sessions,

		handshakes: flight[http.RoundTripper]{limit: limits.exchange()},
		resolving:  flight[string]{limit: limits.shared()},
		fetching:   flight[[]byte]{limit: limits.shared()},
		listing:    flight[[]verify.Signature]{limit: limits.shared()},

		memory:   semaphore.NewWeighted(limits.Memory),
		contents: newCache[[]byte](limits.Cache),
		found:    newCache[[]verify.Signature](limits.Cache),
	}
}

// within bounds a call by the limit on its time.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.limits.Timeout)
}

// hostnameOf cuts the port off host[:port].
func hostnameOf(host string) string {
	return (&url.URL{Host: host}).Hostname()
}

// hostOf is the registry as requests to it name it.
func hostOf(ref image.Reference) string {
	return ref.Name().Context().RegistryStr()
}
