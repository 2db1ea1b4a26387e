// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Policy is a compiled policy. It is immutable and safe for concurrent use.
type Policy struct {
	id         ID
	generation int64
	mode       v1alpha1.Mode

	images, exclude []image.Glob
	// everything is set when a pattern could not be read: nobody can tell what
	// such a policy covers, so it covers every image.
	everything bool
	// selection says in which namespaces and objects.
	selection selection

	authorities []authority
	threshold   int
	// requireDigest is what the policy says of references without one.
	requireDigest bool
	// eachPlatform is set when the manifests of an index are judged, and not it.
	eachPlatform bool
	// exceptions says whether exceptions can set its refusals aside.
	exceptions bool
	// onUnavailable is what it says of what does not answer.
	onUnavailable v1alpha1.OnUnavailable
	// uid is that of the object.
	uid types.UID
	// memory holds what was verified in full, where onUnavailable may need it.
	memory *memory
	// sources are all that its authorities name.
	sources []registry.Source
	// keyrings are those of its sources, by the names of their Secrets.
	keyrings map[string]*keyring.Keyring
	problems []Problem
	notes    []Note
}

// Verifier is the verdict of one authority over the signatures that were found
// beside an image: the best over all of them. *verify.Authority implements it.
type Verifier interface {
	Verify(ctx context.Context, digest string, signatures []verify.Signature) verify.Verdict
}

// ID says of which object the policy was compiled.
func (p *Policy) ID() ID { return p.id }

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

// evaluate asks the authorities, and sees to what the policy says of those that could
// not tell.
func (p *Policy) evaluate(ctx context.Context, digest string, ev *evidence) PolicyResult {
	known := make([]opinion, len(p.authorities))
	result := p.askAll(ctx, digest, ev, known)
	return p.inOutage(ctx, ev, known, result)
}

// askAll asks the authorities in their order until the threshold is met.
// Evidence that is already known may only admit: before the policy refuses, the
// registry is asked. That another policy has asked it, in vain perhaps, changes
// nothing about what is known. known takes what they say of that.
func (p *Policy) askAll(ctx context.Context, digest string, ev *evidence, known []opinion) PolicyResult {
	if digest != "" || !p.hasKey() {
		result := p.tally(func(i int, a *authority) verify.Verdict {
			known[i] = a.recall(ctx, digest, ev)
			return known[i].verdict
		})
		if accepted(result.Verdict) || !p.hasKey() {
			return result
		}
	}
	return p.tally(func(i int, a *authority) verify.Verdict { return a.judge(ctx, digest, ev, known[i]) })
}

// tally collects the authorities' verdicts until the threshold is met.
func (p *Policy) tally(verdictOf func(int, *authority) verify.Verdict) PolicyResult {
	result := p.result(nil)
	passed := 0
	for i := range p.authorities {
		a := &p.authorities[i]
		verdict := a.fixed
		if a.key != nil {
			verdict = verdictOf(i, a)
		}
		result.Authorities = append(result.Authorities, AuthorityResult{Name: a.name, Verdict: verdict})
		if complete(verdict) {
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
	return PolicyResult{Policy: p.id, Generation: p.generation, Mode: p.mode, Threshold: p.threshold, Verdict: verdict, exceptions: p.exceptions}
}

func (p *Policy) hasKey() bool {
	return slices.ContainsFunc(p.authorities, func(a authority) bool { return a.key != nil })
}
