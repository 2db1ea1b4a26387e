// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Registry finds what there is beside an image. *registry.Client implements it.
// Errors are *registry.Error; any other is taken for RegistryUnavailable.
type Registry interface {
	// Resolve returns the digest that ref's tag points to now, or ref's own.
	Resolve(ctx context.Context, ref image.Reference) (digest string, err error)
	// Signatures asks a source for the signatures over digest, the digest of ref.
	// It returns none and no error when there are none, and may return some and
	// an error when a part of the answer is missing.
	Signatures(ctx context.Context, ref image.Reference, digest string, from registry.Source) ([]verify.Signature, error)
	// CachedSignatures returns what an earlier call of Signatures found, and
	// whether there was one. It makes no request.
	CachedSignatures(ref image.Reference, digest string, from registry.Source) ([]verify.Signature, bool)
	// Attestations and CachedAttestations do the same for attestations that
	// have a place of their own: cosign's .att images.
	Attestations(ctx context.Context, ref image.Reference, digest string, from registry.Source) ([]verify.Signature, error)
	CachedAttestations(ref image.Reference, digest string, from registry.Source) ([]verify.Signature, bool)
}

// evidence holds what was found about one image. Each place is asked when an
// authority first looks there, at most once for all authorities and policies. It
// is used by one goroutine.
type evidence struct {
	access

	ref    image.Reference
	digest string
	// failure is set when nothing can be asked: the verdict of whoever would.
	failure verify.Verdict

	asked map[lookup]finding
}

// lookup is one question about the image.
type lookup struct {
	from registry.Source
	// attestations is set where the question is for those that have a place of
	// their own.
	attestations bool
}

// finding is the answer: what was found, and the verdict to give when that is not
// all and not enough.
type finding struct {
	signatures []verify.Signature
	failure    verify.Verdict
	// panicked is what ended the question, if something did.
	panicked any
}

// lookups are the questions that an authority has to ask, in the order of its
// sources. Those for attestations are asked only for who wants some.
func (a *authority) lookups() []lookup {
	sources := a.sources
	if len(sources) == 0 {
		sources = []registry.Source{{}}
	}
	var all []lookup
	for _, from := range sources {
		all = append(all, lookup{from: from})
		if a.needsAttestations() {
			all = append(all, lookup{from: from, attestations: true})
		}
	}
	return all
}

// cached returns signatures that may be used to accept the image, but not to
// refuse it.
func (e *evidence) cached(a *authority) (known []verify.Signature, ok bool) {
	for _, l := range a.lookups() {
		look := e.registry.CachedSignatures
		if l.attestations {
			look = e.registry.CachedAttestations
		}
		found, some := look(e.ref, e.digest, l.from)
		known, ok = append(known, found...), ok || some
	}
	return known, ok
}

// fresh returns the signatures that the authority's sources serve now, all of them
// together, and the verdict to give when they are not all and not enough.
func (e *evidence) fresh(ctx context.Context, a *authority) ([]verify.Signature, verify.Verdict) {
	if e.failure != nil {
		return nil, e.failure
	}
	lookups := a.lookups()
	e.ask(ctx, lookups)
	var found []verify.Signature
	var failure verify.Verdict
	for _, l := range lookups {
		found = append(found, e.asked[l].signatures...)
		failure = graver(failure, e.asked[l].failure)
	}
	return found, failure
}

// ask answers the questions that have not been asked yet, side by side. A panic in
// one of them becomes the caller's, who recovers.
func (e *evidence) ask(ctx context.Context, lookups []lookup) {
	open := slices.DeleteFunc(slices.Clone(lookups), func(l lookup) bool {
		_, known := e.asked[l]
		return known
	})
	findings := make([]finding, len(open))
	var wg sync.WaitGroup
	for i, l := range open {
		wg.Go(func() { findings[i] = e.find(ctx, l) })
	}
	wg.Wait()
	if e.asked == nil {
		e.asked = map[lookup]finding{}
	}
	for i, l := range open {
		if cause := findings[i].panicked; cause != nil {
			panic(cause)
		}
		e.asked[l] = findings[i]
	}
}

// find answers one question.
func (e *evidence) find(ctx context.Context, l lookup) (found finding) {
	defer func() {
		if cause := recover(); cause != nil {
			found.panicked = fmt.Sprintf("%v\n%s", cause, debug.Stack())
		}
	}()
	look := e.registry.Signatures
	if l.attestations {
		look = e.registry.Attestations
	}
	signatures, err := look(ctx, e.ref, e.digest, l.from)
	found.signatures = signatures
	if err != nil {
		found.failure = failureVerdict(err)
	}
	return found
}

// graver returns the failure to report of two, either of which may be nil: what
// may be told later before what was refused for good.
func graver(a, b verify.Verdict) verify.Verdict {
	_, open := a.(verify.Unavailable)
	if _, laterOpen := b.(verify.Unavailable); a == nil || (!open && laterOpen) {
		return b
	}
	return a
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
