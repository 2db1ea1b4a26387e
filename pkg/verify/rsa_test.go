// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/hashedrekord"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// signedWith is a legacy signature of imageA that a function of crypto/rsa makes.
func signedWith(t *testing.T, hash crypto.Hash, sign func(digest []byte) ([]byte, error)) verify.LegacySignature {
	t.Helper()
	payload := verifytest.SimpleSigning(repository, imageA)
	h := hash.New()
	h.Write(payload)
	made, err := sign(h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return verify.LegacySignature{Payload: payload, Base64Signature: base64.StdEncoding.EncodeToString(made)}
}

// unlogged is an authority that asks no log for the signatures of a key.
func unlogged(t *testing.T, public crypto.PublicKey, hashAlgorithm string) *verify.Authority {
	t.Helper()
	key, err := verify.NewKey(public, hashAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	return &verify.Authority{Keys: []verify.Key{key}, InsecureIgnoreTlog: true}
}

// TestRSAPaddings signs with both paddings and keys of every length that counts.
func TestRSAPaddings(t *testing.T) {
	other := rsaKey(t, 2048)
	for _, bits := range []int{2048, 3072, 4096} {
		key := rsaKey(t, bits)
		pss := func(key *rsa.PrivateKey, hash crypto.Hash, salt int) func([]byte) ([]byte, error) {
			return func(digest []byte) ([]byte, error) {
				return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: salt})
			}
		}
		for name, tt := range map[string]struct {
			hash  crypto.Hash
			named string // hashAlgorithm of the policy
			sign  func([]byte) ([]byte, error)
			want  verify.Reason
		}{
			"PKCS#1 v1.5": {crypto.SHA256, "", func(digest []byte) ([]byte, error) {
				return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest)
			}, verified},
			"PSS":                          {crypto.SHA256, "", pss(key, crypto.SHA256, rsa.PSSSaltLengthEqualsHash), verified},
			"PSS, salt as long as fits":    {crypto.SHA256, "", pss(key, crypto.SHA256, rsa.PSSSaltLengthAuto), verified},
			"PSS over SHA-384":             {crypto.SHA384, "sha384", pss(key, crypto.SHA384, rsa.PSSSaltLengthEqualsHash), verified},
			"PSS over SHA-512":             {crypto.SHA512, "sha512", pss(key, crypto.SHA512, rsa.PSSSaltLengthEqualsHash), verified},
			"PSS over another hash":        {crypto.SHA512, "sha256", pss(key, crypto.SHA512, rsa.PSSSaltLengthEqualsHash), verify.SignatureInvalid},
			"PSS over SHA-1":               {crypto.SHA1, "", pss(key, crypto.SHA1, rsa.PSSSaltLengthEqualsHash), verify.SignatureInvalid},
			"PSS of another key":           {crypto.SHA256, "", pss(other, crypto.SHA256, rsa.PSSSaltLengthEqualsHash), verify.SignatureInvalid},
			"PKCS#1 v1.5 of no hash named": {crypto.SHA256, "", func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, key, 0, digest) }, verify.SignatureInvalid},
			"a number smaller than the modulus": {crypto.SHA256, "", func([]byte) ([]byte, error) {
				return make([]byte, key.Size()), nil
			}, verify.SignatureInvalid},
			"one byte short": {crypto.SHA256, "", func(digest []byte) ([]byte, error) {
				made, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, nil)
				return made[1:], err
			}, verify.SignatureInvalid},
		} {
			t.Run(fmt.Sprintf("%d bits, %s", bits, name), func(t *testing.T) {
				s := signedWith(t, tt.hash, tt.sign)
				want(t, unlogged(t, key.Public(), tt.named).Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
				// A good signature is good for these bytes alone.
				s.Payload = verifytest.SimpleSigning(repository, imageB)
				want(t, unlogged(t, key.Public(), tt.named).Verify(t.Context(), imageB, []verify.Signature{s}), verify.SignatureInvalid)
			})
		}
	}
}

// TestRSAOfOpenSSL verifies what another implementation signed.
func TestRSAOfOpenSSL(t *testing.T) {
	text, err := os.ReadFile("testdata/rsa-openssl.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		PublicKey, Payload string
		Signatures         map[string]string
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
	good := map[string]string{"PSS": "", "PSS, salt as long as fits": "", "PSS, no salt": "", "PSS over SHA-512": "sha512", "PKCS#1 v1.5": ""}
	if len(recorded.Signatures) != 7 {
		t.Fatalf("%d signatures are recorded, not 7", len(recorded.Signatures))
	}
	for name, made := range recorded.Signatures {
		t.Run(name, func(t *testing.T) {
			named, ok := good[name]
			key, err := verify.ParseKey([]byte(recorded.PublicKey), named)
			if err != nil {
				t.Fatal(err)
			}
			a := &verify.Authority{Keys: []verify.Key{key}, InsecureIgnoreTlog: true}
			expected := verify.SignatureInvalid
			if ok {
				expected = verified
			}
			want(t, a.Verify(t.Context(), digest, []verify.Signature{
				verify.LegacySignature{Payload: []byte(recorded.Payload), Base64Signature: made},
			}), expected)
		})
	}
}

// TestPSSOfACertificate: keys of certificates go the same way.
func TestPSSOfACertificate(t *testing.T) {
	k, key := newKeyless(t), rsaKey(t, 2048)
	s := signedWith(t, crypto.SHA256, func(digest []byte) ([]byte, error) {
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, nil)
	})
	authority := k.trusts(t)
	authority.Logs, authority.InsecureIgnoreTlog = nil, true
	s.Certificate = verifytest.NewSignerWithKey(key, crypto.SHA256).With(k.fulcio.Issue(key.Public())).Certificate()
	// It verifies, and then lacks a time.
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{s}), verify.TimestampInvalid)
	s.Payload = verifytest.SimpleSigning(repository, imageB)
	want(t, authority.Verify(t.Context(), imageB, []verify.Signature{s}), verify.SignatureInvalid)
}

// TestPSSOfADigest: of an artifact only the digest is known, and no bytes are hashed.
func TestPSSOfADigest(t *testing.T) {
	key := rsaKey(t, 2048)
	w := worldOf(t, verifytest.NewSignerWithKey(key, crypto.SHA256), "")
	legacy := w.legacy()
	digest := sha256.Sum256(legacy.Payload)
	entry := w.log.Entry(w.log.Append(w.signer.HashedRekord(legacy)), w.log.Size())
	made, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	legacy.Base64Signature = base64.StdEncoding.EncodeToString(made)
	b := w.signer.MessageBundle(legacy, entry).Verify()
	authority := unlogged(t, key.Public(), "")
	want(t, authority.VerifyArtifact(t.Context(), verify.Artifact{SHA256: digest}, b), verified)
	want(t, authority.VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(nil)}, b), verify.SignatureInvalid)
	// The log holds the entry of another signature by the same key over the same bytes.
	want(t, w.authority.VerifyArtifact(t.Context(), verify.Artifact{SHA256: digest}, b), verify.LogEntryMismatch)
}

// TestRekorLogsNoPSS is why a PSS signature is admitted only where no log is asked:
// Rekor verifies what it logs, and RSA as PKCS#1 v1.5 alone.
func TestRekorLogsNoPSS(t *testing.T) {
	key := rsaKey(t, 2048)
	propose := func(sign func([]byte) ([]byte, error)) error {
		s := signedWith(t, crypto.SHA256, sign)
		made, _ := base64.StdEncoding.DecodeString(s.Base64Signature)
		proposed, err := hashedrekord.New().CreateProposedEntry(t.Context(), "0.0.1", types.ArtifactProperties{
			ArtifactHash: fmt.Sprintf("sha256:%x", sha256.Sum256(s.Payload)), SignatureBytes: made, PKIFormat: "x509",
			PublicKeyBytes: [][]byte{verifytest.NewSignerWithKey(key, crypto.SHA256).PEM()},
		})
		if err != nil {
			return err
		}
		entry, err := types.CreateVersionedEntry(proposed)
		if err != nil {
			return err
		}
		_, err = types.CanonicalizeEntry(t.Context(), entry)
		return err
	}
	if err := propose(func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest) }); err != nil {
		t.Errorf("PKCS#1 v1.5: %v", err)
	}
	if err := propose(func(digest []byte) ([]byte, error) { return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, nil) }); err == nil {
		t.Error("Rekor logs PSS: say so in docs/keys.md, and test that it is admitted")
	}
}

// TestRSAOfADigestAlone: the message of a signature need not be there where its digest is.
func TestRSAOfADigestAlone(t *testing.T) {
	private := rsaKey(t, 2048)
	key, err := verify.NewKey(private.Public(), "")
	if err != nil {
		t.Fatal(err)
	}
	digest, other := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	pkcs1, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	pss, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range map[string][]byte{"PKCS#1 v1.5": pkcs1, "PSS": pss} {
		if !verify.VerifiesDigest(key, made, digest[:]) {
			t.Errorf("%s: it does not verify", name)
		}
		if verify.VerifiesDigest(key, made, other[:]) {
			t.Errorf("%s: it verifies for another digest", name)
		}
	}
}
