// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

const (
	maxKeyBytes = 16 << 10
	// minRSABits is the smallest modulus that is accepted (NIST SP 800-131A).
	minRSABits = 2048
	maxRSABits = 8192
	// maxLogRSABits is the largest modulus that sigstore's formats have for a log.
	maxLogRSABits = 4096
)

// ParseLogKey parses the PEM text of a log's public key: exactly one "PUBLIC KEY"
// block (PKIX), ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 4096 bits. Every error wraps
// ErrKeyInvalid, and holds nothing of the text, which may be a private key.
func ParseLogKey(text []byte) (crypto.PublicKey, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrKeyInvalid, maxKeyBytes)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: not PEM", ErrKeyInvalid)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: something follows the first PEM block", ErrKeyInvalid)
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: the PEM block is %.40q, not \"PUBLIC KEY\"", ErrKeyInvalid, block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: not a PKIX public key", ErrKeyInvalid)
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return key, nil
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return nil, fmt.Errorf("%w: on the curve %s, not P-256, P-384 or P-521", ErrKeyInvalid, key.Curve.Params().Name)
		}
		return key, nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxLogRSABits {
			return nil, fmt.Errorf("%w: RSA of %d bits, not %d to %d", ErrKeyInvalid, bits, minRSABits, maxLogRSABits)
		}
		return key, nil
	default:
		return nil, fmt.Errorf("%w: a key of type %T signs no log", ErrKeyInvalid, key)
	}
}
