// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/rekor/pkg/types"
	rekordsse "github.com/sigstore/rekor/pkg/types/dsse"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // Rekor's own form of entries, as the oracle
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

var artifact = []byte("an artifact")

// sampleClaims are one claim of each kind with a body that answers it.
func sampleClaims(t testing.TB) map[string]struct {
	claim tlog.Claim
	body  []byte
} {
	t.Helper()
	digest := sha256.Sum256(artifact)
	plain, err := tlog.HashedRekord(crypto.SHA256, digest[:], []byte("signature"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	by := tlog.Verifier{DER: []byte("key"), Details: "PKIX_ECDSA_P256_SHA_256"}
	plainV2, err := tlog.HashedRekordV2(crypto.SHA256, digest[:], []byte("signature"), by)
	if err != nil {
		t.Fatal(err)
	}
	envelopeV2, err := tlog.DSSEV2(artifact, []byte("signature"), by)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		claim tlog.Claim
		body  []byte
	}{
		"hashedrekord": {claim: plain, body: bodyOf(t, plain)},
		"dsse": {claim: tlog.DSSE(artifact, []byte("signature"), []byte("key")), body: []byte(`{"apiVersion":"0.0.1","kind":"dsse","spec":{` +
			`"envelopeHash":{"algorithm":"sha256","value":"` + strings.Repeat("a1", 32) + `"},` +
			`"payloadHash":{"algorithm":"sha256","value":"` + hex.EncodeToString(digest[:]) + `"},` +
			`"signatures":[{"signature":"c2lnbmF0dXJl","verifier":"a2V5"}]}}`)},
		"intoto": {claim: tlog.InToto("application/vnd.in-toto+json", artifact, []byte("signature"), "", []byte("key")), body: []byte(`{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{` +
			`"envelope":{"payloadType":"application/vnd.in-toto+json","signatures":[{"publicKey":"a2V5","sig":"YzJsbmJtRjBkWEps"}]},` +
			`"hash":{"algorithm":"sha256","value":"` + strings.Repeat("a1", 32) + `"},` +
			`"payloadHash":{"algorithm":"sha256","value":"` + hex.EncodeToString(digest[:]) + `"}}}}`)},
		"hashedrekord of v2": {claim: plainV2, body: bodyOf(t, plainV2)},
		"dsse of v2":         {claim: envelopeV2, body: bodyOf(t, envelopeV2)},
	}
}

func TestClaimRefusesEveryChangedByte(t *testing.T) {
	for name, sample := range sampleClaims(t) {
		t.Run(name, func(t *testing.T) {
			wantErr(t, sample.claim.Check(sample.body), nil)
			envelopeHash := bytes.Index(sample.body, []byte(strings.Repeat("a1", 32)))
			for i := range sample.body {
				for _, change := range []byte{0x01, 0x04, 0x20, 0x80} {
					changed := bytes.Clone(sample.body)
					changed[i] ^= change
					free := envelopeHash >= 0 && i >= envelopeHash && i < envelopeHash+64 && isHexDigit(changed[i])
					if err := sample.claim.Check(changed); (err == nil) != free {
						t.Fatalf("byte %d changed from %q to %q: got error %v", i, sample.body[i], changed[i], err)
					} else if err != nil {
						wantErr(t, err, tlog.ErrEntryMismatch)
					}
				}
			}
		})
	}
}

func isHexDigit(b byte) bool { return strings.IndexByte("0123456789abcdef", b) >= 0 }

func TestClaimRefusesOtherBodies(t *testing.T) {
	samples := sampleClaims(t)
	plain, envelope := samples["hashedrekord"], samples["dsse"]
	for name, test := range map[string]struct {
		claim tlog.Claim
		body  string
	}{
		"an empty body":                            {claim: plain.claim},
		"an empty body for a claim of nothing":     {},
		"a claim of nothing matches nothing":       {body: string(plain.body)},
		"a space after the body":                   {claim: plain.claim, body: string(plain.body) + " "},
		"a newline after the body":                 {claim: plain.claim, body: string(plain.body) + "\n"},
		"a NUL after the body":                     {claim: plain.claim, body: string(plain.body) + "\x00"},
		"a space before the body":                  {claim: plain.claim, body: " " + string(plain.body)},
		"the body twice":                           {claim: plain.claim, body: string(plain.body) + string(plain.body)},
		"the body less its last byte":              {claim: plain.claim, body: string(plain.body[:len(plain.body)-1])},
		"another order of the same fields":         {claim: plain.claim, body: strings.Replace(string(plain.body), `"apiVersion":"0.0.1","kind":"hashedrekord"`, `"kind":"hashedrekord","apiVersion":"0.0.1"`, 1)},
		"the digest in capitals":                   {claim: plain.claim, body: strings.Replace(string(plain.body), hexOf(artifact), strings.ToUpper(hexOf(artifact)), 1)},
		"the same JSON with a space":               {claim: plain.claim, body: strings.Replace(string(plain.body), `,`, `, `, 1)},
		"another version":                          {claim: plain.claim, body: strings.Replace(string(plain.body), `0.0.1`, `0.0.2`, 1)},
		"a DSSE entry for a hashedrekord claim":    {claim: plain.claim, body: string(envelope.body)},
		"a hashedrekord entry for a DSSE claim":    {claim: envelope.claim, body: string(plain.body)},
		"an entry of v1 for a claim of v2":         {claim: samples["hashedrekord of v2"].claim, body: string(plain.body)},
		"an entry of v2 for a claim of v1":         {claim: plain.claim, body: string(samples["hashedrekord of v2"].body)},
		"a DSSE entry of v2 for a claim of v1":     {claim: envelope.claim, body: string(samples["dsse of v2"].body)},
		"an intoto entry for a DSSE claim":         {claim: envelope.claim, body: string(samples["intoto"].body)},
		"a certificate in a key's place":           {claim: samples["hashedrekord of v2"].claim, body: strings.Replace(string(samples["hashedrekord of v2"].body), "publicKey", "x509Certificate", 1)},
		"a key without its algorithm":              {claim: samples["hashedrekord of v2"].claim, body: strings.Replace(string(samples["hashedrekord of v2"].body), `"keyDetails":"PKIX_ECDSA_P256_SHA_256",`, "", 1)},
		"another algorithm of the key":             {claim: samples["hashedrekord of v2"].claim, body: strings.Replace(string(samples["hashedrekord of v2"].body), "P256_SHA_256", "P384_SHA_384", 1)},
		"a key ID that the envelope has not":       {claim: samples["intoto"].claim, body: strings.Replace(string(samples["intoto"].body), `{"publicKey"`, `{"keyid":"x","publicKey"`, 1)},
		"two intoto signatures":                    {claim: samples["intoto"].claim, body: strings.Replace(string(samples["intoto"].body), `}]`, `},{"publicKey":"a2V5","sig":"YzJsbmJtRjBkWEps"}]`, 1)},
		"an intoto payload beside its hash":        {claim: samples["intoto"].claim, body: strings.Replace(string(samples["intoto"].body), `"payloadType"`, `"payload":"","payloadType"`, 1)},
		"none of several claims":                   {claim: tlog.AnyOf(plain.claim, samples["dsse of v2"].claim), body: string(envelope.body)},
		"the beginning of one, the end of another": {claim: tlog.AnyOf(plain.claim, samples["hashedrekord of v2"].claim), body: string(plain.body[:120]) + string(samples["hashedrekord of v2"].body[120:])},
		"envelope hash in capitals":                {claim: envelope.claim, body: strings.Replace(string(envelope.body), "a1a1", "A1A1", 1)},
		"envelope hash with other characters":      {claim: envelope.claim, body: strings.Replace(string(envelope.body), "a1a1", `","`+"a", 1)},
		"envelope hash of 63 digits":               {claim: envelope.claim, body: strings.Replace(string(envelope.body), "a1", "a", 1)},
		"envelope hash of 65 digits":               {claim: envelope.claim, body: strings.Replace(string(envelope.body), "a1", "a1a", 1)},
		"no envelope hash":                         {claim: envelope.claim, body: strings.Replace(string(envelope.body), strings.Repeat("a1", 32), "", 1)},
		"payload hash in capitals":                 {claim: envelope.claim, body: strings.Replace(string(envelope.body), hexOf(artifact), strings.ToUpper(hexOf(artifact)), 1)},
		"two signatures":                           {claim: envelope.claim, body: strings.Replace(string(envelope.body), `}]`, `},{"signature":"c2lnbmF0dXJl","verifier":"a2V5"}]`, 1)},
		"extra bytes after a DSSE body":            {claim: envelope.claim, body: string(envelope.body) + "\n"},
		"a body that is the prefix only":           {claim: envelope.claim, body: string(envelope.body[:90])},
		"a body that is the suffix only":           {claim: envelope.claim, body: string(envelope.body[90:])},
	} {
		t.Run(name, func(t *testing.T) {
			wantErr(t, test.claim.Check([]byte(test.body)), tlog.ErrEntryMismatch)
		})
	}
}

func hexOf(message []byte) string {
	digest := sha256.Sum256(message)
	return hex.EncodeToString(digest[:])
}

func TestHashedRekordErrors(t *testing.T) {
	digest := sha256.Sum256(artifact)
	for name, test := range map[string]struct {
		hash   crypto.Hash
		digest []byte
	}{
		"a hash that Rekor cannot name":         {hash: crypto.SHA1, digest: digest[:20]},
		"no hash":                               {digest: digest[:]},
		"a digest that is too short":            {hash: crypto.SHA256, digest: digest[:31]},
		"a digest that is too long":             {hash: crypto.SHA256, digest: append(digest[:], 0)},
		"a digest of another hash":              {hash: crypto.SHA384, digest: digest[:]},
		"no digest, which would match any hole": {hash: crypto.SHA512},
	} {
		t.Run(name, func(t *testing.T) {
			claim, err := tlog.HashedRekord(test.hash, test.digest, []byte("s"), []byte("k"))
			if err == nil {
				t.Fatal("no error")
			}
			if body, ok := claim.Body(); ok {
				t.Errorf("the claim of an error has a body: %s", body)
			}
		})
	}
}

// TestClaimsAreWhatRekorStores has Rekor's own code make the entry.
func TestClaimsAreWhatRekorStores(t *testing.T) {
	for name, sign := range map[string]struct {
		hash crypto.Hash
		key  func() (crypto.Signer, error)
		load func(crypto.Signer, crypto.Hash) (signature.Signer, error)
	}{
		"ECDSA P-256 with SHA-256": {hash: crypto.SHA256, key: generate(elliptic.P256())},
		"ECDSA P-256 with SHA-512": {hash: crypto.SHA512, key: generate(elliptic.P256())},
		"ECDSA P-384 with SHA-384": {hash: crypto.SHA384, key: generate(elliptic.P384())},
		"ECDSA P-521 with SHA-512": {hash: crypto.SHA512, key: generate(elliptic.P521())},
		"RSA with SHA-256":         {hash: crypto.SHA256, key: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
		"Ed25519ph with SHA-512": {
			hash: crypto.SHA512,
			key:  func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
			load: func(k crypto.Signer, _ crypto.Hash) (signature.Signer, error) {
				return signature.LoadED25519phSigner(k.(ed25519.PrivateKey))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := sign.key()
			if err != nil {
				t.Fatal(err)
			}
			load := sign.load
			if load == nil {
				load = func(k crypto.Signer, h crypto.Hash) (signature.Signer, error) { return signature.LoadSigner(k, h) }
			}
			signer, err := load(key, sign.hash)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := signer.SignMessage(bytes.NewReader(artifact))
			if err != nil {
				t.Fatal(err)
			}
			pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			h := sign.hash.New()
			h.Write(artifact)
			claim, err := tlog.HashedRekord(sign.hash, h.Sum(nil), sig, pem)
			if err != nil {
				t.Fatal(err)
			}
			body := rekorBody(t, hashedrekord.New(), "0.0.1", types.ArtifactProperties{
				ArtifactHash:   fmt.Sprintf("%s:%x", strings.ToLower(strings.ReplaceAll(sign.hash.String(), "-", "")), h.Sum(nil)),
				SignatureBytes: sig,
				PublicKeyBytes: [][]byte{pem},
				PKIFormat:      "x509",
			})
			if diff := cmp.Diff(string(body), string(bodyOf(t, claim))); diff != "" {
				t.Errorf("body (-rekor +countersign):\n%s", diff)
			}
		})
	}
}

func TestDSSEClaimIsWhatRekorStores(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1"}`)
	sig, err := signer.SignMessage(bytes.NewReader(dsse.PAE("application/vnd.in-toto+json", payload)))
	if err != nil {
		t.Fatal(err)
	}
	for name, indent := range map[string]string{"envelope on one line": "", "envelope with spaces": "  "} {
		t.Run(name, func(t *testing.T) {
			envelope, err := json.MarshalIndent(dsse.Envelope{
				PayloadType: "application/vnd.in-toto+json",
				Payload:     base64.StdEncoding.EncodeToString(payload),
				Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
			}, "", indent)
			if err != nil {
				t.Fatal(err)
			}
			body := rekorBody(t, rekordsse.New(), "0.0.1", types.ArtifactProperties{ArtifactBytes: envelope, PublicKeyBytes: [][]byte{pem}})
			wantErr(t, tlog.DSSE(payload, sig, pem).Check(body), nil)
			wantErr(t, tlog.DSSE(append(payload, ' '), sig, pem).Check(body), tlog.ErrEntryMismatch)
		})
	}
	if _, ok := tlog.DSSE(payload, sig, pem).Body(); ok {
		t.Error("a DSSE claim does not determine the hash of the envelope, and yet has a body")
	}
}

func generate(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

// rekorBody makes an entry as a Rekor v1 server does.
func rekorBody(t *testing.T, kind types.TypeImpl, version string, properties types.ArtifactProperties) []byte {
	t.Helper()
	proposed, err := kind.CreateProposedEntry(context.Background(), version, properties)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		t.Fatal(err)
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
