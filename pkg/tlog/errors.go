// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import "errors"

// What can be wrong with a claim of inclusion. Callers tell the kinds apart with
// errors.Is; the text says what was found. Absent, unavailable and inconsistent
// are three different things (RFC 6962 section 2.1 says what a proof is, the
// history rules are in docs/design/history.md).
var (
	// ErrNotLogged: the log answered, and it does not hold the entry.
	ErrNotLogged = errors.New("entry is not in the log")
	// ErrUnknownLog: the entry names a log other than the configured one.
	ErrUnknownLog = errors.New("entry names an unknown log")
	// ErrEntryMismatch: the entry is about something else than the signature.
	ErrEntryMismatch = errors.New("log entry does not match the signature")
	// ErrInclusionProof: the inclusion proof does not lead to the checkpoint.
	ErrInclusionProof = errors.New("inclusion proof is invalid")
	// ErrCheckpoint: the checkpoint is malformed, or not signed by the log.
	ErrCheckpoint = errors.New("checkpoint is invalid")
	// ErrInconsistent: the checkpoint contradicts, or cannot be shown to
	// extend or precede, what was seen of the log before.
	ErrInconsistent = errors.New("checkpoint is inconsistent with the log's history")
	// ErrEntryTime: the entry is of a time at which the log's key was not valid.
	ErrEntryTime = errors.New("entry is not of the time of the log's key")
	// ErrKeyValidity: the log's key is not valid yet, or not any more, and what it
	// signed was not seen before.
	ErrKeyValidity = errors.New("checkpoint is signed outside of the validity of the log's key")
	// ErrWitnessQuorum: too few witnesses have cosigned the log's checkpoint.
	ErrWitnessQuorum = errors.New("witness quorum not met")
	// ErrStale: the log was last verified too long ago, and does not show now
	// that it goes on from there.
	ErrStale = errors.New("what is known of the log is too old")
	// ErrSignedEntryTimestamp: a signed entry timestamp is present and wrong.
	ErrSignedEntryTimestamp = errors.New("signed entry timestamp is invalid")
	// ErrUnavailable: the log, or the store of its history, did not answer.
	ErrUnavailable = errors.New("log is unavailable")
	// ErrLimit: what was offered is larger than anything legitimate.
	ErrLimit = errors.New("limit exceeded")
	// ErrConflict: History.Advance lost a compare-and-swap.
	ErrConflict = errors.New("stored checkpoint has changed")
)
