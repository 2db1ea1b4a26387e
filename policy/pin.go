// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/pkg/image"
)

type pin struct {
	reference string
	err       error
}

// Pin returns the reference that a container should carry in the place of
// written, so that what is verified is what runs: the same with the digest that
// its tag points to now. References that have a digest already, and those that
// no policy judges by their digest, are returned as they are. It does not judge.
func (e *Evaluator) Pin(ctx context.Context, origin Origin, written string) (reference string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			e.recovered(cause, "Resolving panicked", written)
			reference, err = "", fmt.Errorf("resolving %.300q failed inside countersign", written)
		}
	}()
	ref, err := e.parse(written)
	if err != nil {
		return "", err
	}
	covering := e.policies.load().at(origin.Namespace).covering(ref, e.view(ctx, origin)).with(e.exceptions.active(origin.Namespace), ref)
	if !covering.wantDigest && !slices.ContainsFunc(covering.policies, func(p *Policy) bool { return p.needsDigest(ref) }) {
		return written, nil
	}
	access := e.open(ctx, origin, ref, covering.policies)
	asked := question{covering.asked, covering.key, written, access.tenant, access.scope}
	resolved, err := e.pins.do(ctx, asked, maxEvaluation, func(ctx context.Context, _ func(pin)) pin {
		return e.pin(ctx, access, ref)
	})
	if err != nil {
		return "", err
	}
	return resolved.reference, resolved.err
}

func (e *Evaluator) pin(ctx context.Context, via access, ref image.Reference) (resolved pin) {
	defer func() {
		if cause := recover(); cause != nil {
			e.recovered(cause, "Resolving panicked", ref.String())
			resolved = pin{err: fmt.Errorf("resolving %q failed inside countersign", ref.String())}
		}
	}()
	digest, err := via.registry.Resolve(ctx, ref)
	if err != nil {
		return pin{err: err}
	}
	reference := ref.Pinned(digest)
	if parsed, err := image.Parse(reference); err != nil || parsed.Digest() != digest {
		return pin{err: fmt.Errorf("the registry answered with something that is no digest: %.100q", digest)}
	}
	return pin{reference: reference}
}
