// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"crypto"
	"encoding/hex"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// digest is of the image that is signed.
const digest = "sha256:9f61b4bd1c4dd1ff2b6ad20a4b4e9c8e05f5c37b1f3f7a2f1c9f3c1f4e5ac29e"

// BenchmarkKeylessBundle compares a whole offline verdict on a keyless bundle
// (certificate chain, SCT, identity, signature, claim, entry, promise, proof,
// checkpoint, history) with sigstore-go's on the same bytes, with the same trust,
// which checks no claim, no history and not the checkpoint's origin.
func BenchmarkKeylessBundle(b *testing.B) {
	l := tlogtest.New("rekor.example.test")
	l.Grow(1000)
	fulcio := verifytest.NewFulcio()
	signer := verifytest.NewSigner()
	certified := signer.With(fulcio.Issue(signer.Public()))
	signed := certified.LoggedBundle(l, verifytest.Statement(digest))
	identity, err := verify.NewIdentity(verify.IdentitySpec{Issuer: verifytest.Issuer, Subject: verifytest.Subject})
	if err != nil {
		b.Fatal(err)
	}
	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		b.Fatal(err)
	}
	authority := &verify.Authority{
		Name: "github", Logs: []*tlog.Prover{tlog.NewProver(log, nil, tlog.NewMemoryHistory())},
		Keyless: &verify.Keyless{
			Root:       verifytest.TrustRoot([]root.CertificateAuthority{fulcio.Authority()}, fulcio.CT, nil),
			Identities: []verify.Identity{identity},
		},
	}
	theirs := sigstoreGoKeyless(b, signed, l, fulcio)
	ratio(b, "x-sigstore-go",
		func() {
			if v, ok := authority.Verify(context.Background(), digest, []verify.Signature{signed}).(verify.Verified); !ok {
				b.Fatal(v)
			}
		},
		func() {
			if err := theirs(); err != nil {
				b.Fatal(err)
			}
		})
}

// sigstoreGoKeyless returns sigstore-go's verification of the bundle's bytes. What
// can be made once for a trust root and a policy, is.
func sigstoreGoKeyless(b *testing.B, signed verify.Bundle, l *tlogtest.Log, fulcio *verifytest.Fulcio) func() error {
	b.Helper()
	ctLogs := map[string]*root.TransparencyLog{}
	for _, ct := range fulcio.CT {
		id, instance := ct.Trusted()
		ctLogs[id] = instance
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{fulcio.Authority()}, ctLogs, nil,
		map[string]*root.TransparencyLog{hex.EncodeToString(l.ID()): {
			BaseURL: "https://" + l.Hostname, ID: l.ID(), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: l.PublicKey(), ValidityPeriodStart: time.Unix(0, 0),
		}})
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := sigstore.NewVerifier(trusted, sigstore.WithTransparencyLog(1), sigstore.WithIntegratedTimestamps(1), sigstore.WithSignedCertificateTimestamps(1))
	if err != nil {
		b.Fatal(err)
	}
	identity, err := sigstore.NewShortCertificateIdentity(verifytest.Issuer, "", verifytest.Subject, "")
	if err != nil {
		b.Fatal(err)
	}
	sum, err := hex.DecodeString(digest[len("sha256:"):])
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		var entity bundle.Bundle
		if err := entity.UnmarshalJSON(signed.JSON); err != nil {
			return err
		}
		_, err := verifier.Verify(&entity, sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", sum), sigstore.WithCertificateIdentity(identity)))
		return err
	}
}
