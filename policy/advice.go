// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "github.com/countersign-dev/countersign/pkg/verify"

// Advice says what to do about a reason: one line for whoever was refused. It is
// never empty.
func Advice(reason Reason) string {
	switch reason {
	case verify.ImageNotFound:
		return "check the image's name and tag, and that it has been pushed"
	case verify.DigestRequired:
		return "name the image by digest (repository:tag@sha256:…), or see why countersign's mutating webhook did not pin it"
	case verify.NoSignature:
		return "sign it with `cosign sign --key … --rekor-url URL-of-your-log IMAGE@DIGEST`, into the repository that the image is pulled from"
	case verify.SignatureInvalid:
		return "sign this digest again: the signature beside it is damaged or is another image's"
	case verify.KeyMismatch:
		return "sign it with the key that the policy names, or have the policy name this key"
	case verify.IdentityMismatch:
		return "sign it with the identity that the policy names, or have the policy name this identity"
	case verify.CertificateInvalid, verify.SCTInvalid:
		return "sign it again with a certificate from a CA that the policy trusts"
	case verify.TimestampInvalid:
		return "sign it again with a timestamp from an authority that the policy trusts"
	case verify.NotLogged:
		return "sign with `cosign sign --rekor-url URL-of-the-log …` and `--tlog-upload=true`, so that the signature is in the log that the policy names"
	case verify.LogUnknown:
		return "sign with `cosign sign --rekor-url URL-of-the-log …`: the signature's entry is in another log than the policy names"
	case verify.LogEntryMismatch, verify.InclusionProofInvalid, verify.CheckpointInvalid:
		return "sign this digest again; if that does not help, the evidence is being tampered with between the log and here"
	case verify.CheckpointInconsistent:
		return "do not retry: the log contradicts what this cluster has seen of it; tell the log's operator, and see `kubectl describe transparencylog`"
	case verify.CheckpointStale:
		return "see `kubectl describe transparencylog`: the log has not been heard of for too long"
	case verify.WitnessQuorumNotMet:
		return "see `kubectl describe transparencylog`: too few witnesses have cosigned the log"
	case verify.AttestationMissing:
		return "attach the attestation that the policy requires with `cosign attest …`"
	case verify.AttestationInvalid:
		return "attach the attestation again: the one beside the image does not verify"
	case verify.AttestationRejected, verify.PolicyRejected:
		return "change what the message names, or ask the policy's owner"
	case verify.StaticDenied:
		return "use another image, or ask the policy's owner"
	case verify.NoMatchingPolicy:
		return "use an image that a policy covers, or ask for a ClusterImagePolicy that covers this one"
	case verify.PolicyNotReady:
		return "ask the policy's owner to see `kubectl describe clusterimagepolicy`: until it is ready, it refuses what it covers"
	case verify.LimitExceeded:
		return "remove signatures that are not needed: what is stored beside the image is larger than anything legitimate"
	case verify.RegistryUnavailable, verify.RegistryThrottled, verify.LogUnavailable, verify.KMSUnavailable, verify.DeadlineExceeded:
		return "try again; nothing is known to be wrong with the image, but it cannot be verified now"
	case verify.RegistryUnauthorized:
		return "give countersign credentials that can read this repository"
	default:
		return "ask the policy's owner"
	}
}
