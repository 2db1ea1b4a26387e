// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// sessionKey keeps sessions apart that were made under different configurations.
type sessionKey struct {
	generation uint64
	repository string
}

// session is a transport that has authenticated for one repository and renews
// its token by itself.
type session struct {
	transport http.RoundTripper
	expires   time.Time
}

// session returns the repository's session, and makes it if there is none.
func (c *Client) session(ctx context.Context, via *connections, repository name.Repository) (http.RoundTripper, error) {
	key := sessionKey{via.generation, repository.Name()}
	if s, ok := c.sessions.Get(key); ok && time.Now().Before(s.expires) {
		return s.transport, nil
	}
	return c.handshakes.do(ctx, fmt.Sprint(key), func(ctx context.Context) (http.RoundTripper, error) {
		t, err := c.handshake(ctx, via, repository)
		if err != nil {
			return nil, failure(ctx, repository.RegistryStr(), err)
		}
		c.sessions.Add(key, session{t, time.Now().Add(sessionLifetime)})
		return t, nil
	})
}

func (c *Client) handshake(ctx context.Context, via *connections, repository name.Repository) (http.RoundTripper, error) {
	host := repository.RegistryStr()
	credentials, err := authn.Resolve(ctx, c.keychain, repository)
	if err != nil {
		return nil, &Error{verify.RegistryUnauthorized, "the credentials for registry " + host + " cannot be loaded", err}
	}
	var options []name.Option
	if via.plainHTTP(host) {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(host, options...)
	if err != nil {
		return nil, unavailable("registry %s is not a host", printable(host))
	}
	ctx = withJourney(ctx, journey{via, host})
	scopes := []string{repository.Scope(transport.PullScope)}
	return transport.NewWithContext(ctx, registry, credentials, transport.NewUserAgent(c.guard, "countersign"), scopes)
}
