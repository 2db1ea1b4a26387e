// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

// progress orders rejections by how far verification came before it failed. The
// owner of an image with one good but unlogged signature beside ten of other
// people wants to read about the one.
var progress = map[Reason]int{
	NoSignature:            0,
	LimitExceeded:          1,
	KeyMismatch:            2,
	SignatureInvalid:       3,
	NotLogged:              4,
	LogUnknown:             5,
	LogEntryMismatch:       6,
	TimestampInvalid:       7,
	CheckpointInvalid:      8,
	InclusionProofInvalid:  9,
	CheckpointInconsistent: 10,
}

// further returns the verdict that says more: an Unavailable over a Rejected,
// since what could not be judged might have been good, and between two of a kind
// the one that came further, or came first. Verified is never passed in.
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
	case Unavailable:
		return len(progress)
	case Rejected:
		return progress[v.Reason]
	default:
		return -1
	}
}
