// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/elliptic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const goodSigner = "identity " + verifytest.Subject + " (issuer " + verifytest.Issuer + ")"

func TestGoodCertificates(t *testing.T) {
	spec := func(issuer, subject string) []verify.IdentitySpec {
		return []verify.IdentitySpec{{Issuer: issuer, Subject: subject}}
	}
	for name, tt := range map[string]struct {
		leaf       []verifytest.Change
		world      func(*testing.T, *keyless)
		identities []verify.IdentitySpec
		signer     string
	}{
		"for a URI": {signer: goodSigner},
		"for an e-mail address": {
			leaf:       []verifytest.Change{verifytest.Email("ops@example.test")},
			identities: spec(verifytest.Issuer, "ops@example.test"),
			signer:     "identity ops@example.test (issuer " + verifytest.Issuer + ")",
		},
		"for another name of Fulcio's": {
			leaf:       []verifytest.Change{verifytest.Names(verifytest.OtherName("builder!example.test"))},
			identities: spec(verifytest.Issuer, "builder!example.test"),
			signer:     "identity builder!example.test (issuer " + verifytest.Issuer + ")",
		},
		"with the issuer only in the old extension": {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.Extension(1, verifytest.Issuer)}, signer: goodSigner},
		"with the issuer only in the new extension": {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.Extension(8, verifytest.Issuer)}, signer: goodSigner},
		"of a signer whose first identity is another's": {
			identities: append(spec(verifytest.Issuer, "https://github.com/org/other"), spec(verifytest.Issuer, verifytest.Subject)...), signer: goodSigner,
		},
		"of a CA that is its own root": {world: func(_ *testing.T, k *keyless) {
			k.fulcio.Intermediate = k.fulcio.Root
			k.ca.Intermediates = nil
		}, signer: goodSigner},
		"of a CA whose window is exactly the signature's time": {
			leaf: []verifytest.Change{verifytest.Valid(0, 10*time.Minute)},
			world: func(_ *testing.T, k *keyless) {
				k.ca.ValidityPeriodStart, k.ca.ValidityPeriodEnd = verifytest.SigningTime(), verifytest.SigningTime()
			}, signer: goodSigner,
		},
		"in two CT logs, of which one is trusted": {world: func(_ *testing.T, k *keyless) {
			k.fulcio.CT = append([]*verifytest.CTLog{verifytest.NewCTLog()}, k.fulcio.CT...)
		}, signer: goodSigner},
		"in a CT log with an RSA key": {world: func(t *testing.T, k *keyless) {
			t.Helper()
			k.fulcio.CT = []*verifytest.CTLog{verifytest.NewCTLogWithKey(rsaKey(t, 2048))}
			k.ctLogs = k.fulcio.CT
		}, signer: goodSigner},
		"in no CT log, where that is ignored":     {world: func(_ *testing.T, k *keyless) { k.fulcio.CT, k.ctLogs, k.ignoreSCT = nil, nil, true }, signer: goodSigner},
		"valid from the second of the signature":  {leaf: []verifytest.Change{verifytest.Valid(0, time.Minute)}, signer: goodSigner},
		"valid until the second of the signature": {leaf: []verifytest.Change{verifytest.Valid(-time.Minute, 0)}, signer: goodSigner},
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range forms() {
				t.Run(form.name, func(t *testing.T) {
					k := newKeyless(t)
					if tt.world != nil {
						tt.world(t, k)
					}
					if tt.identities != nil {
						k.identities = tt.identities
					}
					v := form.judge(t, k, k.certified(tt.leaf...))()
					if got := signerOf(t, v); got != tt.signer {
						t.Errorf("signed by %q, want %q", got, tt.signer)
					}
					if len(proofsOf(t, v)) != 1 {
						t.Error("no proof of the log")
					}
				})
			}
		})
	}
}

// TestCertifiedKeys signs with each kind of key that Fulcio certifies. Old clients
// used SHA-256 with every curve.
func TestCertifiedKeys(t *testing.T) {
	ecdsaSigner := func(curve elliptic.Curve, hash crypto.Hash) func(testing.TB) *verifytest.Signer {
		return func(t testing.TB) *verifytest.Signer {
			t.Helper()
			return verifytest.NewSignerWithKey(ecdsaKey(t, curve), hash)
		}
	}
	for name, tt := range map[string]struct {
		signer func(testing.TB) *verifytest.Signer
		// content is set where it is not a digest of SHA-256 that is signed.
		content bool
		// envelope is the hash of envelopes, where Rekor logs them with another one
		// than messages.
		envelope crypto.Hash
	}{
		"P-256":              {signer: ecdsaSigner(elliptic.P256(), crypto.SHA256)},
		"P-384":              {signer: ecdsaSigner(elliptic.P384(), crypto.SHA384), content: true, envelope: crypto.SHA256},
		"P-384 with SHA-256": {signer: ecdsaSigner(elliptic.P384(), crypto.SHA256)},
		"P-521":              {signer: ecdsaSigner(elliptic.P521(), crypto.SHA512), content: true, envelope: crypto.SHA256},
		"P-521 with SHA-256": {signer: ecdsaSigner(elliptic.P521(), crypto.SHA256)},
		"RSA 2048": {signer: func(t testing.TB) *verifytest.Signer {
			t.Helper()
			return verifytest.NewSignerWithKey(rsaKey(t, 2048), crypto.SHA256)
		}},
		"RSA 3072": {signer: func(t testing.TB) *verifytest.Signer {
			t.Helper()
			return verifytest.NewSignerWithKey(rsaKey(t, 3072), crypto.SHA256)
		}},
		"Ed25519": {signer: func(t testing.TB) *verifytest.Signer {
			t.Helper()
			return verifytest.NewSignerWithKey(ed25519Key(t), crypto.SHA512)
		}, content: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.signer = tt.signer(t)
			certified := k.certified()
			b, _, _ := k.bundleBy(certified.WithEnvelopes(tt.envelope))
			for _, s := range []verify.Signature{k.legacyBy(certified), b.Verify()} {
				want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), verified)
				want(t, k.trusts(t).Verify(t.Context(), imageB, []verify.Signature{s}), verify.SignatureInvalid)
			}
			message := k.messageBy(certified, releaseNotes).Verify()
			want(t, k.trusts(t).VerifyArtifact(t.Context(), artifactOf(releaseNotes), message), verified)
			want(t, k.trusts(t).VerifyArtifact(t.Context(), artifactOf([]byte("another")), message), verify.SignatureInvalid)
			onlyDigest := verified
			if tt.content {
				onlyDigest = verify.SignatureInvalid
			}
			want(t, k.trusts(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: artifactOf(releaseNotes).SHA256}, message), onlyDigest)
		})
	}
	t.Run("a key that is too short", func(t *testing.T) {
		k := newKeyless(t)
		weak := rsaKey(t, 1024)
		k.signer = verifytest.NewSignerWithKey(weak, crypto.SHA256)
		want(t, k.judge(t, k.certified()), verify.CertificateInvalid)
	})
	t.Run("a length that no client uses", func(t *testing.T) {
		k := newKeyless(t)
		k.signer = verifytest.NewSignerWithKey(rsaKey(t, 2560), crypto.SHA256)
		want(t, k.judge(t, k.certified()), verify.CertificateInvalid)
	})
	t.Run("a curve that nobody uses", func(t *testing.T) {
		k := newKeyless(t)
		leaf := k.fulcio.Issue(&ecdsaKey(t, elliptic.P224()).PublicKey)
		s := k.legacyBy(k.certified())
		s.Certificate = verifytest.NewSigner().With(leaf).Certificate()
		want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), verify.CertificateInvalid)
	})
}

// judge is the verdict on an unlogged legacy signature: nothing but the signature
// and its certificate can be what is wrong.
func (k *keyless) judge(t testing.TB, signer *verifytest.Signer) verify.Verdict {
	t.Helper()
	return k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{signer.Legacy(verifytest.SimpleSigning(repository, imageA))})
}

// TestBundleVersions: chains were allowed before v0.3, and only the leaf counts.
func TestBundleVersions(t *testing.T) {
	const v01, v02 = "application/vnd.dev.sigstore.bundle+json;version=0.1", "application/vnd.dev.sigstore.bundle+json;version=0.2"
	const other03 = "application/vnd.dev.sigstore.bundle+json;version=0.3"
	for name, tt := range map[string]struct {
		mediaType string
		chain     func(k *keyless, leaf []byte) [][]byte // nil: one certificate
		want      verify.Reason
	}{
		"v0.1, a certificate":           {mediaType: v01, want: verified},
		"v0.2, a certificate":           {mediaType: v02, want: verified},
		"v0.3, in the old spelling":     {mediaType: other03, want: verified},
		"v0.1, a chain of one":          {mediaType: v01, chain: chainOf(0), want: verified},
		"v0.1, a chain of two":          {mediaType: v01, chain: chainOf(1), want: verified},
		"v0.2, a chain of two":          {mediaType: v02, chain: chainOf(1), want: verified},
		"v0.1, a chain up to the root":  {mediaType: v01, chain: chainOf(2), want: verify.CertificateInvalid},
		"v0.2, a chain up to the root":  {mediaType: v02, chain: chainOf(2), want: verify.CertificateInvalid},
		"v0.2, two leaves":              {mediaType: v02, chain: func(_ *keyless, leaf []byte) [][]byte { return [][]byte{leaf, leaf} }, want: verify.CertificateInvalid},
		"v0.2, a chain that is none":    {mediaType: v02, chain: func(_ *keyless, leaf []byte) [][]byte { return [][]byte{leaf, {1}} }, want: verify.CertificateInvalid},
		"v0.3, a chain":                 {mediaType: verifytest.BundleV03, chain: chainOf(2), want: verify.SignatureInvalid},
		"v0.3, a chain of one":          {mediaType: verifytest.BundleV03, chain: chainOf(0), want: verify.SignatureInvalid},
		"v0.2, an empty chain":          {mediaType: v02, chain: func(*keyless, []byte) [][]byte { return [][]byte{} }, want: verify.CertificateInvalid},
		"v0.2, a chain from the root":   {mediaType: v02, chain: func(k *keyless, leaf []byte) [][]byte { return [][]byte{k.fulcio.Root.Certificate.Raw, leaf} }, want: verify.CertificateInvalid},
		"v0.2, a chain with its own CA": {mediaType: v02, chain: foreignChain, want: verify.CertificateInvalid},
		"v0.4":                          {mediaType: "application/vnd.dev.sigstore.bundle.v0.4+json", want: verify.SignatureInvalid},
		"no version":                    {mediaType: "application/json", want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			certified := k.certified()
			b, _, _ := k.bundleBy(certified)
			b = b.Set(tt.mediaType, "mediaType")
			if tt.chain != nil {
				b = withChain(b, tt.chain(k, certified.Leaf()))
			}
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), tt.want)
		})
	}
}

func withChain(b verifytest.BundleJSON, chain [][]byte) verifytest.BundleJSON {
	certificates := []any{}
	for _, raw := range chain {
		certificates = append(certificates, map[string]any{"rawBytes": raw})
	}
	return b.Set(nil, "verificationMaterial", "certificate").
		Set(certificates, "verificationMaterial", "x509CertificateChain", "certificates")
}

func chainOf(above int) func(*keyless, []byte) [][]byte {
	return func(k *keyless, leaf []byte) [][]byte {
		return append([][]byte{leaf}, [][]byte{k.fulcio.Intermediate.Certificate.Raw, k.fulcio.Root.Certificate.Raw}[:above]...)
	}
}

// foreignChain is complete, and its root is nobody's.
func foreignChain(k *keyless, _ []byte) [][]byte {
	other := verifytest.NewFulcio()
	return [][]byte{other.Issue(k.signer.Public()), other.Intermediate.Certificate.Raw, other.Root.Certificate.Raw}
}

// TestWhatTheSignerSaysOfItsCA: a chain that comes along is no source of trust, and
// no reason to refuse either.
func TestWhatTheSignerSaysOfItsCA(t *testing.T) {
	pemOf := func(raw ...[]byte) (text string) {
		for _, r := range raw {
			text += verifytest.NewSigner().With(r).Certificate()
		}
		return text
	}
	for name, tt := range map[string]struct {
		change func(*keyless, *verify.LegacySignature)
		want   verify.Reason
	}{
		"its true chain": {change: func(k *keyless, s *verify.LegacySignature) {
			s.Chain = pemOf(k.fulcio.Intermediate.Certificate.Raw, k.fulcio.Root.Certificate.Raw)
		}, want: verified},
		"a chain that is no PEM": {change: func(_ *keyless, s *verify.LegacySignature) { s.Chain = "x" }, want: verified},
		"the chain of an intermediate that the trust root does not have": {change: func(k *keyless, s *verify.LegacySignature) {
			k.ca.Intermediates = nil
			s.Chain = pemOf(k.fulcio.Intermediate.Certificate.Raw, k.fulcio.Root.Certificate.Raw)
		}, want: verify.CertificateInvalid},
		"a certificate and the chain of another CA": {change: func(k *keyless, s *verify.LegacySignature) {
			chain := foreignChain(k, nil)
			s.Certificate, s.Chain = pemOf(chain[0]), pemOf(chain[1:]...)
		}, want: verify.CertificateInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			s := k.legacyBy(k.certified())
			tt.change(k, &s)
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
		})
	}
}

// TestKeyIsNoCertificate: who asks for one does not get the other.
func TestKeyIsNoCertificate(t *testing.T) {
	k := newKeyless(t)
	byKey, byCertificate := k.signer, k.certified()
	keyBundle, _, _ := k.bundleBy(byKey)
	certBundle, _, _ := k.bundleBy(byCertificate)
	keyed := &verify.Authority{Keys: []verify.Key{keyOf(t, k.signer, "")}, Logs: k.authority.Logs}
	for name, tt := range map[string]struct {
		authority *verify.Authority
		signature verify.Signature
		want      verify.Reason
	}{
		"a key, legacy, where a certificate is asked for":   {authority: k.trusts(t), signature: k.legacyBy(byKey), want: verify.IdentityMismatch},
		"a key, bundle, where a certificate is asked for":   {authority: k.trusts(t), signature: keyBundle.Verify(), want: verify.IdentityMismatch},
		"a certificate of our key, legacy, for a key":       {authority: keyed, signature: k.legacyBy(byCertificate), want: verify.KeyMismatch},
		"a certificate of our key, bundle, for a key":       {authority: keyed, signature: certBundle.Verify(), want: verify.KeyMismatch},
		"an empty public key, where a certificate is asked": {authority: k.trusts(t), signature: certBundle.Set(nil, "verificationMaterial", "certificate").Set(map[string]any{}, "verificationMaterial", "publicKey").Verify(), want: verify.IdentityMismatch},
		"a certificate and a key":                           {authority: k.trusts(t), signature: certBundle.Set(map[string]any{"hint": k.signer.Hint()}, "verificationMaterial", "publicKey").Verify(), want: verify.SignatureInvalid},
		"a certificate and a key, for a key":                {authority: keyed, signature: certBundle.Set(map[string]any{"hint": k.signer.Hint()}, "verificationMaterial", "publicKey").Verify(), want: verify.SignatureInvalid},
		"neither":                                           {authority: k.trusts(t), signature: certBundle.Set(nil, "verificationMaterial", "certificate").Verify(), want: verify.SignatureInvalid},
		"a certificate that is null":                        {authority: k.trusts(t), signature: certBundle.Set(map[string]any{"rawBytes": nil}, "verificationMaterial", "certificate").Verify(), want: verify.CertificateInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, tt.authority.Verify(t.Context(), imageA, []verify.Signature{tt.signature}), tt.want)
		})
	}
}

func TestKeylessAuthoritiesThatAreNone(t *testing.T) {
	k := newKeyless(t)
	other := verifytest.TrustRoot(nil, k.ctLogs, nil)
	for name, change := range map[string]func(*verify.Authority){
		"keys as well":              func(a *verify.Authority) { a.Keys = []verify.Key{keyOf(t, k.signer, "")} },
		"no trust root":             func(a *verify.Authority) { a.Keyless.Root = nil },
		"a trust root without a CA": func(a *verify.Authority) { a.Keyless.Root = other },
		"a trust root without a CT log": func(a *verify.Authority) {
			a.Keyless.Root = verifytest.TrustRoot(a.Keyless.Root.FulcioCertificateAuthorities(), nil, nil)
		},
		"no identity":                        func(a *verify.Authority) { a.Keyless.Identities = nil },
		"no log":                             func(a *verify.Authority) { a.Logs = nil },
		"a root for timestamps without them": func(a *verify.Authority) { a.TimestampRoot = a.Keyless.Root },
		"a storage format that there is not": func(a *verify.Authority) { a.Format = "Bundle" },
	} {
		t.Run(name, func(t *testing.T) {
			authority := k.trusts(t)
			change(authority)
			want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())}), verify.PolicyNotReady)
		})
	}
	t.Run("an identity that was not compiled", func(t *testing.T) {
		authority := k.trusts(t)
		authority.Keyless.Identities = []verify.Identity{{}}
		v := authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())})
		if reasonOf(v) == verified {
			t.Error("it matched")
		}
	})
}

// TestEntryOfACertificate: the entry must hold this very certificate.
func TestEntryOfACertificate(t *testing.T) {
	k := newKeyless(t)
	first, second := k.certified(), k.certified() // of one key
	payload := verifytest.SimpleSigning(repository, imageA)
	annotated := func(s verify.LegacySignature, entryBy *verifytest.Signer, entryOf verify.LegacySignature) verify.Signature {
		s.RekorBundle = verifytest.Annotation(k.log.Promise(k.log.Append(entryBy.HashedRekord(entryOf))))
		return s
	}
	s := first.Legacy(payload)
	swapped, _, _ := k.bundleBy(first)
	keyEntry := k.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	ofKey := first.Bundle(keyEntry, k.log.Entry(k.log.Append(k.signer.DSSE(keyEntry)), k.log.Size()))
	other := tlogtest.New("rekor.example.test")
	for name, tt := range map[string]struct {
		signature verify.Signature
		want      verify.Reason
	}{
		"legacy, its own": {signature: annotated(s, first, s), want: verified},
		"legacy, of another certificate of the same key": {signature: annotated(s, second, s), want: verify.LogEntryMismatch},
		"legacy, of the bare key":                        {signature: annotated(s, k.signer, s), want: verify.LogEntryMismatch},
		"legacy, of another signature by it":             {signature: annotated(s, first, first.Legacy(payload)), want: verify.LogEntryMismatch},
		"bundle, of another certificate of the same key": {signature: swapped.Set(second.Leaf(), "verificationMaterial", "certificate", "rawBytes").Verify(), want: verify.LogEntryMismatch},
		"bundle, of the bare key":                        {signature: ofKey.Verify(), want: verify.LogEntryMismatch},
		"legacy, in a log that is not trusted":           {signature: first.LoggedLegacy(other, payload), want: verify.LogUnknown},
		"legacy, the log never saw it":                   {signature: first.Legacy(payload), want: verify.NotLogged},
		"legacy, logged, and the annotation is lost":     {signature: func() verify.Signature { l := k.legacyBy(first); l.RekorBundle = ""; return l }(), want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{tt.signature}), tt.want)
		})
	}
}
