// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"

	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// authority is a compiled authority: a key to verify with, or a verdict that no
// signature changes (a static authority, or one that cannot be used).
type authority struct {
	name  string
	key   Verifier
	fixed verify.Verdict
	// sources are where its evidence is looked for; none is beside the image.
	sources []registry.Source
	// signers name the keys that were compiled: a threshold counts each once.
	signers []string
}

// opinion is what an authority says over some signatures. Of an authority that has
// not been asked it is the zero value.
type opinion struct {
	over    []verify.Signature
	verdict verify.Verdict
}

// recall returns what the authority says over what is known without a request.
func (a *authority) recall(ctx context.Context, digest string, ev *evidence) opinion {
	signatures, ok := ev.cached(a)
	if !ok {
		return opinion{verdict: verify.Unavailable{Cause: verify.RegistryUnavailable, Detail: "the registry has not been asked"}}
	}
	return opinion{over: signatures, verdict: a.verify(ctx, digest, signatures)}
}

// judge returns what the authority says over what its sources serve now. What it
// said before stands where it accepted, or where the evidence is the same.
//
// Some places may have answered and some not. What was found may admit the image;
// that it is not enough says nothing.
func (a *authority) judge(ctx context.Context, digest string, ev *evidence, before opinion) verify.Verdict {
	if accepted(before.verdict) {
		return before.verdict
	}
	found, failure := ev.fresh(ctx, a)
	switch {
	case failure == nil && len(before.over) > 0 && sameSignatures(before.over, found):
		return before.verdict
	case failure != nil && len(found) == 0:
		return failure
	}
	verdict := a.verify(ctx, digest, found)
	if failure != nil && !accepted(verdict) {
		return failure
	}
	return verdict
}

// verify is the key's verdict. That there was nothing says where it was looked
// for, unless that is where everybody would look.
func (a *authority) verify(ctx context.Context, digest string, signatures []verify.Signature) verify.Verdict {
	verdict := a.key.Verify(ctx, digest, signatures)
	rejected, ok := verdict.(verify.Rejected)
	if !ok || len(a.sources) == 0 || (rejected.Reason != verify.NoSignature && rejected.Reason != verify.AttestationMissing) {
		return verdict
	}
	places := make([]string, 0, len(a.sources))
	for _, from := range a.sources {
		places = append(places, from.String())
	}
	rejected.Detail = printable(rejected.Detail+"; looked "+strings.Join(places, ", and "), maxDetail)
	return rejected
}

// needsAttestations reports whether the authority asks for attestations.
func (a *authority) needsAttestations() bool {
	asks, ok := a.key.(interface{ NeedsAttestations() bool })
	return ok && asks.NeedsAttestations()
}
