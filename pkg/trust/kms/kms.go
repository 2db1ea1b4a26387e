// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kms holds the public keys of keys that live in a key management service.
// Only public keys are asked for: they are read when a policy that names them is
// loaded, kept, and read again at an interval, so that no admission waits for a
// service. What speaks to a service is a Provider, in a package of its own: the
// program decides which of them it is linked with (docs/design/kms.md).
package kms

import (
	"context"
	"crypto"
	"errors"
)

// Why a key cannot be had. Each says something else about whether the key that
// was read before still counts.
var (
	// ErrUnavailable: the service did not answer, not in time, or with an error of
	// its own. It says nothing about the key.
	ErrUnavailable = errors.New("key service unavailable")
	// ErrForbidden: the service refuses to serve us, or we have no credentials. It
	// says nothing about the key.
	ErrForbidden = errors.New("key service refuses access")
	// ErrMisconfigured: the process lacks what the service needs, such as its
	// address. It says nothing about the key.
	ErrMisconfigured = errors.New("key service not configured")
	// ErrNoKey: the service says that there is no such key, or that it is disabled.
	// What was read before no longer counts.
	ErrNoKey = errors.New("no such key")
	// ErrUnusable: the key is there, and not one that signatures are verified with.
	// What was read before no longer counts.
	ErrUnusable = errors.New("key cannot verify signatures")
	// ErrUnsupported: this program was built without the service's Provider.
	ErrUnsupported = errors.New("this build has no KMS support")
)

// Version is one version of a key.
type Version struct {
	// Name is what the service calls it, for messages.
	Name string
	// Key is its public key.
	Key crypto.PublicKey
	// Err is why there is no Key: of a kind that nobody here can read.
	Err error
}

// Provider speaks to one service. Its errors wrap one of this package's; another
// error counts as ErrUnavailable. It keeps to the deadline of ctx, bounds what it
// reads, and asks nobody but whom the URI or the process's environment names.
type Provider interface {
	// PublicKeys returns the versions of the key that verify signatures, the newest
	// first: the one that uri names, or else all that the service holds to be good.
	PublicKeys(ctx context.Context, uri URI) ([]Version, error)
}

// Providers are the services that a program speaks to, by the scheme of their URIs.
type Providers map[Scheme]Provider
