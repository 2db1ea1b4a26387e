// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Registry finds what there is beside an image. *registry.Client implements it.
// Errors are *registry.Error; any other is taken for RegistryUnavailable.
type Registry interface {
	// Resolve returns the digest that ref's tag points to now, or ref's own.
	Resolve(ctx context.Context, ref image.Reference) (digest string, err error)
	// Signatures asks the registry for the signatures over digest in ref's
	// repository. It returns none and no error when there are none, and may
	// return some and an error when a part of the answer is missing.
	Signatures(ctx context.Context, ref image.Reference, digest string) ([]verify.Signature, error)
	// CachedSignatures returns what an earlier call of Signatures found, and
	// whether there was one. It makes no request.
	CachedSignatures(ref image.Reference, digest string) ([]verify.Signature, bool)
	// Attestations and CachedAttestations do the same for attestations that
	// have a place of their own: cosign's .att images.
	Attestations(ctx context.Context, ref image.Reference, digest string) ([]verify.Signature, error)
	CachedAttestations(ref image.Reference, digest string) ([]verify.Signature, bool)
}

// evidence holds the signatures beside one image. They are fetched when a policy
// first asks for them, at most once for all policies. It is used by one
// goroutine.
type evidence struct {
	registry Registry
	ref      image.Reference
	digest   string
	// attested is set when a policy asks for attestations, so that the
	// registry is not asked for them in vain.
	attested bool

	fetched    bool
	signatures []verify.Signature
	failure    verify.Verdict
}

// cached returns signatures that may be used to accept the image, but not to
// refuse it.
func (e *evidence) cached() ([]verify.Signature, bool) {
	known, ok := e.registry.CachedSignatures(e.ref, e.digest)
	if !e.attested {
		return known, ok
	}
	attestations, attested := e.registry.CachedAttestations(e.ref, e.digest)
	return slices.Concat(known, attestations), ok || attested
}

// fresh returns the signatures that the registry serves now, and the verdict to
// give when they are not all and not enough.
func (e *evidence) fresh(ctx context.Context) ([]verify.Signature, verify.Verdict) {
	if !e.fetched {
		e.fetched = true
		signatures, err := e.registry.Signatures(ctx, e.ref, e.digest)
		e.signatures = signatures
		if e.attested {
			attestations, err2 := e.registry.Attestations(ctx, e.ref, e.digest)
			e.signatures = slices.Concat(signatures, attestations)
			err = cmp.Or(err, err2)
		}
		if err != nil {
			e.failure = failureVerdict(err)
		}
	}
	return e.signatures, e.failure
}

// sameSignatures reports whether a and b are the same evidence in the same order,
// so that judging b again would tell nothing new.
func sameSignatures(a, b []verify.Signature) bool {
	return slices.EqualFunc(a, b, func(x, y verify.Signature) bool {
		switch x := x.(type) {
		case verify.LegacySignature:
			y, ok := y.(verify.LegacySignature)
			return ok && bytes.Equal(x.Payload, y.Payload) && x.Base64Signature == y.Base64Signature && x.RekorBundle == y.RekorBundle &&
				x.Certificate == y.Certificate && x.Chain == y.Chain && x.RFC3161Timestamp == y.RFC3161Timestamp
		case verify.LegacyAttestation:
			y, ok := y.(verify.LegacyAttestation)
			return ok && bytes.Equal(x.Envelope, y.Envelope) && x.RekorBundle == y.RekorBundle &&
				x.Certificate == y.Certificate && x.RFC3161Timestamp == y.RFC3161Timestamp
		case verify.Bundle:
			y, ok := y.(verify.Bundle)
			return ok && bytes.Equal(x.JSON, y.JSON)
		default:
			return false
		}
	})
}

// failureVerdict says what a failed question to the registry means: that nobody
// could tell, unless the registry's client says otherwise. It is never nil.
func failureVerdict(err error) verify.Verdict {
	var known *registry.Error
	switch {
	case errors.As(err, &known) && known.Reason.Unavailable():
		return verify.Unavailable{Cause: known.Reason, Detail: known.Detail}
	case errors.As(err, &known):
		return verify.Rejected{Reason: known.Reason, Detail: known.Detail}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return verify.Unavailable{Cause: verify.DeadlineExceeded, Detail: "there was not enough time to ask the registry"}
	default:
		return verify.Unavailable{Cause: verify.RegistryUnavailable, Detail: printable(err.Error(), maxDetail)}
	}
}
