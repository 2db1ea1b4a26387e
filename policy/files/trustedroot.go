// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"fmt"
	"net/url"
	"sort"
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

// TrustedRootLogs returns the transparency logs in a trusted_root.json, by name.
// A log is named after the host of its base URL, and known by its key: the root does
// not say what its checkpoints call it.
func TrustedRootLogs(text []byte) ([]OfflineLog, error) {
	trusted, err := root.NewTrustedRootFromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	var logs []OfflineLog
	for id, l := range trusted.RekorLogs() {
		base, err := url.Parse(l.BaseURL)
		if err != nil || base.Hostname() == "" {
			return nil, fmt.Errorf("trusted root: the base URL of the log with ID %s names no host", id)
		}
		log, err := tlog.NewLog(tlog.Config{Name: base.Hostname(), Version: tlog.RekorV1, KeyOnly: true, Key: l.PublicKey})
		if err != nil {
			return nil, fmt.Errorf("trusted root: log %s: %w", base.Hostname(), err)
		}
		logs = append(logs, OfflineLog{Prover: offline(log), Start: l.ValidityPeriodStart, End: l.ValidityPeriodEnd})
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("trusted root: it holds no transparency log")
	}
	sort.Slice(logs, func(i, j int) bool { return logs[i].Prover.Log().Name() < logs[j].Prover.Log().Name() })
	return logs, nil
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
			if l.Prover.Log().ID() == proof.LogID() && !l.valid(proof, now) {
				return verify.Rejected{
					Reason: verify.TimestampInvalid,
					Detail: fmt.Sprintf("nothing shows that log %q took the entry while its key was valid", proof.Log()),
				}
			}
		}
	}
	return verdict
}

// valid reports whether the log's key was valid when it took the entry. When no
// signed entry timestamp says when that was, the key must be valid now.
func (l OfflineLog) valid(proof tlog.Proof, now time.Time) bool {
	at, known := proof.IntegratedTime()
	if !known {
		at = now
	}
	return !at.Before(l.Start) && (l.End.IsZero() || !at.After(l.End))
}
