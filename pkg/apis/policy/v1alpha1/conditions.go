// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of ClusterImagePolicy, TransparencyLog and TrustRoot.
const (
	// ConditionReady: the object can be used as it stands. A policy that is not
	// ready denies with PolicyNotReady what depends on the part that is not; a
	// log that is not ready cannot be used at all, was caught lying, or did not
	// answer the last poll (what a signature carries still verifies then).
	ConditionReady = "Ready"
	// ConditionKeysResolved (policies): every key was found and parses. It is
	// True with the reason Stale while a key service cannot be asked and what it said
	// before is in force, until the time in the message; and with KeyInvalid when a
	// version of a key is left out because it cannot be used.
	ConditionKeysResolved = "KeysResolved"
	// ConditionLogsReady (policies): every log that is named, or the default
	// log where none is, exists and can be used.
	ConditionLogsReady = "LogsReady"
	// ConditionTrustRootsReady (policies): every trust root that is named exists,
	// can be used, and holds what the policy needs of it.
	ConditionTrustRootsReady = "TrustRootsReady"
	// ConditionFresh: what is known is not too old. Of a trust root: what is in
	// force is what its source says now; while it is False, what the source said
	// last is in force, until it expires. Of a log: it was verified within
	// spec.maxStaleness; while it is False, the log proves nothing.
	ConditionFresh = "Fresh"
	// ConditionExpiresSoon (trust roots): something ends before long, see
	// status.expiry. It is True when somebody must act.
	ConditionExpiresSoon = "ExpiresSoon"
	// ConditionReachable (logs): the last poll got an answer.
	ConditionReachable = "Reachable"
	// ConditionConsistent (logs): every checkpoint seen so far can be part of
	// one append-only history under the log's key.
	ConditionConsistent = "Consistent"
	// ConditionActive (exceptions): the exception counts. While it is False it does
	// nothing; the clock is asked at each decision, whatever is written here.
	ConditionActive = "Active"
	// ConditionWitnessed (logs): as many witnesses as the log's policy asks for have
	// cosigned the checkpoint of the last poll. It is absent where none are asked for.
	// While it is False, what witnesses have cosigned before goes on being admitted.
	ConditionWitnessed = "Witnessed"
	// ConditionReset (logs): the reset in the spec was carried out. While it is False,
	// nothing was changed, and the reason is ResetRefused, or Unavailable when the log
	// did not show yet what is to be accepted. It is absent where the spec asks for none.
	ConditionReset = "Reset"
)

// Reasons of those conditions.
const (
	// ReasonSucceeded: the condition is True and nothing is to be said.
	ReasonSucceeded = "Succeeded"
	// ReasonKeyInvalid: a key does not parse, or is of a kind that is refused.
	ReasonKeyInvalid = "KeyInvalid"
	// ReasonSecretNotFound: a Secret, or the key in it, does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonCredentialInvalid: a Secret holds something else than the credentials
	// that are wanted.
	ReasonCredentialInvalid = "CredentialInvalid" //nolint:gosec // the name of a reason
	// ReasonKeyNotFound: a key service says that a key does not exist, or that it is
	// disabled.
	ReasonKeyNotFound = "KeyNotFound"
	// ReasonKMSAccessDenied: a key service refuses access, or there are no
	// credentials for it.
	ReasonKMSAccessDenied = "KMSAccessDenied"
	// ReasonKMSNotConfigured: the process lacks what a key service needs, such as its
	// address.
	ReasonKMSNotConfigured = "KMSNotConfigured"
	// ReasonKMSNotSupported: the program was built without the key service.
	ReasonKMSNotSupported = "KMSNotSupported"
	// ReasonStale: the condition is True, and rests on what a key service said some
	// time ago; it does not answer now.
	ReasonStale = "Stale"
	// ReasonLogNotFound: a TransparencyLog that is named does not exist.
	ReasonLogNotFound = "LogNotFound"
	// ReasonLogNotReady: a TransparencyLog that is named cannot be used.
	ReasonLogNotReady = "LogNotReady"
	// ReasonTrustRootNotFound: a TrustRoot that is named does not exist.
	ReasonTrustRootNotFound = "TrustRootNotFound"
	// ReasonTrustRootNotReady: a TrustRoot that is named cannot be used.
	ReasonTrustRootNotReady = "TrustRootNotReady"
	// ReasonTrustRootUnsuitable: a TrustRoot that is named lacks what is asked
	// of it, such as a certificate authority.
	ReasonTrustRootUnsuitable = "TrustRootUnsuitable"
	// ReasonConfigMapNotFound: a ConfigMap, or the key in it, does not exist.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonRepositoryInvalid: what a TUF repository serves does not verify.
	ReasonRepositoryInvalid = "RepositoryInvalid"
	// ReasonExpired: it is past its end.
	ReasonExpired = "Expired"
	// ReasonExpiresSoon: its end is near.
	ReasonExpiresSoon = "ExpiresSoon"
	// ReasonNotExpiring: its end is far, or there is none.
	ReasonNotExpiring = "NotExpiring"
	// ReasonLogInconsistent: the log contradicted itself; see status.inconsistency.
	ReasonLogInconsistent = "LogInconsistent"
	// ReasonCheckpointInvalid: the log served a checkpoint that is malformed or
	// not signed by its key.
	ReasonCheckpointInvalid = "CheckpointInvalid"
	// ReasonWitnessQuorumNotMet: too few witnesses have cosigned the log.
	ReasonWitnessQuorumNotMet = "WitnessQuorumNotMet"
	// ReasonKeyNotValid: the log's key is not valid yet.
	ReasonKeyNotValid = "KeyNotValid"
	// ReasonResetRefused: a reset names something else than what is stored, or a
	// history that the log does not have.
	ReasonResetRefused = "ResetRefused"
	// ReasonLogReset (Events of logs): a reset was carried out.
	ReasonLogReset = "LogReset"
	// ReasonCheckpointStale: the log was last verified too long ago.
	ReasonCheckpointStale = "CheckpointStale"
	// ReasonExceptionTooLong: an exception lasts longer than exceptions may.
	ReasonExceptionTooLong = "ExceptionTooLong"
	// ReasonExceptionUsed (Events of exceptions): images were admitted that a policy
	// does not accept.
	ReasonExceptionUsed = "ExceptionUsed"
	// ReasonAcceptedInOutage (Events of policies): images were accepted without full
	// verification, as spec.onUnavailable allows.
	ReasonAcceptedInOutage = "AcceptedInOutage"
	// ReasonWouldBeDenied (Events of Pods, workloads and what else holds images): it was
	// admitted because the policy that does not accept it has mode warn or audit.
	ReasonWouldBeDenied = "WouldBeDenied"
	// ReasonUnavailable: the log, mirror or key service did not answer, or not in
	// time.
	ReasonUnavailable = "Unavailable"
	// ReasonSpecInvalid: the spec cannot be compiled.
	ReasonSpecInvalid = "SpecInvalid"
)
