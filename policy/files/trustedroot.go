// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// OfflineLog is a log to verify against without asking it anything.
type OfflineLog struct {
	Prover *tlog.Prover
	// Start and End bound the validity of the log's key. The zero time is no bound.
	Start, End time.Time
}

// TrustedRoot is what a trusted_root.json holds.
type TrustedRoot struct {
	// Material holds the certificate authorities, the CT logs and the timestamp
	// authorities.
	Material root.TrustedMaterial
	// Logs are the transparency logs, by name.
	Logs []OfflineLog
}

// ParseTrustedRoot parses a trusted_root.json that has a transparency log. A log is
// named after the host of its base URL, and known by its key: the root does not say
// what its checkpoints call it.
func ParseTrustedRoot(text []byte) (TrustedRoot, error) {
	trusted, err := trust.ParseTrustedRoot(text)
	if err != nil {
		return TrustedRoot{}, err
	}
	parsed := TrustedRoot{Material: trusted}
	for id, l := range trusted.RekorLogs() {
		base, err := url.Parse(l.BaseURL)
		if err != nil || base.Hostname() == "" {
			return TrustedRoot{}, fmt.Errorf("trusted root: the base URL of the log with ID %s names no host", id)
		}
		log, err := tlog.NewLog(tlog.Config{Name: base.Hostname(), Version: tlog.RekorV1, KeyOnly: true, Key: l.PublicKey})
		if err != nil {
			return TrustedRoot{}, fmt.Errorf("trusted root: log %s: %w", base.Hostname(), err)
		}
		parsed.Logs = append(parsed.Logs, OfflineLog{Prover: offline(log), Start: l.ValidityPeriodStart, End: l.ValidityPeriodEnd})
	}
	if len(parsed.Logs) == 0 {
		return TrustedRoot{}, errors.New("trusted root: it holds no transparency log")
	}
	slices.SortFunc(parsed.Logs, func(a, b OfflineLog) int { return cmp.Compare(a.Prover.Log().Name(), b.Prover.Log().Name()) })
	return parsed, nil
}

// OfflineLogs returns the configured logs, for use without asking them.
func (r *Resources) OfflineLogs(ctx context.Context) ([]OfflineLog, error) {
	var logs []OfflineLog
	for i := range r.Logs {
		spec := &r.Logs[i].Spec
		text, err := trust.PublicKeyPEM(ctx, spec.PublicKey.Data, spec.PublicKey.SecretRef, v1alpha1.DefaultLogSecretKey, r.Secrets)
		if err != nil {
			return nil, fmt.Errorf("TransparencyLog %q: %w", r.Logs[i].Name, err)
		}
		key, err := trust.ParseLogKey(text)
		if err != nil {
			return nil, fmt.Errorf("TransparencyLog %q: %w", r.Logs[i].Name, err)
		}
		log, err := tlog.NewLog(tlog.Config{Name: r.Logs[i].Name, Version: tlog.RekorV1, Origin: spec.Origin, Key: key})
		if err != nil {
			return nil, fmt.Errorf("TransparencyLog %q: %w", r.Logs[i].Name, err)
		}
		logs = append(logs, OfflineLog{Prover: offline(log)})
	}
	return logs, nil
}

// offline returns a prover that trusts the first checkpoint that it sees: nothing
// is known of the log's history, and nobody is asked.
func offline(log *tlog.Log) *tlog.Prover { return tlog.NewProver(log, nil, tlog.NewMemoryHistory()) }

// WithinValidity returns the verdict, or a rejection if a log whose key proved
// inclusion took the entry outside of that key's validity.
func WithinValidity(verdict verify.Verdict, logs []OfflineLog, now time.Time) verify.Verdict {
	good, ok := verdict.(verify.Verified)
	if !ok {
		return verdict
	}
	for _, proof := range good.Evidence.Proofs {
		for _, l := range logs {
			if l.Prover.Log().ID() == proof.LogID() && !l.valid(takenAt(proof, good.Evidence.SignedAt, now)) {
				return verify.Rejected{
					Reason: verify.TimestampInvalid,
					Detail: fmt.Sprintf("nothing shows that log %q took the entry while its key was valid", proof.Log()),
				}
			}
		}
	}
	return verdict
}

// takenAt returns when a log took an entry: when it says so itself, in a signed
// entry timestamp; else when the signature was made, in the words of timestamp
// authorities, since whoever signs logs at once. When nobody says anything, all that
// is known is that it is in the log now.
func takenAt(proof tlog.Proof, signedAt []time.Time, now time.Time) []time.Time {
	if at, known := proof.IntegratedTime(); known {
		return []time.Time{at}
	}
	if len(signedAt) > 0 {
		return signedAt
	}
	return []time.Time{now}
}

// valid reports whether the log's key was valid at all of these times. Both ends
// belong to the validity.
func (l OfflineLog) valid(times []time.Time) bool {
	return !slices.ContainsFunc(times, func(at time.Time) bool {
		return at.Before(l.Start) || !l.End.IsZero() && at.After(l.End)
	})
}
