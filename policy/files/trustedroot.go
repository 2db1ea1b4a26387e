// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// TrustedRoot is what a trusted_root.json holds.
type TrustedRoot struct {
	// Material holds the certificate authorities, the CT logs and the timestamp
	// authorities.
	Material root.TrustedMaterial
	// Logs are the transparency logs, in each version of Rekor that they can be. They
	// verify what they are given, without asking anybody.
	Logs []*tlog.Prover
}

// ParseTrustedRoot parses a trusted_root.json that has a transparency log.
func ParseTrustedRoot(text []byte) (TrustedRoot, error) {
	trusted, err := trust.ParseTrustedRoot(text)
	if err != nil {
		return TrustedRoot{}, err
	}
	parsed := TrustedRoot{Material: trusted}
	for _, id := range slices.Sorted(maps.Keys(trusted.RekorLogs())) {
		l := trusted.RekorLogs()[id]
		logs, err := rootLogs(l)
		if err != nil {
			return TrustedRoot{}, fmt.Errorf("trusted root: the log with ID %s: %w", id, err)
		}
		for _, log := range logs {
			parsed.Logs = append(parsed.Logs, offline(log))
		}
	}
	if len(parsed.Logs) == 0 {
		return TrustedRoot{}, errors.New("trusted root: it holds no transparency log")
	}
	return parsed, nil
}

// rootLogs returns a log of a trusted root in each version of Rekor that it can be:
// the root does not say which. It is named after the host of its base URL. A Rekor v1
// is known by its key alone, since its checkpoints need not carry that name; those of
// a Rekor v2 do, and its ID depends on it.
//
// The ID tells the versions apart, unless the key is an ECDSA key, which has one ID in
// both. The log's own checkpoints then say what they are, under its signature, and its
// entries may be those of either.
func rootLogs(l *root.TransparencyLog) ([]*tlog.Log, error) {
	host := hostOf(l.BaseURL)
	if host == "" {
		return nil, fmt.Errorf("its base URL %q names no host", l.BaseURL)
	}
	var logs []*tlog.Log
	for _, config := range []tlog.Config{
		{Name: host, Version: tlog.RekorV1, KeyOnly: true, Key: l.PublicKey},
		{Name: host, Version: tlog.RekorV2, Origin: host, Key: l.PublicKey},
	} {
		config.Validity = tlog.Validity{NotBefore: l.ValidityPeriodStart, NotAfter: l.ValidityPeriodEnd}
		_, config.EitherEntry = l.PublicKey.(*ecdsa.PublicKey)
		log, err := tlog.NewLog(config)
		if err != nil {
			return nil, err
		}
		if id := log.ID(); bytes.Equal(id[:], l.ID) {
			logs = append(logs, log)
		}
	}
	if len(logs) == 0 {
		return nil, errors.New("it is neither the hash of the log's key, which Rekor v1 has, nor the hash of name and key that Rekor v2 has")
	}
	return logs, nil
}

// hostOf returns the host of a base URL, which may come without a scheme.
func hostOf(base string) string {
	if !strings.Contains(base, "://") {
		base = "//" + base
	}
	parsed, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

// OfflineLogs returns the configured logs, with all that is asked of them, for use
// without asking them.
func (r *Resources) OfflineLogs(ctx context.Context) ([]*tlog.Prover, error) {
	var logs []*tlog.Prover
	for i := range r.Logs {
		log, err := r.log(ctx, &r.Logs[i])
		if err != nil {
			return nil, fmt.Errorf("TransparencyLog %q: %w", r.Logs[i].Name, err)
		}
		logs = append(logs, offline(log))
	}
	return logs, nil
}

func (r *Resources) log(ctx context.Context, obj *v1alpha1.TransparencyLog) (*tlog.Log, error) {
	key, err := trust.PublicKeyPEM(ctx, obj.Spec.PublicKey.Data, obj.Spec.PublicKey.SecretRef, v1alpha1.DefaultLogSecretKey, r.Secrets)
	if err != nil {
		return nil, err
	}
	config, err := trust.LogConfig(obj, key)
	if err != nil {
		return nil, err
	}
	return tlog.NewLog(config)
}

// offline returns a prover that trusts the first checkpoint that it sees: nothing
// is known of the log's history, and nobody is asked.
func offline(log *tlog.Log) *tlog.Prover { return tlog.NewProver(log, nil, tlog.NewMemoryHistory()) }
