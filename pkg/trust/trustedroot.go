// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// maxTrustedRootBytes bounds a trusted_root.json. The public instance's has 7 KiB.
const maxTrustedRootBytes = 1 << 20

// maxOfAKind bounds the authorities, and the logs, of one kind. The public
// instance, with all that it retired, has three.
const maxOfAKind = 64

// ParseTrustedRoot parses a trusted_root.json (sigstore's protobuf-specs,
// sigstore_trustroot.proto). It may come from a mirror: whatever it holds, the
// answer is a trusted root that holds something, or an error.
func ParseTrustedRoot(text []byte) (trusted *root.TrustedRoot, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			trusted, err = nil, fmt.Errorf("trusted root: it does not parse: %v", cause)
		}
	}()
	if len(text) > maxTrustedRootBytes {
		return nil, fmt.Errorf("trusted root: longer than %d bytes", maxTrustedRootBytes)
	}
	trusted, err = root.NewTrustedRootFromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return trusted, checkTrustedRoot(trusted)
}

// checkTrustedRoot refuses what sigstore-go accepts and can never verify anything.
func checkTrustedRoot(trusted *root.TrustedRoot) error {
	for i, authority := range trusted.FulcioCertificateAuthorities() {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); !ok || fulcio.Root == nil || !fulcio.Root.IsCA {
			return fmt.Errorf("trusted root: certificateAuthorities[%d] has no root certificate", i)
		}
	}
	for i, authority := range trusted.TimestampingAuthorities() {
		if tsa, ok := authority.(*root.SigstoreTimestampingAuthority); !ok || tsa.Root == nil || !tsa.Root.IsCA {
			return fmt.Errorf("trusted root: timestampAuthorities[%d] has no root certificate", i)
		}
	}
	counts := countsOf(trusted)
	if counts == (RootCounts{}) {
		return errors.New("trusted root: it holds no authority and no log")
	}
	if max(counts.CertificateAuthorities, counts.CTLogs, counts.TimestampAuthorities, counts.TLogs) > maxOfAKind {
		return fmt.Errorf("trusted root: it holds more than %d authorities or logs of one kind", maxOfAKind)
	}
	return nil
}

// RootCounts is how much a trust root holds.
type RootCounts struct {
	CertificateAuthorities, CTLogs, TimestampAuthorities, TLogs int
}

func countsOf(trusted *root.TrustedRoot) RootCounts {
	if trusted == nil {
		return RootCounts{}
	}
	return RootCounts{
		CertificateAuthorities: len(trusted.FulcioCertificateAuthorities()),
		CTLogs:                 len(trusted.CTLogs()),
		TimestampAuthorities:   len(trusted.TimestampingAuthorities()),
		TLogs:                  len(trusted.RekorLogs()),
	}
}
