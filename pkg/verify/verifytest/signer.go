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
	public  crypto.PublicKey
	hash    crypto.Hash
	message signature.Signer // of plain messages
	dsse    signature.Signer // of envelopes
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
	s := &Signer{public: key.Public(), hash: hash, message: plain, dsse: plain}
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
	sig, err := base64.StdEncoding.DecodeString(legacy.Base64Signature)
	if err != nil {
		panic(err)
	}
	h := s.hash.New()
	h.Write(legacy.Payload)
	return canonical(hashedrekord.New(), types.ArtifactProperties{
		ArtifactHash:   fmt.Sprintf("%s:%x", strings.ToLower(strings.ReplaceAll(s.hash.String(), "-", "")), h.Sum(nil)),
		SignatureBytes: sig,
		PublicKeyBytes: [][]byte{s.PEM()},
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
		PublicKeyBytes: [][]byte{s.PEM()},
	})
}
