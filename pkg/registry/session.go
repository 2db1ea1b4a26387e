// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// sessionKey keeps sessions apart that were made under different configurations, or
// with different credentials.
type sessionKey struct {
	generation uint64
	repository string
	credential string
}

func (r request) session() sessionKey {
	return sessionKey{r.via.generation, r.repository.Name(), r.credential.ID}
}

// session is a transport that has authenticated for one repository and renews
// its token by itself.
type session struct {
	transport http.RoundTripper
	expires   time.Time
}

// session returns the session of a request, and makes it if there is none.
func (c *core) session(ctx context.Context, r request) (http.RoundTripper, error) {
	key := r.session()
	if away, ok := c.turnedAway.Get(key); ok && time.Now().Before(away.until) {
		return nil, away.err
	}
	if s, ok := c.sessions.Get(key); ok && time.Now().Before(s.expires) {
		return s.transport, nil
	}
	return c.handshakes.do(ctx, fmt.Sprint(key), func(ctx context.Context) (http.RoundTripper, error) {
		t, err := c.handshake(ctx, r)
		if err != nil {
			return nil, c.endHandshake(ctx, r, err)
		}
		c.sessions.Add(key, session{t, time.Now().Add(sessionLifetime)})
		return t, nil
	})
}

// endHandshake is the error of a handshake that failed.
func (c *core) endHandshake(ctx context.Context, r request, err error) error {
	if errors.Is(err, errNoneOwned) {
		return err
	}
	e := failure(ctx, r.repository.RegistryStr(), err)
	if status := (*transport.Error)(nil); errors.As(err, &status) {
		c.turnAway(r, status.StatusCode, e)
	}
	return e
}

// turnAway keeps a credential that a registry does not know from being shown to it
// again and again: registries lock accounts for that.
func (c *core) turnAway(r request, status int, e *Error) {
	if status == http.StatusUnauthorized && r.credential.ID != "" && r.credential.ID != ownID {
		c.turnedAway.Add(r.session(), refusal{e, time.Now().Add(refusalLifetime)})
	}
}

// authenticator returns what a session of the request authenticates with.
func (c *core) authenticator(ctx context.Context, r request) (authn.Authenticator, error) {
	if r.credential.ID != ownID {
		return r.credential.Authenticator, nil
	}
	own, err := authn.Resolve(ctx, c.keychain, r.repository)
	switch {
	case err != nil:
		c.log.V(1).Info("Credentials of our own cannot be loaded", "registry", r.repository.RegistryStr(), "error", printable(err.Error()))
		return nil, &Error{verify.RegistryUnauthorized, "the credentials for registry " + r.repository.RegistryStr() + " cannot be loaded", err}
	case own == authn.Anonymous:
		return nil, errNoneOwned
	}
	return own, nil
}

func (c *core) handshake(ctx context.Context, r request) (http.RoundTripper, error) {
	host, via := r.repository.RegistryStr(), r.via
	credentials, err := c.authenticator(ctx, r)
	if err != nil {
		return nil, err
	}
	var options []name.Option
	if via.plainHTTP(host) {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(host, options...)
	if err != nil {
		return nil, unavailable("registry %s is not a host", printable(host))
	}
	j := r.journey(pingURL(via, host).String())
	return transport.NewWithContext(withJourney(ctx, j), registry, credentials, transport.NewUserAgent(c.guard, "countersign"), []string{j.scope})
}
