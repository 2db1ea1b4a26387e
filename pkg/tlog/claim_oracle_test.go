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
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	tilesrekord "github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2" // Rekor's own form of entries, as the oracle
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// TestInTotoClaimIsWhatRekorStores has Rekor's own code make the entry, of envelopes as
// several clients write them.
func TestInTotoClaimIsWhatRekorStores(t *testing.T) {
	const payloadType = "application/vnd.in-toto+json"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[]}`)
	sig, err := signer.SignMessage(bytes.NewReader(dsse.PAE(payloadType, payload)))
	if err != nil {
		t.Fatal(err)
	}
	const named = "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA"
	for name, tt := range map[string]struct {
		logged, shown string // key IDs: of the envelope that was logged, and of the bundle's
		pem           []byte
		ok            bool
	}{
		"as sigstore-python writes it":                {pem: text, ok: true},
		"as sigstore-js writes it, without a newline": {pem: bytes.TrimSpace(text), ok: true},
		"with a key ID, as npm's registry writes it":  {logged: named, shown: named, pem: bytes.TrimSpace(text), ok: true},
		"logged without the key ID":                   {shown: named, pem: text, ok: true},
		"logged with a key ID that is not shown":      {logged: named, pem: text},
		"logged with another key ID":                  {logged: named, shown: "x", pem: text},
		"a PEM with a line more":                      {pem: append([]byte("\n"), text...)},
		"a key ID that JSON would have to quote":      {logged: `a"b`, shown: `a"b`, pem: text},
	} {
		t.Run(name, func(t *testing.T) {
			body := serverBody(t, intotoProposal(t, payloadType, payload, sig, tt.logged, tt.pem))
			err = tlog.InToto(payloadType, payload, sig, tt.shown, text).Check(body)
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want ok %v, for %s", err, tt.ok, body)
			}
			for other, claim := range map[string]tlog.Claim{
				"payload":      tlog.InToto(payloadType, append(payload, ' '), sig, tt.shown, text),
				"payload type": tlog.InToto("text/plain", payload, sig, tt.shown, text),
				"signature":    tlog.InToto(payloadType, payload, append(sig, 0), tt.shown, text),
				"key":          tlog.InToto(payloadType, payload, sig, tt.shown, append([]byte("x"), text...)),
				"hostile type": tlog.InToto(`x","signatures":[],"y":"`, payload, sig, tt.shown, text),
			} {
				if err := claim.Check(body); err == nil {
					t.Errorf("accepted for another %s", other)
				}
			}
		})
	}
}

// intotoProposal is what a client sends to Rekor for an envelope.
func intotoProposal(t *testing.T, payloadType string, payload, sig []byte, keyID string, pem []byte) []byte {
	t.Helper()
	encode := base64.StdEncoding.EncodeToString
	twice := func(raw []byte) string { return encode([]byte(encode(raw))) }
	signed := map[string]any{"sig": twice(sig), "publicKey": encode(pem)}
	if keyID != "" {
		signed["keyid"] = keyID
	}
	payloadHash := sha256.Sum256(payload)
	proposal, err := json.Marshal(map[string]any{"apiVersion": "0.0.2", "kind": "intoto", "spec": map[string]any{"content": map[string]any{
		"envelope":    map[string]any{"payloadType": payloadType, "payload": twice(payload), "signatures": []any{signed}},
		"hash":        map[string]any{"algorithm": "sha256", "value": strings.Repeat("c0", 32)},
		"payloadHash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(payloadHash[:])},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return proposal
}

// jsonConsumer reads JSON for Rekor's models.
type jsonConsumer struct{}

func (jsonConsumer) Consume(r io.Reader, into any) error { return json.NewDecoder(r).Decode(into) }

// serverBody is the entry that a Rekor v1 server makes of a proposal.
func serverBody(t *testing.T, proposal []byte) []byte {
	t.Helper()
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(proposal), jsonConsumer{})
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

// TestClaimsOfV2AreWhatRekorTilesStores compares leaf hashes with those that
// rekor-tiles' own code makes of the same parts.
func TestClaimsOfV2AreWhatRekorTilesStores(t *testing.T) {
	for name, tt := range map[string]struct {
		key     func() (crypto.Signer, error)
		hash    crypto.Hash
		details commonpb.PublicKeyDetails
	}{
		"ECDSA P-256": {generate(elliptic.P256()), crypto.SHA256, commonpb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256},
		"ECDSA P-384": {generate(elliptic.P384()), crypto.SHA384, commonpb.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384},
		"ECDSA P-521": {generate(elliptic.P521()), crypto.SHA512, commonpb.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512},
		"Ed25519ph":   {func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }, crypto.SHA512, commonpb.PublicKeyDetails_PKIX_ED25519_PH},
		"RSA 2048":    {func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }, crypto.SHA256, commonpb.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256},
		"RSA 3072":    {func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) }, crypto.SHA256, commonpb.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := tt.key()
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			h := tt.hash.New()
			h.Write(artifact)
			// Every byte that base64 has, and that JSON could spell in two ways.
			sig := bytes.Repeat([]byte{0xfb, 0xef, 0xbe, 0xff}, 18)
			for _, certificate := range []bool{false, true} {
				by := &tilespb.Verifier{KeyDetails: tt.details, Verifier: &tilespb.Verifier_PublicKey{PublicKey: &tilespb.PublicKey{RawBytes: der}}}
				if certificate {
					by.Verifier = &tilespb.Verifier_X509Certificate{X509Certificate: &commonpb.X509Certificate{RawBytes: der}}
				}
				want, err := tilesrekord.ToEntryHash(h.Sum(nil), &tilespb.Signature{Content: sig, Verifier: by})
				if err != nil {
					t.Fatal(err)
				}
				claim, err := tlog.HashedRekordV2(tt.hash, h.Sum(nil), sig, tlog.Verifier{DER: der, Certificate: certificate, Details: tt.details.String()})
				if err != nil {
					t.Fatal(err)
				}
				if got := rfc6962.DefaultHasher.HashLeaf(bodyOf(t, claim)); !bytes.Equal(got, want) {
					t.Errorf("certificate %v: another leaf than rekor-tiles', of %s", certificate, bodyOf(t, claim))
				}
			}
		})
	}
}

func TestClaimsOfV2NeedANameForTheKey(t *testing.T) {
	digest := sha256.Sum256(artifact)
	for name, claim := range map[string]func() (tlog.Claim, error){
		"hashedrekord": func() (tlog.Claim, error) {
			return tlog.HashedRekordV2(crypto.SHA256, digest[:], []byte("s"), tlog.Verifier{DER: []byte("k")})
		},
		"hashedrekord with a hash that Rekor cannot name": func() (tlog.Claim, error) {
			return tlog.HashedRekordV2(crypto.SHA1, digest[:20], []byte("s"), tlog.Verifier{DER: []byte("k"), Details: "PKIX_ED25519"})
		},
		"hashedrekord with a digest of another hash": func() (tlog.Claim, error) {
			return tlog.HashedRekordV2(crypto.SHA384, digest[:], []byte("s"), tlog.Verifier{DER: []byte("k"), Details: "PKIX_ED25519"})
		},
		"dsse": func() (tlog.Claim, error) { return tlog.DSSEV2(artifact, []byte("s"), tlog.Verifier{DER: []byte("k")}) },
	} {
		t.Run(name, func(t *testing.T) {
			claim, err := claim()
			if err == nil {
				t.Fatal("no error")
			}
			if body, ok := claim.Body(); ok {
				t.Errorf("the claim of an error has a body: %s", body)
			}
		})
	}
}

// TestOneClaimDeterminesABody: an entry can be asked for only if there is one.
func TestOneClaimDeterminesABody(t *testing.T) {
	samples := sampleClaims(t)
	for name, determined := range map[string]bool{
		"hashedrekord": true, "hashedrekord of v2": true, "dsse of v2": true, "dsse": false, "intoto": false,
	} {
		if body, ok := samples[name].claim.Body(); ok != determined || ok != (len(body) > 0) {
			t.Errorf("%s: got %q, %v, want %v", name, body, ok, determined)
		}
	}
	if _, ok := tlog.AnyOf(samples["hashedrekord"].claim, samples["hashedrekord of v2"].claim).Body(); ok {
		t.Error("a claim of two bodies does not determine one")
	}
	if strings.Contains(string(samples["dsse of v2"].body), "envelopeHash") {
		t.Error("rekor-tiles stores no hash of the envelope")
	}
}
