// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Authority is who may sign, and which logs must hold the signature's entry: the
// compiled form of one authority of a policy. Immutable.
type Authority struct {
	// Name is the authority's name in its policy.
	Name string
	// Keys are alternatives: a signature by one of them is enough.
	Keys []Key
	// Keyless is who may sign with a certificate. Keys and Keyless exclude each
	// other.
	Keyless *Keyless
	// TimestampRoot holds the authorities of which one must have stamped the
	// signature. It adds a requirement: it never replaces the log.
	TimestampRoot root.TrustedMaterial
	// TimestampIfPresent asks for that only of a signature that comes with
	// timestamps: none is needed, but who shows some must show a good one.
	TimestampIfPresent bool
	// Annotations are claims that the signature must carry, beside its image.
	Annotations map[string]string
	// Attestations are required beside the signature, all of them.
	Attestations []AttestationRequirement
	// SkipSignature asks for the attestations alone.
	SkipSignature bool
	// Format is the storage format that counts: "legacy", "bundle", or "" for
	// both.
	Format string
	// Logs are the logs that count. Empty is allowed only with InsecureIgnoreTlog.
	Logs []*tlog.Prover
	// LogThreshold is how many logs with distinct keys must prove inclusion. 0
	// means 1.
	LogThreshold int
	// AcceptUnasked lets proofs count that were verified in all but one thing: the
	// log does not answer, and could not be asked if their checkpoint is in its
	// history (tlog.UnaskedError). Evidence.Unasked says when that was needed.
	AcceptUnasked bool
	// InsecureIgnoreTlog accepts signatures that are in no log.
	InsecureIgnoreTlog bool
}

// Validate returns an error for an authority that could accept less than it says,
// or nothing at all.
func (a *Authority) Validate() error {
	switch {
	case a.Keyless != nil && len(a.Keys) > 0:
		return errors.New("key and keyless exclude each other")
	case a.Keyless != nil:
		if err := a.Keyless.validate(); err != nil {
			return err
		}
	case len(a.Keys) == 0:
		return errors.New("authority has no key")
	case slices.ContainsFunc(a.Keys, func(k Key) bool { return k.verifier == nil }):
		return errors.New("authority has a key that was not parsed")
	}
	if a.SkipSignature && len(a.Attestations) == 0 {
		return errors.New("authority asks for neither a signature nor an attestation")
	}
	if !slices.Contains([]string{"", "legacy", "bundle"}, a.Format) {
		return fmt.Errorf("%q is no storage format: legacy and bundle are", a.Format)
	}
	if a.TimestampRoot != nil && len(a.TimestampRoot.TimestampingAuthorities()) == 0 {
		return errors.New("the trust root for timestamps has no timestamp authority")
	}
	return a.validateLogs()
}

func (a *Authority) validateLogs() error {
	switch {
	case a.InsecureIgnoreTlog && len(a.Logs) > 0:
		return errors.New("insecureIgnoreTlog and logs exclude each other")
	case a.InsecureIgnoreTlog:
		return nil
	case len(a.Logs) == 0:
		return errors.New("authority has no log")
	}
	distinct := map[[32]byte]bool{}
	for _, l := range a.Logs {
		if l == nil {
			return errors.New("authority has a log that is not there")
		}
		distinct[l.Log().KeyID()] = true
	}
	if a.logThreshold() > len(distinct) {
		return fmt.Errorf("threshold of %d logs cannot be met by %d distinct log keys", a.LogThreshold, len(distinct))
	}
	return nil
}

func (a *Authority) logThreshold() int { return max(a.LogThreshold, 1) }

// Verify returns the verdict of the authority on the image with this digest
// ("sha256:" and 64 hexadecimal digits), given all signatures that were found
// beside it. One good signature is enough, whatever else lies there.
//
// When none is good the verdict is Unavailable if one could not be judged, since
// it might have been the good one; otherwise it is the rejection of the
// signature that came furthest, which is the one that its owner cares about.
func (a *Authority) Verify(ctx context.Context, digest string, signatures []Signature) Verdict {
	if err := a.Validate(); err != nil {
		return Rejected{Reason: PolicyNotReady, Detail: printable(err.Error())}
	}
	if err := checkDigest(digest); err != nil {
		return verdictOf(err)
	}
	verdict := a.verifyImage(ctx, digest, signatures)
	for _, required := range a.Attestations {
		found, ok := verdict.(Verified)
		if !ok {
			return verdict
		}
		verdict = a.verifyAttestation(ctx, digest, signatures, required, found.Evidence)
	}
	if found, ok := verdict.(Verified); ok && found.Evidence.Unasked() != "" {
		// What was looked at after it can have shown that the log lies.
		if _, doubt := a.Standing(ctx, found.Evidence); doubt != nil {
			return doubt
		}
	}
	return verdict
}

// verifyImage looks for a good signature of the image, where one is asked for.
func (a *Authority) verifyImage(ctx context.Context, digest string, signatures []Signature) Verdict {
	if a.SkipSignature {
		return Verified{Evidence: Evidence{Format: formatAttestations, VerifiedAt: time.Now().UTC()}}
	}
	found := a.search(ctx, digest, signatures, purpose{})
	if good, ok := found.(Verified); ok {
		good.Evidence.statement, good.Evidence.predicate = nil, nil // whoever keeps the verdict need not keep what was signed
		return good
	}
	return found
}

// search returns the verdict on the best of the signatures for a purpose.
func (a *Authority) search(ctx context.Context, digest string, signatures []Signature, want purpose) Verdict {
	var best Verdict
	for _, s := range signatures {
		if ctx.Err() != nil {
			return Unavailable{Cause: DeadlineExceeded, Detail: "time ran out before all signatures were looked at"}
		}
		verdict := a.verifyOne(ctx, digest, s, want)
		if isComplete(verdict) {
			return verdict
		}
		best = further(best, verdict)
	}
	if best == nil {
		return Rejected{Reason: NoSignature, Detail: "no signature was found"}
	}
	return best
}

// verifyOne gives the verdict on one signature, in a way that nothing that an
// attacker wrote can end the process.
func (a *Authority) verifyOne(ctx context.Context, digest string, s Signature, want purpose) (verdict Verdict) {
	defer func() {
		if r := recover(); r != nil {
			verdict = Rejected{Reason: SignatureInvalid, Detail: printable(fmt.Sprintf("verification failed in a way that is a fault of countersign: %v", r))}
		}
	}()
	c, err := parse(s)
	if err != nil {
		return verdictOf(err)
	}
	if a.Format != "" && a.Format != c.format {
		return Rejected{Reason: NoSignature, Detail: fmt.Sprintf("a signature was found in the %s format, and the authority asks for the %s format", c.format, a.Format)}
	}
	keys, err := a.signers(c)
	if err != nil {
		return verdictOf(err)
	}
	var best Verdict = Rejected{Reason: NoSignature, Detail: attestationMessage}
	for _, key := range keys {
		verdict := a.verifyKey(ctx, c, key, digest, want)
		if isComplete(verdict) {
			return verdict
		}
		best = further(best, verdict)
	}
	return best
}

func (a *Authority) verifyKey(ctx context.Context, c *candidate, key Key, digest string, want purpose) Verdict {
	if err := verifySignature(c, key, digest, want); err != nil {
		return verdictOf(err)
	}
	if !want.isAttestation() {
		if err := c.checkAnnotations(a.Annotations); err != nil {
			return verdictOf(err)
		}
	}
	return a.verifyEvidence(ctx, c, key)
}

// verifyEvidence verifies, for a signature that is good, that it is in the logs,
// and that it was made when its certificate was good.
func (a *Authority) verifyEvidence(ctx context.Context, c *candidate, key Key) Verdict {
	evidence := Evidence{Format: c.format, Signer: a.signer(c, key), statement: c.payload, predicate: c.predicate}
	stamped := a.stamps(c)
	if !a.InsecureIgnoreTlog {
		proofs, err := a.proveLogged(ctx, c, key, stamped)
		if err != nil {
			return verdictOf(err)
		}
		evidence.Proofs = proofs
	}
	times, err := a.checkTimes(c, stamped, evidence.Proofs)
	if err != nil {
		return verdictOf(err)
	}
	evidence.SignedAt = times
	evidence.VerifiedAt = time.Now().UTC()
	return Verified{Evidence: evidence}
}
