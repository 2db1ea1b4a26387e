// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// judgement is a decision that is being reached: what the policies said that
// have been asked, and those that are still open. Immutable: callers who share
// an evaluation may each end it at another point.
type judgement struct {
	decision Decision
	open     []*Policy
	// wantDigest says that exceptions turn on the digest, whether policies do or not.
	wantDigest bool
}

// inOrder returns the policies in the order in which they are judged. Those that
// enforce come first, so that no other can take their time or spoil their
// verdict; among them those that need no registry.
func inOrder(covering []*Policy, ref image.Reference) []*Policy {
	later := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(covering), func(a, b *Policy) int {
		return cmp.Or(
			cmp.Compare(later(a.mode != v1alpha1.ModeEnforce), later(b.mode != v1alpha1.ModeEnforce)),
			cmp.Compare(later(a.needsDigest(ref)), later(b.needsDigest(ref))),
		)
	})
}

// next returns the judgement after the first open policy gave these results: one,
// or none when it does not cover the image after all.
func (j judgement) next(results ...PolicyResult) judgement {
	j.decision.Policies = byName(slices.Concat(j.decision.Policies, results))
	j.open = j.open[1:]
	return j
}

// closed is the decision when the policies that are still open get this verdict.
// What the others found stays.
func (j judgement) closed(verdict verify.Verdict) Decision {
	results := slices.Clone(j.decision.Policies)
	for _, p := range j.open {
		results = append(results, p.result(verdict))
	}
	j.decision.Policies = byName(results)
	return j.decision
}

// late is the verdict of a policy that there was no time to ask: what it found so
// far counts no more, since it may be half of the truth.
func late() verify.Verdict {
	return verify.Unavailable{Cause: verify.DeadlineExceeded, Detail: "there was not enough time to verify the image"}
}

// panicked is the verdict after a panic. Of the closed set of reasons,
// PolicyNotReady is the one that says what is true: the fault is in the policy's
// evaluation, and the image is neither accused nor excused.
func panicked() verify.Verdict {
	return verify.Rejected{Reason: verify.PolicyNotReady, Detail: "the evaluation failed inside countersign; its log says how"}
}
