// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"errors"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// proveLogged returns a proof of inclusion from as many logs with distinct keys
// as the threshold asks for, or the error of the log that came furthest. Proofs of logs
// that do not answer count last, and only if the authority accepts them.
func (a *Authority) proveLogged(ctx context.Context, c *candidate, key Key, stamped stamps) ([]tlog.Proof, error) {
	proven := map[[32]byte]bool{}
	var proofs, unasked []tlog.Proof
	var best Verdict
	for _, l := range a.Logs {
		if proven[l.Log().KeyID()] {
			continue // a second object for the same key is not a second log
		}
		proof, err := proveIn(ctx, l, c, key, stamped)
		if lacking, ok := errors.AsType[*tlog.UnaskedError](err); ok && a.AcceptUnasked {
			unasked = append(unasked, lacking.Proof)
		}
		if err != nil {
			best = further(best, verdictOf(err))
			continue
		}
		proven[l.Log().KeyID()] = true
		proofs = append(proofs, proof)
		if len(proofs) == a.logThreshold() {
			return proofs, nil
		}
	}
	for _, proof := range unasked {
		if proven[proof.KeyID()] {
			continue
		}
		proven[proof.KeyID()] = true
		proofs = append(proofs, proof)
		if len(proofs) == a.logThreshold() {
			return proofs, nil
		}
	}
	if best == nil {
		return nil, reject(NotLogged, "a valid signature was found, but only %d of %d logs with distinct keys hold its entry", len(proofs), a.logThreshold())
	}
	return nil, verdictError{best}
}

// proveIn proves that one log holds the signature's entry. Only entries that name
// this log count; entries of other logs are as good as absent. When there is
// none the log is asked, since its entry can often be derived.
func proveIn(ctx context.Context, l *tlog.Prover, c *candidate, key Key, stamped stamps) (tlog.Proof, error) {
	claim, err := c.claim(key, l.Log())
	if err != nil {
		return tlog.Proof{}, reject(LogEntryMismatch, "%v", err)
	}
	claim = claim.StampedAt(stamped.all())
	id := l.Log().ID()
	var best Verdict
	var unasked error
	for _, e := range c.entries {
		if !bytes.Equal(e.LogID, id[:]) {
			continue
		}
		proof, err := l.Prove(ctx, claim, e)
		if err == nil {
			return proof, nil
		}
		if errors.As(err, new(*tlog.UnaskedError)) {
			unasked = err
		}
		best = further(best, verdictOf(err))
	}
	if unasked != nil {
		return tlog.Proof{}, unasked
	}
	if best != nil {
		return tlog.Proof{}, verdictError{best}
	}
	proof, err := l.Prove(ctx, claim, nil)
	if errors.Is(err, tlog.ErrNotLogged) && len(c.entries) > 0 {
		return tlog.Proof{}, reject(LogUnknown, "a valid signature was found, but its entry is in a log with ID %.64x; %v has ID %x and does not hold it",
			c.entries[0].LogID, l, id)
	}
	if errors.Is(err, tlog.ErrNotLogged) {
		return tlog.Proof{}, reject(NotLogged, "a valid signature was found, but its entry is not in %v", l)
	}
	return proof, err
}

// logReasons maps what package tlog found to the closed set of reasons. The order
// matters: an error can wrap several, and the first that fits is the verdict.
var logReasons = []struct {
	err    error
	reason Reason
}{
	{tlog.ErrInconsistent, CheckpointInconsistent},
	{tlog.ErrStale, CheckpointStale},
	{tlog.ErrEntryMismatch, LogEntryMismatch},
	{tlog.ErrSignedEntryTimestamp, TimestampInvalid},
	{tlog.ErrEntryTime, TimestampInvalid},
	{tlog.ErrKeyValidity, CheckpointInvalid},
	{tlog.ErrCheckpoint, CheckpointInvalid},
	{tlog.ErrInclusionProof, InclusionProofInvalid},
	{tlog.ErrWitnessQuorum, WitnessQuorumNotMet},
	{tlog.ErrUnknownLog, LogUnknown},
	{tlog.ErrNotLogged, NotLogged},
	{tlog.ErrLimit, LimitExceeded},
}

// verdictOf turns an error of this package or of package tlog into a verdict. An
// error that neither knows means that nobody could tell.
func verdictOf(err error) Verdict {
	var ready verdictError
	var rejected rejection
	switch {
	case errors.As(err, &ready):
		return ready.verdict
	case errors.As(err, &rejected):
		return rejected.Rejected
	case errors.Is(err, errOtherPurpose):
		return Rejected{Reason: NoSignature, Detail: attestationMessage}
	}
	for _, m := range logReasons {
		if errors.Is(err, m.err) {
			return Rejected{Reason: m.reason, Detail: printable(err.Error())}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, tlog.ErrUnavailable) {
		return Unavailable{Cause: DeadlineExceeded, Detail: printable(err.Error())}
	}
	return Unavailable{Cause: LogUnavailable, Detail: printable(err.Error())}
}

// LogVerdict is what an error of a log's prover means: rejected with its reason, or
// unavailable. It is never Verified.
func LogVerdict(err error) Verdict { return verdictOf(err) }

// verdictError carries a verdict through functions that return errors.
type verdictError struct{ verdict Verdict }

func (e verdictError) Error() string { return e.verdict.String() }
