// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// keylessFiles are bundles about artifact that were signed with a certificate, and
// the trusted roots to verify them with.
func (w *world) keylessFiles() map[string]string {
	fulcio, tsa := verifytest.NewFulcio(), verifytest.NewTSA()
	signer := verifytest.NewSigner()
	certified := signer.With(fulcio.Issue(signer.Public()))
	signed := certified.Legacy([]byte(artifact))
	entry := w.log.Entry(w.log.Append(certified.HashedRekord(signed)), w.log.Size())
	bundle := certified.MessageBundle(signed, entry)
	sig, err := base64.StdEncoding.DecodeString(signed.Base64Signature)
	w.must(err)
	unproven := *entry
	unproven.Inclusion = nil
	statement := verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", "sha256:"+w.variables()["ARTIFACT_SHA256"])
	envelope := certified.Envelope(verifytest.PayloadType, statement)
	attested := certified.Bundle(envelope, w.log.Entry(w.log.Append(certified.DSSE(envelope)), w.log.Size()))
	text := func(b verifytest.BundleJSON) string { return string(b.Verify().JSON) }
	return map[string]string{
		"keyless.json":         text(bundle),
		"attested.json":        text(attested),
		"stamped.json":         text(bundle.Stamped(tsa.Stamp(sig, verifytest.SigningTime()))),
		"badly-stamped.json":   text(bundle.Stamped(tsa.Stamp([]byte("x"), verifytest.SigningTime()))),
		"unproven.json":        text(bundle.Set([]any{verifytest.EntryJSON(&unproven)}, "verificationMaterial", "tlogEntries")),
		"unlogged.json":        text(bundle.Set([]any{}, "verificationMaterial", "tlogEntries")),
		"keyless_root.json":    w.keylessRoot(fulcio, fulcio.CT, tsa),
		"another_ca.json":      w.keylessRoot(verifytest.NewFulcio(), fulcio.CT, tsa),
		"another_ct.json":      w.keylessRoot(fulcio, []*verifytest.CTLog{verifytest.NewCTLog()}, tsa),
		"no_ct.json":           w.keylessRoot(fulcio, nil, tsa),
		"no_ca.json":           w.keylessRoot(nil, fulcio.CT, tsa),
		"keyless_root_v9.json": `{"mediaType": "application/vnd.dev.sigstore.trustedroot.v9+json"}`,
	}
}

// keylessRoot is a trusted_root.json with the world's log.
func (w *world) keylessRoot(fulcio *verifytest.Fulcio, ctLogs []*verifytest.CTLog, tsa *verifytest.TSA) string {
	start := time.Unix(0, 0)
	var authorities []root.CertificateAuthority
	if fulcio != nil {
		ca := fulcio.Authority()
		ca.ValidityPeriodStart = start
		authorities = append(authorities, ca)
	}
	trustedCT := map[string]*root.TransparencyLog{}
	for _, l := range ctLogs {
		id, trusted := l.Trusted()
		trusted.ValidityPeriodStart = start
		trustedCT[id] = trusted
	}
	stamper := tsa.Authority()
	stamper.ValidityPeriodStart = start
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, trustedCT, []root.TimestampingAuthority{stamper},
		map[string]*root.TransparencyLog{hex.EncodeToString(w.log.ID()): {
			BaseURL: "https://" + logHost, ID: w.log.ID(), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: w.log.PublicKey(), ValidityPeriodStart: start,
		}})
	w.must(err)
	text, err := trusted.MarshalJSON()
	w.must(err)
	return string(text)
}
