// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import "slices"

// progress orders rejections by how far verification came before it failed. The
// owner of an image with one good but unlogged signature beside ten of other
// people wants to read about the one. A reason that is not here ranks first.
var progress = []Reason{
	NoSignature,
	LimitExceeded,
	KeyMismatch,
	CertificateInvalid,
	SCTInvalid,
	IdentityMismatch,
	SignatureInvalid,
	NotLogged,
	LogUnknown,
	LogEntryMismatch,
	TimestampInvalid,
	CheckpointInvalid,
	InclusionProofInvalid,
	CheckpointStale,
	CheckpointInconsistent,
	WitnessQuorumNotMet,
}

// isComplete reports whether a verdict is as good as any can be: Verified, and the logs
// could be asked about all of it.
func isComplete(v Verdict) bool {
	good, ok := v.(Verified)
	return ok && good.Evidence.Unasked() == ""
}

// further returns the verdict that says more: a Verified over all others, an Unavailable
// over a Rejected, since what could not be judged might have been good, and between two
// of a kind the one that came further, or came first. A complete Verified ends the search,
// and is never passed in.
func further(a, b Verdict) Verdict {
	if a == nil {
		return b
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(v Verdict) int {
	switch v := v.(type) {
	case Verified:
		return len(progress) + 1
	case Unavailable:
		return len(progress)
	case Rejected:
		return slices.Index(progress, v.Reason)
	default:
		return -2
	}
}
