// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of ClusterImagePolicy and TransparencyLog.
const (
	// ConditionReady: the object can be used as it stands. A policy that is not
	// ready denies with PolicyNotReady what depends on the part that is not; a
	// log that is not ready cannot be used at all, was caught lying, or did not
	// answer the last poll (what a signature carries still verifies then).
	ConditionReady = "Ready"
	// ConditionKeysResolved (policies): every key was found and parses.
	ConditionKeysResolved = "KeysResolved"
	// ConditionLogsReady (policies): every log that is named, or the default
	// log where none is, exists and can be used.
	ConditionLogsReady = "LogsReady"
	// ConditionReachable (logs): the last poll got an answer.
	ConditionReachable = "Reachable"
	// ConditionConsistent (logs): every checkpoint seen so far can be part of
	// one append-only history under the log's key.
	ConditionConsistent = "Consistent"
)

// Reasons of those conditions.
const (
	// ReasonSucceeded: the condition is True and nothing is to be said.
	ReasonSucceeded = "Succeeded"
	// ReasonKeyInvalid: a key does not parse, or is of a kind that is refused.
	ReasonKeyInvalid = "KeyInvalid"
	// ReasonSecretNotFound: a Secret, or the key in it, does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonLogNotFound: a TransparencyLog that is named does not exist.
	ReasonLogNotFound = "LogNotFound"
	// ReasonLogNotReady: a TransparencyLog that is named cannot be used.
	ReasonLogNotReady = "LogNotReady"
	// ReasonLogInconsistent: the log contradicted itself; see status.inconsistency.
	ReasonLogInconsistent = "LogInconsistent"
	// ReasonCheckpointInvalid: the log served a checkpoint that is malformed or
	// not signed by its key.
	ReasonCheckpointInvalid = "CheckpointInvalid"
	// ReasonUnavailable: the log did not answer, or not in time.
	ReasonUnavailable = "Unavailable"
	// ReasonSpecInvalid: the spec cannot be compiled.
	ReasonSpecInvalid = "SpecInvalid"
)
