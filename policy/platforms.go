// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// platformer is a Registry that knows what an index lists. *registry.Client is one.
type platformer interface {
	// Platforms returns the manifests that a node may run of those that the index
	// under digest lists; nil if digest is a manifest's. Errors are as of Registry.
	Platforms(ctx context.Context, ref image.Reference, digest string) ([]registry.Platform, error)
}

// evaluate asks the policy about the image, or about each platform that it is for.
func (s subject) evaluate(ctx context.Context, p *Policy) PolicyResult {
	digest := s.evidence.digest
	if !p.eachPlatform || !p.hasKey() || digest == "" || s.failure != nil {
		return p.evaluate(ctx, digest, s.evidence)
	}
	source, ok := s.evidence.registry.(platformer)
	if !ok {
		return p.result(verify.Unavailable{Cause: verify.RegistryUnavailable, Detail: "nobody can tell which platforms the image is for"})
	}
	platforms, err := source.Platforms(ctx, s.written, digest)
	switch {
	case err != nil:
		return p.result(failureVerdict(err))
	case len(platforms) == 0:
		return p.evaluate(ctx, digest, s.evidence)
	}
	return s.evaluateEach(ctx, p, platforms)
}

// evaluateEach accepts the image if the policy accepts each of its platforms. If not,
// the result is that of the first that it does not accept. It is marked by an
// acceptance of any that was lenient.
func (s subject) evaluateEach(ctx context.Context, p *Policy, platforms []registry.Platform) PolicyResult {
	var all PolicyResult
	for i, platform := range platforms {
		evidence := &evidence{access: s.evidence.access, ref: s.written, digest: platform.Digest}
		result := p.evaluate(ctx, platform.Digest, evidence)
		if !accepted(result.Verdict) {
			return result.about(platform)
		}
		if i == 0 || (all.leniency == nil && result.leniency != nil) {
			all = result
		}
	}
	return all
}

// about says in all verdicts which platform they are about.
func (r PolicyResult) about(platform registry.Platform) PolicyResult {
	named := fmt.Sprintf("%s (%s): ", platform.Name, platform.Digest)
	of := func(v verify.Verdict) verify.Verdict {
		switch v := v.(type) {
		case verify.Rejected:
			v.Detail = named + v.Detail
			return v
		case verify.Unavailable:
			v.Detail = named + v.Detail
			return v
		default:
			return v
		}
	}
	authorities := make([]AuthorityResult, len(r.Authorities))
	for i, a := range r.Authorities {
		authorities[i] = AuthorityResult{Name: a.Name, Verdict: of(a.Verdict)}
	}
	r.Authorities, r.Verdict = authorities, of(r.Verdict)
	return r
}
