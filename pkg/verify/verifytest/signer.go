// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verifytest signs images in memory as cosign does, for tests that need a
// signature to be wrong in one exact way. Entries of a log are made by Rekor's own
// code, so that what a test logs is what a real Rekor would hold.
package verifytest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/rekor/pkg/types"
	rekordsse "github.com/sigstore/rekor/pkg/types/dsse"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // registers the kind
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // registers the kind
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Signer holds a key and signs with it.
type Signer struct {
	key     crypto.Signer
	public  crypto.PublicKey
	hash    crypto.Hash
	message signature.Signer // of plain messages
	dsse    signature.Signer // of envelopes
	leaf    []byte           // the DER of a certificate of the key, or nil
}

// NewSigner returns a signer with a new P-256 key, which is what cosign makes.
func NewSigner() *Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return NewSignerWithKey(key, crypto.SHA256)
}

// NewSignerWithKey returns a signer with a key: ECDSA, RSA (PKCS#1 v1.5) or
// Ed25519, which signs messages as Ed25519ph, as Rekor's hashedrekord asks for.
func NewSignerWithKey(key crypto.Signer, hash crypto.Hash) *Signer {
	plain, err := signature.LoadSigner(key, hash)
	if err != nil {
		panic(err)
	}
	s := &Signer{key: key, public: key.Public(), hash: hash, message: plain, dsse: plain}
	if private, ok := key.(ed25519.PrivateKey); ok {
		s.hash = crypto.SHA512
		if s.message, err = signature.LoadED25519phSigner(private); err != nil {
			panic(err)
		}
	}
	return s
}

// PEM is the public key.
func (s *Signer) PEM() []byte {
	text, err := cryptoutils.MarshalPublicKeyToPEM(s.public)
	if err != nil {
		panic(err)
	}
	return text
}

// Public is the public key.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// With returns a signer with the same key that shows a certificate, in DER.
func (s *Signer) With(leaf []byte) *Signer {
	certified := *s
	certified.leaf = leaf
	return &certified
}

// WithEnvelopes returns a signer with the same key that signs envelopes with
// another hash: Rekor logs them with SHA-256 whatever the curve is. 0 changes
// nothing.
func (s *Signer) WithEnvelopes(hash crypto.Hash) *Signer {
	changed := *s
	if hash != 0 {
		var err error
		if changed.dsse, err = signature.LoadSigner(s.key, hash); err != nil {
			panic(err)
		}
	}
	return &changed
}

// Leaf is the certificate that the signer shows in DER, or nil.
func (s *Signer) Leaf() []byte { return s.leaf }

// Certificate is the certificate that the signer shows as PEM, or empty.
func (s *Signer) Certificate() string {
	if s.leaf == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf}))
}

// verifier is what the log's entry says that the signature verifies with.
func (s *Signer) verifier() []byte {
	if s.leaf != nil {
		return []byte(s.Certificate())
	}
	return s.PEM()
}

// Hint is what cosign writes into a bundle about the key.
func (s *Signer) Hint() string {
	spki, err := x509.MarshalPKIXPublicKey(s.public)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func sign(signer signature.Signer, message []byte) []byte {
	sig, err := signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		panic(err)
	}
	return sig
}

// SimpleSigning is the document that cosign signs for an image in the legacy form.
func SimpleSigning(repository, digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repository, digest)
}

// Legacy signs payload as a layer of a .sig image, without a log entry.
func (s *Signer) Legacy(payload []byte) verify.LegacySignature {
	return verify.LegacySignature{
		Payload:         payload,
		Base64Signature: base64.StdEncoding.EncodeToString(sign(s.message, payload)),
		Certificate:     s.Certificate(),
	}
}

// LoggedLegacy signs payload and logs it: the layer carries the log's promise.
func (s *Signer) LoggedLegacy(l *tlogtest.Log, payload []byte) verify.LegacySignature {
	legacy := s.Legacy(payload)
	legacy.RekorBundle = Annotation(l.Promise(l.Append(s.HashedRekord(legacy))))
	return legacy
}

// HashedRekord is the body of the entry that Rekor makes of a legacy signature.
func (s *Signer) HashedRekord(legacy verify.LegacySignature) []byte {
	sig := decode(legacy.Base64Signature)
	h := s.hash.New()
	h.Write(legacy.Payload)
	return canonical(hashedrekord.New(), types.ArtifactProperties{
		ArtifactHash:   fmt.Sprintf("%s:%x", strings.ToLower(strings.ReplaceAll(s.hash.String(), "-", "")), h.Sum(nil)),
		SignatureBytes: sig,
		PublicKeyBytes: [][]byte{s.verifier()},
		PKIFormat:      "x509",
	})
}

// Annotation is what cosign writes as dev.sigstore.cosign/bundle.
func Annotation(e *tlog.Entry) string {
	return marshal(map[string]any{
		"SignedEntryTimestamp": e.SignedEntryTimestamp,
		"Payload": map[string]any{
			"body": e.Body, "integratedTime": e.IntegratedTime, "logIndex": e.LogIndex, "logID": fmt.Sprintf("%x", e.LogID),
		},
	})
}

// canonical has Rekor make an entry's body.
func canonical(kind types.TypeImpl, properties types.ArtifactProperties) []byte {
	proposed, err := kind.CreateProposedEntry(context.Background(), "0.0.1", properties)
	if err != nil {
		panic(err)
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		panic(err)
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		panic(err)
	}
	return body
}

func decode(text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// DSSE is the body of the entry that Rekor makes of an envelope.
func (s *Signer) DSSE(e Envelope) []byte {
	return canonical(rekordsse.New(), types.ArtifactProperties{
		ArtifactBytes: []byte(marshal(dsse.Envelope{
			PayloadType: e.PayloadType,
			Payload:     base64.StdEncoding.EncodeToString(e.Payload),
			Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(e.Signatures[0])}},
		})),
		PublicKeyBytes: [][]byte{s.verifier()},
	})
}
