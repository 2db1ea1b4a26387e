// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// accepted reports whether v, and nothing else, says that an image is good.
func accepted(v verify.Verdict) bool {
	_, ok := v.(verify.Verified)
	return ok
}

// complete reports whether v accepts an image, and the logs could be asked about all of
// it.
func complete(v verify.Verdict) bool {
	good, ok := v.(verify.Verified)
	return ok && good.Evidence.Unasked() == ""
}

// combine is the verdict of a policy, given its authorities' and the number that
// must accept. Verified: enough did. Unavailable: those that could not tell might
// have made it enough. Rejected otherwise, with the most telling reason.
func combine(results []AuthorityResult, threshold int) verify.Verdict {
	var first verify.Verdict // a complete one, if there is one
	var unavailable *verify.Unavailable
	var rejected *verify.Rejected
	passed, open := 0, 0
	for _, r := range results {
		switch v := r.Verdict.(type) {
		case verify.Verified:
			if passed++; first == nil || !complete(first) && complete(v) {
				first = v
			}
		case verify.Unavailable:
			if open++; unavailable == nil {
				unavailable = &v
			}
		case verify.Rejected:
			if rejected == nil || moreTelling(v.Reason, rejected.Reason) {
				rejected = &v
			}
		}
	}
	switch {
	case threshold > 0 && passed >= threshold:
		return first
	case unavailable != nil && passed+open >= threshold:
		return *unavailable
	case rejected != nil:
		return *rejected
	case unavailable != nil:
		return *unavailable
	default:
		// Too few authorities, or a verdict of no known kind: neither accepts.
		return verify.Rejected{Reason: verify.PolicyNotReady, Detail: "the policy's authorities gave no verdict that it can be decided by"}
	}
}

// moreTelling reports whether a says more than b about what is wrong with an
// image: the further the evidence came, the more its failure says, and a sign
// of an attack on a log says most.
func moreTelling(a, b verify.Reason) bool {
	order := []verify.Reason{
		verify.CheckpointInconsistent, verify.WitnessQuorumNotMet, verify.CheckpointStale, verify.CheckpointInvalid,
		verify.InclusionProofInvalid, verify.LogEntryMismatch, verify.LogUnknown, verify.NotLogged,
		verify.PolicyRejected, verify.AttestationRejected, verify.AttestationInvalid, verify.AttestationMissing,
		verify.TimestampInvalid, verify.SCTInvalid, verify.CertificateInvalid, verify.IdentityMismatch,
		verify.SignatureInvalid, verify.KeyMismatch, verify.LimitExceeded, verify.ImageNotFound,
		verify.PolicyNotReady, verify.NoSignature, verify.DigestRequired, verify.StaticDenied, verify.NoMatchingPolicy,
	}
	rank := func(r verify.Reason) int {
		if i := slices.Index(order, r); i >= 0 {
			return i
		}
		return len(order)
	}
	return rank(a) < rank(b)
}
