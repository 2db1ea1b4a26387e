// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// needsDigest reports whether the digest that ref does not name matters to the
// policy: to a key, to the policy itself, or to the question whether it covers the image. It is
// the one test for what is resolved, what Pin pins, and what RequireDigest may
// refuse, so that a Pod that has been pinned is never refused for its digest.
func (p *Policy) needsDigest(ref image.Reference) bool {
	return ref.Digest() == "" && p.mayCover(ref) && (p.hasKey() || p.requireDigest || p.coversByDigest(ref))
}

// demandDigest turns the acceptance of an image that written names by its tag alone
// into a refusal where the policy wants a digest. Another refusal says more.
func (p *Policy) demandDigest(written image.Reference, result PolicyResult) PolicyResult {
	if !p.requireDigest || written.Digest() != "" || !accepted(result.Verdict) {
		return result
	}
	return p.result(verify.Rejected{
		Reason: verify.DigestRequired,
		Detail: "the image is good, but the policy says requireDigest, and the reference names none",
	})
}

// coversByDigest reports whether it turns on the digest, which ref does not
// name, if the policy covers the image.
func (p *Policy) coversByDigest(ref image.Reference) bool {
	if ref.Digest() != "" || !p.mayCover(ref) {
		return false
	}
	return !p.covers(ref) || slices.ContainsFunc(p.exclude, func(g image.Glob) bool { return g.HasDigest() && g.MayMatch(ref) })
}

// conditional returns, for each of the policies that may or may not cover ref for
// a digest that it does not name, what RequireDigest makes of it.
func conditional(ref image.Reference, covering []*Policy) []PolicyResult {
	var results []PolicyResult
	for _, p := range covering {
		if p.coversByDigest(ref) {
			results = append(results, p.result(verify.Rejected{
				Reason: verify.DigestRequired,
				Detail: "whether the policy covers the image turns on its digest, and its reference names none, so another image could run under this tag",
			}))
		}
	}
	return results
}

// RequireDigest returns the decision on an image that will run as it is written.
// When its reference names no digest, what runs need not be what was looked at.
// So a policy accepts it only where no digest was needed for that, and one that
// covers some digests alone may cover what runs, whatever the registry answered
// when it was asked: the rest is DigestRequired, in the mode of the policy. Any
// other refusal stays, since it says more.
func (d Decision) RequireDigest() Decision {
	if d.Pinned {
		return d
	}
	policies := make([]PolicyResult, 0, len(d.Policies)+len(d.conditional))
	for _, r := range d.Policies {
		if refusal := find(d.conditional, r.Policy); refusal != nil && accepted(r.Verdict) {
			r = *refusal
		} else if r.Exception != nil && r.Exception.byDigest {
			r.Exception = nil // what runs need not have that digest
		} else if r.acceptedByDigest() {
			r.Authorities = nil
			r.Verdict = verify.Rejected{
				Reason: verify.DigestRequired,
				Detail: "the image verifies, but its reference names no digest, so another image could run under this tag",
			}
		}
		policies = append(policies, r)
	}
	for _, r := range d.conditional {
		if find(d.Policies, r.Policy) == nil {
			policies = append(policies, r)
		}
	}
	d.Policies, d.unpinned = byName(policies), true
	return d
}

// SurelyCovered reports whether a policy of the cluster covers the image whatever its
// digest is, as far as that is not known or not what will run, and whatever could not
// be read of its origin. An image that is not may be one that no policy covers. What a
// namespace says for itself does not count: its owner would get around NoMatchDeny.
func (d Decision) SurelyCovered() bool {
	known := d.Digest != "" && !d.unpinned
	return slices.ContainsFunc(d.Policies, func(r PolicyResult) bool {
		return r.Policy.Namespace == "" && !slices.Contains(d.unsure, r.Policy) && (known || find(d.conditional, r.Policy) == nil)
	})
}

// acceptedBy returns the verdicts that made the policy accept the image: none
// when it did not.
func (r PolicyResult) acceptedBy() []verify.Verified {
	var good []verify.Verified
	if v, ok := r.Verdict.(verify.Verified); ok {
		good = append(good, v)
		for _, a := range r.Authorities {
			if v, ok := a.Verdict.(verify.Verified); ok {
				good = append(good, v)
			}
		}
	}
	return good
}

// acceptedByDigest reports whether the policy accepts the image for a signature
// over its digest, be it one of several authorities that were needed.
func (r PolicyResult) acceptedByDigest() bool {
	return slices.ContainsFunc(r.acceptedBy(), func(v verify.Verified) bool { return v.Evidence.Format != formatStatic })
}

// Unlogged reports whether the policy accepts the image for a signature that no
// log was asked about, be it one of several that were needed: the policy says
// insecureIgnoreTlog. Each use of that is to be seen.
func (r PolicyResult) Unlogged() bool {
	return slices.ContainsFunc(r.acceptedBy(), func(v verify.Verified) bool { return Unlogged(v) })
}

func find(results []PolicyResult, policy ID) *PolicyResult {
	i := slices.IndexFunc(results, func(r PolicyResult) bool { return r.Policy == policy })
	if i < 0 {
		return nil
	}
	return &results[i]
}

// byName puts results in the order in which decisions hold them.
func byName(results []PolicyResult) []PolicyResult {
	slices.SortFunc(results, func(a, b PolicyResult) int { return a.Policy.compare(b.Policy) })
	return results
}
