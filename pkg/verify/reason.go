// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

// Reason names why an image was not admitted. The set is closed: messages,
// metrics, events and reports carry these strings and no others.
type Reason string

// Reasons of a Rejected verdict.
const (
	ImageNotFound          Reason = "ImageNotFound"
	DigestRequired         Reason = "DigestRequired"
	NoSignature            Reason = "NoSignature"
	SignatureInvalid       Reason = "SignatureInvalid"
	KeyMismatch            Reason = "KeyMismatch"
	IdentityMismatch       Reason = "IdentityMismatch"
	CertificateInvalid     Reason = "CertificateInvalid"
	SCTInvalid             Reason = "SCTInvalid"
	TimestampInvalid       Reason = "TimestampInvalid"
	NotLogged              Reason = "NotLogged"
	LogUnknown             Reason = "LogUnknown"
	LogEntryMismatch       Reason = "LogEntryMismatch"
	InclusionProofInvalid  Reason = "InclusionProofInvalid"
	CheckpointInvalid      Reason = "CheckpointInvalid"
	CheckpointInconsistent Reason = "CheckpointInconsistent"
	CheckpointStale        Reason = "CheckpointStale"
	WitnessQuorumNotMet    Reason = "WitnessQuorumNotMet"
	AttestationMissing     Reason = "AttestationMissing"
	AttestationInvalid     Reason = "AttestationInvalid"
	AttestationRejected    Reason = "AttestationRejected"
	PolicyRejected         Reason = "PolicyRejected"
	StaticDenied           Reason = "StaticDenied"
	NoMatchingPolicy       Reason = "NoMatchingPolicy"
	PolicyNotReady         Reason = "PolicyNotReady"
	LimitExceeded          Reason = "LimitExceeded"
)

// Causes of an Unavailable verdict.
const (
	RegistryUnavailable  Reason = "RegistryUnavailable"
	RegistryUnauthorized Reason = "RegistryUnauthorized"
	RegistryThrottled    Reason = "RegistryThrottled"
	LogUnavailable       Reason = "LogUnavailable"
	KMSUnavailable       Reason = "KMSUnavailable"
	DeadlineExceeded     Reason = "DeadlineExceeded"
)

// Unavailable reports whether r says "could not tell" rather than "not good".
func (r Reason) Unavailable() bool {
	switch r {
	case RegistryUnavailable, RegistryUnauthorized, RegistryThrottled,
		LogUnavailable, KMSUnavailable, DeadlineExceeded:
		return true
	default:
		return false
	}
}
