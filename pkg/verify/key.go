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
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Bounds of an RSA modulus. The shortest is NIST SP 800-131A's; crypto/rsa takes
// milliseconds for each signature under one that is much longer than the longest.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// Key is a public key that signatures are verified with. The zero value verifies
// nothing; only ParseKey makes others. Immutable.
type Key struct {
	verifier    signature.Verifier // of envelopes
	message     signature.Verifier // of plain messages: another one for Ed25519
	hash        crypto.Hash
	public      crypto.PublicKey
	spki        []byte // DER of the SubjectPublicKeyInfo
	certificate []byte // DER of the certificate that holds the key, or nil
	pem         []byte // the canonical form, as Rekor v1 stores it
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
// keys, of 2048 to 4096 bits, verify PKCS#1 v1.5 and PSS signatures. ECDSA keys are
// on P-256, P-384 or P-521. Ed25519 ignores the hash algorithm: legacy
// signatures are verified as Ed25519ph (RFC 8032 section 5.1), which is what cosign
// makes and the only form that Rekor logs, envelopes as plain Ed25519.
func ParseKey(text []byte, hashAlgorithm string) (Key, error) {
	hash, err := hashOf(hashAlgorithm)
	if err != nil {
		return Key{}, err
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
	return newKey(public, hash)
}

// NewKey is ParseKey for a public key that is not text: what it refuses, and what
// it takes, is the same.
func NewKey(public crypto.PublicKey, hashAlgorithm string) (Key, error) {
	hash, err := hashOf(hashAlgorithm)
	if err != nil {
		return Key{}, err
	}
	if err := checkKeyKind(public); err != nil {
		return Key{}, err
	}
	return newKey(public, hash)
}

func hashOf(name string) (crypto.Hash, error) {
	hash, ok := hashes[name]
	if !ok {
		return 0, fmt.Errorf("hash algorithm %q is none of sha256, sha384, sha512", name)
	}
	return hash, nil
}

// newKey returns the key for a public key whose kind has been checked.
func newKey(public crypto.PublicKey, hash crypto.Hash) (Key, error) {
	key := Key{hash: hash, public: public}
	var errs [3]error // of keys whose kind is right there is none
	switch public := public.(type) {
	case ed25519.PublicKey:
		key.hash = crypto.SHA512
		key.message, errs[0] = signature.LoadED25519phVerifier(public)
		key.verifier, errs[1] = signature.LoadED25519Verifier(public)
	case *rsa.PublicKey:
		key.verifier, errs[0] = newEitherPadding(public, hash)
		key.message = key.verifier
	default:
		key.verifier, errs[0] = signature.LoadVerifier(public, hash)
		key.message = key.verifier
	}
	key.spki, errs[2] = x509.MarshalPKIXPublicKey(public)
	if err := errors.Join(errs[:]...); err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	key.pem, key.fingerprint = cryptoutils.PEMEncode(cryptoutils.PublicKeyPEMType, key.spki), sha256.Sum256(key.spki)
	return key, nil
}

// DefaultHashAlgorithm returns the hash that a key is used with when nobody says
// which, as sigstore's clients choose it: sha384 and sha512 for ECDSA keys on P-384
// and P-521, sha256 for all others, and for what is no key.
func DefaultHashAlgorithm(text []byte) string {
	public, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return ""
	}
	if key, ok := public.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P384():
			return "sha384"
		case elliptic.P521():
			return "sha512"
		}
	}
	return "sha256"
}

func parsePublicKey(block *pem.Block) (crypto.PublicKey, error) {
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		if isPSSOnly(block.Bytes) {
			return nil, errors.New("the key is marked as one for RSASSA-PSS alone, which no client and no log of sigstore understands: give an rsaEncryption key")
		}
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
	return public, checkKeyKind(public)
}

// isPSSOnly reports whether the algorithm of a SubjectPublicKeyInfo is
// id-RSASSA-PSS (RFC 4055 section 1.2), which crypto/x509 does not know.
func isPSSOnly(spki []byte) bool {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(spki, &info)
	return err == nil && info.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
}

// checkKeyKind refuses keys of kinds and sizes that nothing is verified with.
func checkKeyKind(public crypto.PublicKey) error {
	switch key := public.(type) {
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return fmt.Errorf("ECDSA key is on %s, not on P-256, P-384 or P-521", key.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key has %d bits, not %d to %d", bits, minRSABits, maxRSABits)
		}
	default:
		return fmt.Errorf("public key type %T is not supported", public)
	}
	return nil
}

// String names the key by the SHA-256 of its SubjectPublicKeyInfo.
func (k Key) String() string { return "key sha256:" + hex.EncodeToString(k.fingerprint[:]) }

// hint is what cosign writes as the hint of this key into a bundle.
func (k Key) hint() string { return base64.StdEncoding.EncodeToString(k.fingerprint[:]) }
