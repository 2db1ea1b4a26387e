// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// public is a file of what sigstore's public instance signed.
func public(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "public", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publicLogs are the logs of a trusted root, when nobody can be asked.
func publicLogs(t testing.TB, trusted root.TrustedMaterial) []*tlog.Prover {
	t.Helper()
	var logs []*tlog.Prover
	for _, l := range trusted.RekorLogs() {
		log, err := tlog.NewLog(tlog.Config{Name: "rekor.sigstore.dev", Version: tlog.RekorV1, KeyOnly: true, Key: l.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, tlog.NewProver(log, nil, tlog.NewMemoryHistory()))
	}
	return logs
}

// TestThePublicInstance verifies what real clients and the public instance made, by
// its trusted root: one bundle of each version, and of each kind of Rekor v1's entries.
func TestThePublicInstance(t *testing.T) {
	trusted, err := root.NewTrustedRootFromJSON(public(t, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		issuer, subject string
		signedAt        string
	}{
		"hashedrekord-v0.2.json": {issuer: "https://github.com/login/oauth", subject: "a@tny.town", signedAt: "2024-01-26"},
		"dsse-v0.3.json":         {issuer: "https://github.com/login/oauth", subject: "cody@soyland.com", signedAt: "2025-02-28"},
		"intoto-v0.1.json": {
			issuer: "https://token.actions.githubusercontent.com", signedAt: "2023-08-18",
			subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := public(t, name)
			logs := publicLogs(t, trusted) // without a history: nobody can be asked to compare
			authority := &verify.Authority{Logs: logs, Keyless: &verify.Keyless{
				Root: trusted, Identities: identitiesOf(t, verify.IdentitySpec{Issuer: tt.issuer, Subject: tt.subject}),
			}}
			verdict := authority.VerifyWhateverItIsAbout(t.Context(), verify.Bundle{JSON: text})
			want(t, verdict, verified)
			if v, ok := verdict.(verify.Verified); ok && (len(v.Evidence.SignedAt) != 1 || !strings.HasPrefix(v.Evidence.SignedAt[0].String(), tt.signedAt)) {
				t.Errorf("signed at %v, want %s", v.Evidence.SignedAt, tt.signedAt)
			}
			// One letter of the entry's body, which nothing but the claim looks at.
			changed := bytes.Replace(text, []byte(`"canonicalizedBody": "eyJ`), []byte(`"canonicalizedBody": "eyK`), 1)
			changed = bytes.Replace(changed, []byte(`"canonicalizedBody":"eyJ`), []byte(`"canonicalizedBody":"eyK`), 1)
			if bytes.Equal(changed, text) {
				t.Fatal("no body was changed")
			}
			want(t, authority.VerifyWhateverItIsAbout(t.Context(), verify.Bundle{JSON: changed}), verify.LogEntryMismatch)
		})
	}
}
