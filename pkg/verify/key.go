// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify gives the verdict on the signatures that were found beside an
// image: is one of them good under an authority's keys, is it about this image,
// and is its entry proven to be in the logs that the authority asks for?
//
// One core, sigstore-go, verifies signatures of both storage formats; a legacy
// cosign signature is turned into a bundle first. The log's proof is package
// tlog's alone, because no library requires one (docs/design/verification.md).
package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// minRSABits is the shortest RSA modulus that is accepted.
const minRSABits = 2048

// Key is a public key that signatures are verified with. The zero value verifies
// nothing; only ParseKey makes others. Immutable.
type Key struct {
	verifier    signature.Verifier // of envelopes
	message     signature.Verifier // of plain messages: another one for Ed25519
	hash        crypto.Hash
	pem         []byte // the canonical form, as Rekor stores it
	fingerprint [sha256.Size]byte
}

// hashes are the names of the hash algorithms of a policy's key.
var hashes = map[string]crypto.Hash{
	"":       crypto.SHA256,
	"sha256": crypto.SHA256,
	"sha384": crypto.SHA384,
	"sha512": crypto.SHA512,
}

// ParseKey parses one PEM block that holds a public key (PKIX; RSA also PKCS#1)
// and takes the hash algorithm of its signatures: sha256 (or empty), sha384 or
// sha512. It refuses anything else, private keys with a text of their own. RSA
// keys verify PKCS#1 v1.5 signatures. Ed25519 ignores the hash algorithm: legacy
// signatures are verified as Ed25519ph (RFC 8032 section 5.1), which is what cosign
// makes and the only form that Rekor logs, envelopes as plain Ed25519.
func ParseKey(text []byte, hashAlgorithm string) (Key, error) {
	hash, ok := hashes[hashAlgorithm]
	if !ok {
		return Key{}, fmt.Errorf("hash algorithm %q is none of sha256, sha384, sha512", hashAlgorithm)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("not a PEM block")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return Key{}, errors.New("more than one PEM block")
	}
	public, err := parsePublicKey(block)
	if err != nil {
		return Key{}, err
	}
	verifier, err := signature.LoadVerifier(public, hash)
	if err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	message := verifier
	if ed, ok := public.(ed25519.PublicKey); ok {
		hash = crypto.SHA512
		if message, err = signature.LoadED25519phVerifier(ed); err != nil {
			return Key{}, fmt.Errorf("public key: %w", err)
		}
	}
	canonical, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	return Key{verifier: verifier, message: message, hash: hash, pem: canonical, fingerprint: sha256.Sum256(spki)}, nil
}

func parsePublicKey(block *pem.Block) (crypto.PublicKey, error) {
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		return nil, fmt.Errorf("this is a private key (PEM type %q): keep it secret, and give the public one", block.Type)
	default:
		return nil, fmt.Errorf("PEM type is %q, want \"PUBLIC KEY\"", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("public key does not parse: %w", err)
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return public, nil
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("RSA key has %d bits, at least %d are needed", key.N.BitLen(), minRSABits)
		}
		return public, nil
	default:
		return nil, fmt.Errorf("public key type %T is not supported", public)
	}
}

// String names the key by the SHA-256 of its SubjectPublicKeyInfo.
func (k Key) String() string { return "key sha256:" + hex.EncodeToString(k.fingerprint[:]) }

// hint is what cosign writes as the hint of this key into a bundle.
func (k Key) hint() string { return base64.StdEncoding.EncodeToString(k.fingerprint[:]) }
