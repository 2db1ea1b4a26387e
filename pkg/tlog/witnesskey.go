// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Types of verifier keys (https://c2sp.org/signed-note).
const (
	keyTypeEd25519         = 0x01
	keyTypeECDSA           = 0x02
	keyTypeCosigEd25519    = 0x04
	keyTypeCosigMLDSA44    = 0x06
	mldsa44PublicKeyLength = 1312 // FIPS 204, table 2
)

// maxKeyName is the longest name of a key: an ML-DSA-44 cosignature says its length in
// one byte (https://c2sp.org/tlog-cosignature).
const maxKeyName = 255

// policyKey is a verifier key: <name>+<hash>+base64(<type><public key>).
type policyKey struct {
	name string
	hash uint32
	kind byte
	// public is the bare public key, which tells keys apart whatever they are called:
	// the bytes of an Ed25519 or ML-DSA-44 key, the SubjectPublicKeyInfo of others.
	public string
}

// parsePolicyKey parses a verifier key, whose hash must be that of its name and key:
// in a key with another hash something was mistyped, and no signature would match it.
func parsePolicyKey(vkey string) (policyKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	digits, encoded, ok := strings.Cut(rest, "+")
	if !ok {
		return policyKey{}, errors.New("a verifier key is <name>+<hash>+<key>")
	}
	if name == "" || len(name) > maxKeyName || !utf8.ValidString(name) || strings.IndexFunc(name, unicode.IsSpace) >= 0 {
		return policyKey{}, fmt.Errorf("%.80q is not the name of a key", name)
	}
	hash, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 8 {
		return policyKey{}, fmt.Errorf("%.40q is not a hash of 8 hexadecimal digits", digits)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 2 {
		return policyKey{}, errors.New("the key is not base64")
	}
	parsed := policyKey{name: name, hash: uint32(hash), kind: key[0], public: string(key[1:])}
	if want := parsed.wantHash(); want != parsed.hash {
		return policyKey{}, fmt.Errorf("the hash is %08x, and that of this name and key is %08x", hash, want)
	}
	return parsed, nil
}

// wantHash is the hash that the name and the key have (https://c2sp.org/signed-note).
func (k policyKey) wantHash() uint32 {
	message := slices.Concat([]byte(k.name), []byte{'\n', k.kind}, []byte(k.public))
	if k.kind == keyTypeECDSA {
		message = []byte(k.public)
	}
	sum := sha256.Sum256(message)
	return binary.BigEndian.Uint32(sum[:])
}

// barePublicKey is the key as policyKey.public has it.
func barePublicKey(key crypto.PublicKey) (string, error) {
	if raw, ok := key.(ed25519.PublicKey); ok {
		return string(raw), nil
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	return string(spki), err
}

// parseLogKey parses the key of a log line.
func parseLogKey(vkey string) (policyKey, error) {
	key, err := parsePolicyKey(vkey)
	if err != nil {
		return policyKey{}, err
	}
	switch key.kind {
	case keyTypeEd25519:
		if len(key.public) != ed25519.PublicKeySize {
			return policyKey{}, fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(key.public))
		}
	case keyTypeECDSA:
		if _, err := x509.ParsePKIXPublicKey([]byte(key.public)); err != nil {
			return policyKey{}, errors.New("the key is not a SubjectPublicKeyInfo")
		}
	default:
		return policyKey{}, fmt.Errorf("a key of type 0x%02x is not one that logs sign with: 0x01 (Ed25519) and 0x02 (ECDSA) are", key.kind)
	}
	return key, nil
}

// witness is one who cosigns checkpoints.
type witness struct {
	// name is what the policy calls it; the name in its signatures is the key's.
	name     string
	key      policyKey
	verifier note.Verifier
}

// parseWitness parses what a witness line says. A key for signatures that commit to no
// time (0x01) is no witness's: who signs with such a key signs whatever a log does.
func parseWitness(name, vkey string) (witness, error) {
	key, err := parsePolicyKey(vkey)
	if err != nil {
		return witness{}, err
	}
	length := ed25519.PublicKeySize
	switch key.kind {
	case keyTypeCosigEd25519:
	case keyTypeCosigMLDSA44:
		length = mldsa44PublicKeyLength
	default:
		return witness{}, fmt.Errorf("a key of type 0x%02x is not one that witnesses sign with: 0x04 (Ed25519) and 0x06 (ML-DSA-44) are", key.kind)
	}
	if len(key.public) != length {
		return witness{}, fmt.Errorf("a key of type 0x%02x has %d bytes, not %d", key.kind, length, len(key.public))
	}
	verifier, err := cosignature.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return witness{}, err
	}
	return witness{name: name, key: key, verifier: verifier}, nil
}
