// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestAnnotationOfTheCertificate writes other things than one certificate beside a
// good signature.
func TestAnnotationOfTheCertificate(t *testing.T) {
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, tt := range map[string]struct {
		text func(k *keyless, leaf []byte) string
		want verify.Reason
	}{
		"as cosign writes it":   {text: func(_ *keyless, leaf []byte) string { return block("CERTIFICATE", leaf) }, want: verified},
		"with a line before it": {text: func(_ *keyless, leaf []byte) string { return "subject=x\n" + block("CERTIFICATE", leaf) }, want: verified},
		"with lines after it":   {text: func(_ *keyless, leaf []byte) string { return block("CERTIFICATE", leaf) + "\n\nx" }, want: verified},
		"twice":                 {text: func(_ *keyless, leaf []byte) string { return strings.Repeat(block("CERTIFICATE", leaf), 2) }, want: verify.CertificateInvalid},
		"with another after it": {text: func(k *keyless, leaf []byte) string {
			return block("CERTIFICATE", leaf) + block("CERTIFICATE", k.certified().Leaf())
		}, want: verify.CertificateInvalid},
		"with its CA after it": {text: func(k *keyless, leaf []byte) string {
			return block("CERTIFICATE", leaf) + block("CERTIFICATE", k.fulcio.Intermediate.Certificate.Raw)
		}, want: verify.CertificateInvalid},
		"with a key after it": {text: func(k *keyless, leaf []byte) string { return block("CERTIFICATE", leaf) + string(k.signer.PEM()) }, want: verify.CertificateInvalid},
		"after another": {text: func(k *keyless, leaf []byte) string {
			return block("CERTIFICATE", k.certified().Leaf()) + block("CERTIFICATE", leaf)
		}, want: verify.CertificateInvalid},
		"its key":             {text: func(k *keyless, _ []byte) string { return string(k.signer.PEM()) }, want: verify.CertificateInvalid},
		"as a request":        {text: func(_ *keyless, leaf []byte) string { return block("CERTIFICATE REQUEST", leaf) }, want: verify.CertificateInvalid},
		"in another spelling": {text: func(_ *keyless, leaf []byte) string { return block("X509 CERTIFICATE", leaf) }, want: verify.CertificateInvalid},
		"without its armour":  {text: func(_ *keyless, leaf []byte) string { return string(leaf) }, want: verify.CertificateInvalid},
		"with a byte more": {text: func(_ *keyless, leaf []byte) string {
			return block("CERTIFICATE", append([]byte(nil), append(leaf, 0)...))
		}, want: verify.CertificateInvalid},
		"half of it":                  {text: func(_ *keyless, leaf []byte) string { return block("CERTIFICATE", leaf[:len(leaf)/2]) }, want: verify.CertificateInvalid},
		"an empty one":                {text: func(*keyless, []byte) string { return block("CERTIFICATE", nil) }, want: verify.CertificateInvalid},
		"a space":                     {text: func(*keyless, []byte) string { return " " }, want: verify.CertificateInvalid},
		"64 KiB and a byte":           {text: func(*keyless, []byte) string { return strings.Repeat("\n", verify.MaxPayloadBytes+1) }, want: verify.LimitExceeded},
		"nothing: then it is a key's": {text: func(*keyless, []byte) string { return "" }, want: verify.IdentityMismatch},
		"of another signer": {text: func(k *keyless, _ []byte) string {
			return block("CERTIFICATE", k.fulcio.Issue(verifytest.NewSigner().Public()))
		}, want: verify.KeyMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			certified := k.certified()
			s := k.legacyBy(certified)
			s.Certificate = tt.text(k, certified.Leaf())
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
		})
	}
}
