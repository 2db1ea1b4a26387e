// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/sha256"
	"encoding/pem"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// keyless is a world in which people sign with certificates: a CA with its CT log,
// a timestamp authority, a transparency log, and what of them is trusted. A test
// changes it before it signs, or between signing and verifying.
type keyless struct {
	log    *tlogtest.Log
	server *tlogtest.Server
	prover *tlog.Prover
	fulcio *verifytest.Fulcio
	tsa    *verifytest.TSA
	signer *verifytest.Signer

	// What is trusted.
	ca         *root.FulcioCertificateAuthority
	ctLogs     []*verifytest.CTLog
	stampers   []root.TimestampingAuthority
	identities []verify.IdentitySpec
	// authority has the rest; its Keyless is made of the above.
	authority verify.Authority
	ignoreSCT bool
}

func newKeyless(t testing.TB) *keyless {
	t.Helper()
	k := &keyless{
		log:    tlogtest.New("rekor.example.test"),
		fulcio: verifytest.NewFulcio(), tsa: verifytest.NewTSA(), signer: verifytest.NewSigner(),
		identities: []verify.IdentitySpec{{Issuer: verifytest.Issuer, Subject: verifytest.Subject}},
	}
	k.log.FirstIndex = 1000
	k.log.Grow(7)
	k.server = tlogtest.NewServer(k.log)
	t.Cleanup(k.server.Close)
	k.prover = proverFor(t, "corp", k.log, k.server, tlog.NewMemoryHistory())
	k.ca = k.fulcio.Authority()
	k.ctLogs = k.fulcio.CT
	k.authority = verify.Authority{Name: "github", Logs: []*tlog.Prover{k.prover}}
	return k
}

// trusts is the authority.
func (k *keyless) trusts(t testing.TB) *verify.Authority {
	t.Helper()
	authority := k.authority
	authority.Keyless = &verify.Keyless{
		Root:       verifytest.TrustRoot([]root.CertificateAuthority{k.ca}, k.ctLogs, k.stampers),
		Identities: identitiesOf(t, k.identities...), InsecureIgnoreSCT: k.ignoreSCT,
	}
	return &authority
}

func identitiesOf(t testing.TB, specs ...verify.IdentitySpec) []verify.Identity {
	t.Helper()
	var identities []verify.Identity
	for _, spec := range specs {
		identity, err := verify.NewIdentity(spec)
		if err != nil {
			t.Fatal(err)
		}
		identities = append(identities, identity)
	}
	return identities
}

// certified is the signer with a new certificate of the CA.
func (k *keyless) certified(changes ...verifytest.Change) *verifytest.Signer {
	return k.signer.With(k.fulcio.Issue(k.signer.Public(), changes...))
}

// legacyBy is a logged legacy signature of imageA.
func (k *keyless) legacyBy(signer *verifytest.Signer) verify.LegacySignature {
	return signer.LoggedLegacy(k.log, verifytest.SimpleSigning(repository, imageA))
}

// bundleBy is a logged bundle of imageA, its entry and its signature.
func (k *keyless) bundleBy(signer *verifytest.Signer) (verifytest.BundleJSON, *tlog.Entry, []byte) {
	envelope := signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	entry := k.log.Entry(k.log.Append(signer.DSSE(envelope)), k.log.Size())
	return signer.Bundle(envelope, entry), entry, envelope.Signatures[0]
}

// messageBy is a logged bundle of a signature over content.
func (k *keyless) messageBy(signer *verifytest.Signer, content []byte) verifytest.BundleJSON {
	legacy := signer.Legacy(content)
	return signer.MessageBundle(legacy, k.log.Entry(k.log.Append(signer.HashedRekord(legacy)), k.log.Size()))
}

// form is one of the ways in which a signature reaches a verdict.
type form struct {
	name  string
	judge func(testing.TB, *keyless, *verifytest.Signer) func() verify.Verdict
}

// forms signs in each way, and verifies when what it returns is called.
func forms() []form {
	image := func(t testing.TB, s verify.Signature, k *keyless) func() verify.Verdict {
		t.Helper()
		return func() verify.Verdict { return k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}) }
	}
	return []form{
		{"legacy", func(t testing.TB, k *keyless, s *verifytest.Signer) func() verify.Verdict {
			t.Helper()
			return image(t, k.legacyBy(s), k)
		}},
		{"bundle", func(t testing.TB, k *keyless, s *verifytest.Signer) func() verify.Verdict {
			t.Helper()
			b, _, _ := k.bundleBy(s)
			return image(t, b.Verify(), k)
		}},
		{"artifact", func(t testing.TB, k *keyless, s *verifytest.Signer) func() verify.Verdict {
			t.Helper()
			b := k.messageBy(s, releaseNotes).Verify()
			return func() verify.Verdict {
				return k.trusts(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(releaseNotes)}, b)
			}
		}},
	}
}

// signerOf is who signed, of a Verified verdict.
func signerOf(t testing.TB, v verify.Verdict) string {
	t.Helper()
	got, ok := v.(verify.Verified)
	if !ok {
		t.Fatalf("got %v, want Verified", v)
	}
	return got.Evidence.Signer
}

// certificateOf is the certificate of a legacy signature, in DER.
func certificateOf(t testing.TB, s verify.LegacySignature) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(s.Certificate))
	if block == nil {
		t.Fatal("no certificate")
	}
	return block.Bytes
}
