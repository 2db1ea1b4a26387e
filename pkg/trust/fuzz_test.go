// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

// fuzzEnd is a time that does not change, so that seeds do not.
func fuzzEnd() time.Time { return time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC) }

// FuzzTrustedRoot: whatever a mirror serves is a trusted root that holds something,
// or an error.
func FuzzTrustedRoot(f *testing.F) {
	f.Add(trusttest.TrustedRoot("a.test", fuzzEnd()))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{}]}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","timestampAuthorities":[{"certChain":{"certificates":[{"rawBytes":""}]}}]}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{"logId":{"keyId":""},"publicKey":{"rawBytes":""}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		trusted, err := ParseTrustedRoot(text)
		if err != nil {
			return
		}
		if countsOf(trusted) == (RootCounts{}) {
			t.Fatal("a trusted root of nothing was accepted")
		}
		endingsOf(trusted, fuzzEnd())
		_, _ = OwnedLogs(&v1alpha1.TrustRoot{}, RootState{Logs: trusted.RekorLogs()})
	})
}

// FuzzCertificateAuthority: whatever is written for a chain is one that holds
// together, or an error.
func FuzzCertificateAuthority(f *testing.F) {
	f.Add(trusttest.NewCA("CA", fuzzEnd()).PEM())
	f.Add(trusttest.NewTSA("TSA", fuzzEnd()).PEM())
	f.Add("LS0tLS1CRUdJTiA=")
	f.Fuzz(func(t *testing.T, text string) {
		obj := &v1alpha1.CertificateAuthority{CertChain: text}
		if ca, err := ParseCertificateAuthority(obj); err == nil && (ca.Root == nil || !ca.Root.IsCA) {
			t.Error("an authority without a root was accepted")
		}
		if tsa, err := ParseTimestampAuthority(obj); err == nil && (tsa.Root == nil || !tsa.Root.IsCA) {
			t.Error("a timestamp authority without a root was accepted")
		}
	})
}

// FuzzUnpackRepository: whatever is written for an archive is unpacked within
// bounds, or an error.
func FuzzUnpackRepository(f *testing.F) {
	f.Add(trusttest.NewRepository("trusted_root.json", []byte("{}"), fuzzEnd()).Archive("repository/"))
	f.Add([]byte{0x1f, 0x8b, 0x08})
	f.Fuzz(func(t *testing.T, archive []byte) {
		files, err := UnpackRepository(archive)
		if err != nil {
			return
		}
		total := 0
		for _, content := range files {
			total += len(content)
		}
		if total > maxMirrorBytes || len(files) > maxMirrorFiles {
			t.Errorf("%d files of %d bytes", len(files), total)
		}
	})
}
