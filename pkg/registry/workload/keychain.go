// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workload gets credentials for the registries of cloud providers by the
// identity that the provider gives to the workload.
package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// patience is how long a provider is waited for.
	patience = 5 * time.Second
	// early is how long before its end a token is replaced.
	early = 5 * time.Minute
	// failureLifetime is how long a provider that failed is not asked again.
	failureLifetime = 10 * time.Second
	// maxPlaces bounds the places that tokens are kept for. Whoever creates a Pod
	// names the registry.
	maxPlaces = 64
)

// Provider gets tokens of one cloud provider. It is safe for concurrent use.
type Provider interface {
	// Place returns for what a token is got to ask the registry at a host: a region,
	// the host itself, or "" where one is good for all. It reports false for hosts that
	// are not the provider's: they are never shown a token of it.
	Place(host string) (place string, ok bool)
	// Token gets a token for a place.
	Token(ctx context.Context, place string) (Token, error)
}

// Token is a credential, and until when it is good.
type Token struct {
	Auth  authn.AuthConfig
	Until time.Time
}

// Keychain keeps the tokens of a provider for as long as they are good. It is safe
// for concurrent use.
type Keychain struct {
	provider Provider
	known    *lru.Cache[string, known]
	getting  singleflight.Group
}

type known struct {
	auth  authn.Authenticator
	err   error
	until time.Time
}

// NewKeychain returns a Keychain. It makes no request.
func NewKeychain(p Provider) *Keychain {
	cache, err := lru.New[string, known](maxPlaces)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Keychain{provider: p, known: cache}
}

// Resolve implements authn.Keychain.
func (k *Keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext implements authn.ContextKeychain: authn.Anonymous for registries that
// are not the provider's.
func (k *Keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	place, ok := k.provider.Place(r.RegistryStr())
	if !ok {
		return authn.Anonymous, nil
	}
	if found, ok := k.known.Get(place); ok && time.Now().Before(found.until) {
		return found.auth, found.err
	}
	// The work belongs to no caller: one that gives up does not fail the others.
	got := k.getting.DoChan(place, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return k.get(ctx, place), nil
	})
	select {
	case result := <-got:
		if found, ok := result.Val.(known); ok {
			return found.auth, found.err
		}
		return nil, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// get asks the provider. It recovers: it runs apart from its callers.
func (k *Keychain) get(ctx context.Context, place string) (found known) {
	defer func() {
		if cause := recover(); cause != nil {
			found = known{err: fmt.Errorf("panic: %v", cause)}
		}
	}()
	token, err := k.provider.Token(ctx, place)
	if err != nil {
		found = known{err: err, until: time.Now().Add(failureLifetime)}
	} else {
		found = known{auth: authn.FromConfig(token.Auth), until: token.Until.Add(-early)}
	}
	k.known.Add(place, found)
	return found
}
