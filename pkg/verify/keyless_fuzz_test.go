// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/digitorus/timestamp"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// FuzzCertificate shows any bytes as a certificate, and then has the CA itself sign
// any bytes as the extensions that are read of one. All of it is without the recover
// of a verdict: nothing may panic.
func FuzzCertificate(f *testing.F) {
	fixed := loadFixture(f)
	authority := fixed.authority(f, true)
	k := newKeyless(f)
	own := k.trusts(f)
	template := verifytest.Leaf()
	verifytest.Names(uri(verifytest.Subject))(template)
	san := template.ExtraExtensions[len(template.ExtraExtensions)-1].Value
	promise := promiseOf(fixed.leaf.Raw).Value
	f.Add(fixed.leaf.Raw, san, promise, []byte(verifytest.Issuer), derString(verifytest.Issuer), derString("push"))
	f.Add([]byte{}, []byte{0x30, 0}, []byte{4, 2, 0, 0}, []byte{}, []byte{}, []byte{})
	f.Add(fixed.leaf.Raw[:400], append([]byte{0x30, byte(len(verifytest.OtherName("x").Value) + 2), 0xa0}, verifytest.OtherName("x").Value...), []byte{4, 5, 0, 3, 0, 1, 7}, []byte("\x00"), []byte{0x0c, 0x80}, []byte{2, 1, 7})
	f.Fuzz(func(t *testing.T, der, san, promises, issuer, issuerV2, trigger []byte) {
		s := fixed.Legacy
		s.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		if verify.CertificateGood(authority, s) == nil && !bytes.Equal(der, fixed.leaf.Raw) {
			t.Errorf("accepted a certificate that nobody issued: %x", der)
		}
		leaf := verifytest.Leaf()
		leaf.URIs = nil
		leaf.ExtraExtensions = nil
		for _, change := range []verifytest.Change{verifytest.RawExtension(1, issuer), verifytest.RawExtension(8, issuerV2), verifytest.RawExtension(20, trigger)} {
			change(leaf)
		}
		leaf.ExtraExtensions = append(leaf.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san},
			pkix.Extension{Id: verifytest.PromiseList([]byte("x")).Id, Value: promises})
		for _, ignored := range []bool{false, true} {
			own.Keyless.InsecureIgnoreSCT = ignored
			certified := k.signer.With(k.fulcio.Intermediate.Sign(leaf, k.signer.Public()))
			err := verify.CertificateGood(own, certified.Legacy([]byte("x")))
			if err == nil && !ignored {
				t.Errorf("accepted a promise that nobody gave: %x", promises)
			}
			if err == nil && (!bytes.Contains(san, []byte(verifytest.Subject)) || !bytes.Contains(issuer, []byte(verifytest.Issuer)) || !bytes.Contains(issuerV2, []byte(verifytest.Issuer))) {
				t.Errorf("accepted for somebody else: %x %x %x", san, issuer, issuerV2)
			}
		}
	})
}

// FuzzTimestamp shows any bytes as a timestamp over one signature.
func FuzzTimestamp(f *testing.F) {
	fixed := loadFixture(f)
	genuine, err := timestamp.ParseResponse(fixed.Stamp)
	if err != nil {
		f.Fatal(err)
	}
	signature := []byte(decoded(fixed.Legacy.Base64Signature))
	other := verifytest.NewTSA()
	f.Add(fixed.Stamp)
	f.Add(other.Stamp(signature, verifytest.SigningTime()))
	f.Add(verifytest.Forge(fixed.Stamp, other.Leaf))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, stamp []byte) {
		for _, at := range verify.StampedBy(stamp, signature, fixed.root) {
			read, err := timestamp.ParseResponse(stamp)
			if err != nil || !at.Equal(genuine.Time) || !bytes.Equal(read.HashedMessage, genuine.HashedMessage) {
				t.Errorf("accepted a timestamp that nobody gave, of %v: %x", at, stamp)
			}
		}
	})
}

// signedBy is what identifies a signature by a certificate.
func signedBy(t testing.TB, s verify.Signature) string {
	t.Helper()
	signature, message, leaf, err := verify.PartsOf(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(signature) + string(message) + string(leaf)
}

// check fails if an authority accepts what nobody signed, or if something panicked.
func check(t *testing.T, authorities []*verify.Authority, s verify.Signature, genuine map[string]bool) {
	t.Helper()
	for _, authority := range authorities {
		v := authority.Verify(t.Context(), imageA, []verify.Signature{s})
		if text := v.String(); strings.Contains(text, "fault of countersign") || strings.Contains(text, "panic") {
			t.Fatal(text)
		}
		if reasonOf(v) == verified && !genuine[signedBy(t, s)] {
			t.Fatalf("accepted, and nobody signed it: %+v", s)
		}
	}
}

func FuzzKeylessLegacy(f *testing.F) {
	fixed := loadFixture(f)
	s := fixed.Legacy
	genuine := map[string]bool{signedBy(f, s): true}
	authorities := []*verify.Authority{fixed.authority(f, false), fixed.authority(f, true)}
	f.Add(s.Payload, s.Base64Signature, s.Certificate, s.Chain, s.RekorBundle, s.RFC3161Timestamp)
	f.Add(s.Payload, s.Base64Signature, s.Certificate, s.Certificate, "", s.RFC3161Timestamp)
	f.Add(s.Payload, s.Base64Signature, s.Certificate+s.Certificate, "x", s.RekorBundle, `{"SignedRFC3161Timestamp":7}`)
	f.Fuzz(func(t *testing.T, payload []byte, signature, certificate, chain, annotation, stamp string) {
		check(t, authorities, verify.LegacySignature{
			Payload: payload, Base64Signature: signature, Certificate: certificate, Chain: chain, RekorBundle: annotation, RFC3161Timestamp: stamp,
		}, genuine)
	})
}

func FuzzKeylessBundle(f *testing.F) {
	fixed := loadFixture(f)
	genuine := map[string]bool{signedBy(f, verify.Bundle{JSON: fixed.Bundle}): true}
	authorities := []*verify.Authority{fixed.authority(f, false), fixed.authority(f, true)}
	f.Add([]byte(fixed.Bundle))
	f.Add(bytes.Replace(fixed.Bundle, []byte(`"certificate":{`), []byte(`"x509CertificateChain":{"certificates":[]},"x":{`), 1))
	f.Add(bytes.Replace(fixed.Bundle, []byte(verifytest.BundleV03), []byte("application/vnd.dev.sigstore.bundle+json;version=0.1"), 1))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{}},"dsseEnvelope":{"signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) { check(t, authorities, verify.Bundle{JSON: text}, genuine) })
}
