// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"slices"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Policy is a compiled ClusterImagePolicy. It is immutable and safe for
// concurrent use.
type Policy struct {
	name       string
	generation int64
	mode       v1alpha1.Mode

	images, exclude []image.Glob
	// everything is set when a pattern could not be read: nobody can tell what
	// such a policy covers, so it covers every image.
	everything bool

	authorities []authority
	threshold   int
	problems    []Problem
}

// Verifier is the verdict of one authority over the signatures that were found
// beside an image: the best over all of them. *verify.Authority implements it.
type Verifier interface {
	Verify(ctx context.Context, digest string, signatures []verify.Signature) verify.Verdict
}

// authority is a compiled authority: a key to verify with, or a verdict that no
// signature changes (a static authority, or one that cannot be used).
type authority struct {
	name  string
	key   Verifier
	fixed verify.Verdict
	// signer names the key that was compiled: a threshold counts it once.
	signer string
}

// Name is the name of the ClusterImagePolicy.
func (p *Policy) Name() string { return p.name }

// Generation is the metadata.generation that was compiled.
func (p *Policy) Generation() int64 { return p.generation }

// Mode says what happens to an image that the policy does not accept.
func (p *Policy) Mode() v1alpha1.Mode { return p.mode }

// covers reports whether the policy covers ref as far as it is known. Patterns
// that name a digest match only references that have one.
func (p *Policy) covers(ref image.Reference) bool {
	matches := func(g image.Glob) bool { return g.Match(ref) }
	return (p.everything || slices.ContainsFunc(p.images, matches)) && !p.excludes(ref)
}

// mayCover reports whether the policy covers ref, or could once ref's tag has
// been resolved to a digest.
func (p *Policy) mayCover(ref image.Reference) bool {
	matches := func(g image.Glob) bool { return g.MayMatch(ref) }
	return (p.everything || slices.ContainsFunc(p.images, matches)) && !p.excludes(ref)
}

// excludes reports whether an exclusion takes ref out of the policy. The tag
// beside a digest is a claim by whoever wrote the object: it may add coverage,
// never take it away.
func (p *Policy) excludes(ref image.Reference) bool {
	return slices.ContainsFunc(p.exclude, func(g image.Glob) bool {
		return g.Match(ref) && (ref.Digest() == "" || !g.HasTag())
	})
}

// evaluate asks the authorities in their order until the threshold is met.
// Evidence that is already known may only admit: before the policy refuses, the
// registry is asked. That another policy has asked it, in vain perhaps, changes
// nothing about what is known.
func (p *Policy) evaluate(ctx context.Context, digest string, ev *evidence) PolicyResult {
	if digest != "" || !p.hasKey() {
		known, ok := ev.cached()
		result := p.ask(ctx, digest, known, ok)
		if accepted(result.Verdict) || !p.hasKey() {
			return result
		}
		if found, failure := ev.fresh(ctx); ok && failure == nil && sameSignatures(known, found) {
			return result
		}
	}
	found, failure := ev.fresh(ctx)
	if failure == nil {
		return p.ask(ctx, digest, found, true)
	}
	// Some places answered and some did not. What was found may admit the image;
	// that it is not enough says nothing.
	if len(found) > 0 {
		if result := p.ask(ctx, digest, found, true); accepted(result.Verdict) {
			return result
		}
	}
	return p.refuse(failure)
}

// ask collects the authorities' verdicts over signatures until the threshold is
// met. Where nothing is known yet, only fixed verdicts count.
func (p *Policy) ask(ctx context.Context, digest string, signatures []verify.Signature, known bool) PolicyResult {
	return p.tally(func(key Verifier) verify.Verdict {
		if !known {
			return verify.Unavailable{Cause: verify.RegistryUnavailable, Detail: "the registry has not been asked"}
		}
		return key.Verify(ctx, digest, signatures)
	})
}

// refuse is the result when the question cannot be put to any key: failure is
// their verdict. Authorities with a fixed verdict keep theirs.
func (p *Policy) refuse(failure verify.Verdict) PolicyResult {
	return p.tally(func(Verifier) verify.Verdict { return failure })
}

func (p *Policy) tally(verdictOf func(Verifier) verify.Verdict) PolicyResult {
	result := p.result(nil)
	passed := 0
	for _, a := range p.authorities {
		verdict := a.fixed
		if a.key != nil {
			verdict = verdictOf(a.key)
		}
		result.Authorities = append(result.Authorities, AuthorityResult{Name: a.name, Verdict: verdict})
		if accepted(verdict) {
			passed++
		}
		if passed >= p.threshold {
			break
		}
	}
	result.Verdict = combine(result.Authorities, p.threshold)
	return result
}

// result is the policy's part of a decision with one verdict for all of it.
func (p *Policy) result(verdict verify.Verdict) PolicyResult {
	return PolicyResult{Policy: p.name, Generation: p.generation, Mode: p.mode, Threshold: p.threshold, Verdict: verdict}
}

// needsAttestations reports whether an authority asks for attestations.
func (p *Policy) needsAttestations() bool {
	return slices.ContainsFunc(p.authorities, func(a authority) bool {
		asks, ok := a.key.(interface{ NeedsAttestations() bool })
		return ok && asks.NeedsAttestations()
	})
}

func (p *Policy) hasKey() bool {
	return slices.ContainsFunc(p.authorities, func(a authority) bool { return a.key != nil })
}
