// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// subject is the image that is judged, as far as it is known.
type subject struct {
	// written is the reference of the object; named is the same with the digest,
	// once that is known.
	written, named image.Reference
	// resolved is set when the registry has been asked for the digest, and failure
	// when it gave none.
	resolved bool
	failure  verify.Verdict
	evidence *evidence
}

// subject returns an image with its digest as far as it is known.
func (a access) subject(written, named image.Reference, digest string, failure verify.Verdict) subject {
	ev := &evidence{access: a, ref: written, digest: digest, failure: failure}
	return subject{written: written, named: named, failure: failure, evidence: ev}
}

// resolve returns the subject with its digest, or with the verdict that the
// failure to find it means.
func (a access) resolve(ctx context.Context, ref image.Reference) (s subject) {
	digest, err := a.registry.Resolve(ctx, ref)
	if err != nil {
		s = a.subject(ref, ref, "", failureVerdict(err))
	} else if named, err := image.Parse(ref.Pinned(digest)); err != nil || named.Digest() != digest {
		s = a.subject(ref, ref, "", verify.Rejected{Reason: verify.ImageNotFound, Detail: "the registry answered with something that is no digest: " + printable(digest, maxDetail)})
	} else {
		s = a.subject(ref, named, digest, nil)
	}
	s.resolved = true
	return s
}

// under returns what p says about the image: one result, or none when its digest
// shows that p does not cover it.
func (s subject) under(ctx context.Context, p *Policy) []PolicyResult {
	switch {
	case s.failure != nil && !p.covers(s.written):
		// Only the digest, which nobody knows, says whether p covers it.
		return []PolicyResult{p.result(s.failure)}
	case s.failure == nil && !p.covers(s.named):
		return nil
	default:
		return []PolicyResult{p.demandDigest(s.written, s.evaluate(ctx, p))}
	}
}
