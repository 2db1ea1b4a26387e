// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const keylessFixture = "testdata/keyless.json"

// fixture is what a CA, a CT log, a timestamp authority and a log made once, with
// keys that nobody has any more: the workers of a fuzz test share no memory, so what
// they change must be on disk. UPDATE_KEYLESS_FIXTURE=1 makes another one.
type fixture struct {
	TrustedRoot json.RawMessage        `json:"trustedRoot"`
	Bundle      json.RawMessage        `json:"bundle"`
	Legacy      verify.LegacySignature `json:"legacy"`
	Stamp       []byte                 `json:"stamp"` // over the legacy signature

	root root.TrustedMaterial
	leaf *x509.Certificate // of the legacy signature
}

func loadFixture(t testing.TB) *fixture {
	t.Helper()
	text, err := os.ReadFile(keylessFixture)
	if err != nil {
		t.Fatal(err)
	}
	f := new(fixture)
	if err := json.Unmarshal(text, f); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.Bundle); err != nil {
		t.Fatal(err)
	}
	f.Bundle = compact.Bytes()
	if f.root, err = root.NewTrustedRootFromJSON(f.TrustedRoot); err != nil {
		t.Fatal(err)
	}
	if f.leaf, err = x509.ParseCertificate(certificateOf(t, f.Legacy)); err != nil {
		t.Fatal(err)
	}
	return f
}

func writeFixture(t *testing.T) {
	t.Helper()
	k := newKeyless(t)
	k.ca.ValidityPeriodStart = time.Unix(0, 0)
	tsa := k.tsa.Authority()
	tsa.ValidityPeriodStart = time.Unix(0, 0)
	id, ct := k.ctLogs[0].Trusted()
	ct.ValidityPeriodStart = time.Unix(0, 0)
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{k.ca},
		map[string]*root.TransparencyLog{id: ct}, []root.TimestampingAuthority{tsa}, map[string]*root.TransparencyLog{hex.EncodeToString(k.log.ID()): k.logAsPeer()})
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	if f.TrustedRoot, err = trusted.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	f.Legacy = k.legacyBy(k.certified())
	signature, err := base64.StdEncoding.DecodeString(f.Legacy.Base64Signature)
	if err != nil {
		t.Fatal(err)
	}
	f.Stamp = k.tsa.Stamp(signature, verifytest.SigningTime())
	f.Legacy.RFC3161Timestamp = verifytest.StampAnnotation(f.Stamp)
	b, _, raw := k.bundleBy(k.certified())
	f.Bundle = b.Stamped(k.tsa.Stamp(raw, verifytest.SigningTime())).Verify().JSON
	text, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keylessFixture, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// authority asks for the log's proof, without a log that could be asked; or, with
// unlogged, for a timestamp alone.
func (f *fixture) authority(t testing.TB, unlogged bool) *verify.Authority {
	t.Helper()
	a := &verify.Authority{Keyless: &verify.Keyless{
		Root:       f.root,
		Identities: identitiesOf(t, verify.IdentitySpec{Issuer: verifytest.Issuer, Subject: verifytest.Subject}),
	}}
	if unlogged {
		a.InsecureIgnoreTlog = true
		return a
	}
	for _, instance := range f.root.RekorLogs() {
		log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: "rekor.example.test", Key: instance.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		a.Logs = append(a.Logs, tlog.NewProver(log, nil, tlog.NewMemoryHistory()))
	}
	return a
}

func TestKeylessFixture(t *testing.T) {
	if os.Getenv("UPDATE_KEYLESS_FIXTURE") != "" {
		writeFixture(t)
	}
	f := loadFixture(t)
	want(t, f.authority(t, false).Verify(t.Context(), imageA, []verify.Signature{verify.Bundle{JSON: f.Bundle}}), verified)
	want(t, f.authority(t, true).Verify(t.Context(), imageA, []verify.Signature{f.Legacy}), verified)
	want(t, f.authority(t, false).Verify(t.Context(), imageA, []verify.Signature{f.Legacy}), verify.LogUnavailable)
}
