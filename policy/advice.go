// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "github.com/countersign-dev/countersign/pkg/verify"

// Advice says what to do about a reason: one line for whoever was refused. It is
// never empty.
func Advice(reason Reason) string {
	if advice, ok := adviceTable()[reason]; ok {
		return advice
	}
	return "ask the policy's owner"
}

func adviceTable() map[Reason]string {
	const (
		resign   = "sign it again with a certificate from a CA that the policy trusts"
		tampered = "sign this digest again; if that does not help, the evidence is being tampered with between the log and here"
		change   = "change what the message names, or ask the policy's owner"
		retry    = "try again; nothing is known to be wrong with the image, but it cannot be verified now"
	)
	return map[Reason]string{
		verify.ImageNotFound:          "check the image's name and tag, and that it has been pushed",
		verify.DigestRequired:         "name the image by digest (repository:tag@sha256:…); where a Pod was to be pinned, see why countersign's mutating webhook did not",
		verify.NoSignature:            "sign it with `cosign sign --key … IMAGE@DIGEST` into your log (cosign v3: `--signing-config FILE`; v2: `--rekor-url URL`), and into the repository that the image is pulled from or the source that the policy names",
		verify.SignatureInvalid:       "sign this digest again: the signature beside it is damaged or is another image's",
		verify.KeyMismatch:            "sign it with the key that the policy names, or have the policy name this key",
		verify.IdentityMismatch:       "sign it with the identity that the policy names, or have the policy name this identity",
		verify.CertificateInvalid:     resign,
		verify.SCTInvalid:             resign,
		verify.TimestampInvalid:       "sign it again with a timestamp from an authority that the policy trusts",
		verify.NotLogged:              "sign it into the log that the policy names: with cosign v3 `--signing-config FILE`, with v2 `--rekor-url URL --tlog-upload=true`",
		verify.LogUnknown:             "sign it into the log that the policy names, its entry is in another: with cosign v3 `--signing-config FILE`, with v2 `--rekor-url URL`",
		verify.LogEntryMismatch:       tampered,
		verify.InclusionProofInvalid:  tampered,
		verify.CheckpointInvalid:      tampered,
		verify.CheckpointInconsistent: "do not retry: the log contradicts what this cluster has seen of it; tell the log's operator, and see `kubectl describe transparencylog`",
		verify.CheckpointStale:        "see `kubectl describe transparencylog`: nobody has heard of the log for longer than its maxStaleness; it must be reachable again",
		verify.WitnessQuorumNotMet:    "try again when the witnesses that are missing have cosigned the log; `kubectl describe transparencylog` says which have",
		verify.AttestationMissing:     "attach the attestation that the policy requires with `cosign attest …`",
		verify.AttestationInvalid:     "attach the attestation again: the one beside the image does not verify",
		verify.AttestationRejected:    change,
		verify.PolicyRejected:         change,
		verify.StaticDenied:           "use another image, or ask the policy's owner",
		verify.NoMatchingPolicy:       "use an image that a policy of the cluster covers, or ask for a ClusterImagePolicy that covers this one",
		verify.PolicyNotReady:         "ask the policy's owner to look at it with `kubectl describe`: until it is ready, it refuses what it covers",
		verify.LimitExceeded:          "remove signatures that are not needed: what is stored beside the image is larger than anything legitimate",
		verify.RegistryUnavailable:    retry + "; if that goes on, see whether the registry is up and countersign can reach it",
		verify.RegistryThrottled:      "try again later; raise the registry's limit of requests, or give countersign credentials or a mirror for which it is higher",
		verify.LogUnavailable:         retry,
		verify.KMSUnavailable:         retry,
		verify.DeadlineExceeded:       retry,
		verify.RegistryUnauthorized:   "give countersign credentials that can read this repository, or correct those that the message names (docs/registries.md, Credentials)",
	}
}
