// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// Claim is what an entry must say: that this signature, by this key or
// certificate, over these bytes was logged. It is made from the signature that
// was verified, never from the entry.
//
// Rekor v1 stores an entry as RFC 8785 JSON, so for a known signature the body
// is known byte for byte. A body is therefore compared and not parsed: hostile
// JSON reaches no parser, and nothing in it can be about something else.
type Claim struct {
	prefix, suffix string
	// holes counts the bytes between prefix and suffix that the signature does
	// not determine: the 64 hex digits of a DSSE entry's envelope hash.
	hole int
	// stamped are the times at which somebody else than the log saw the signature.
	stamped []time.Time
}

// StampedAt returns the claim with the times at which timestamp authorities saw its
// signature, as was verified: a log whose key has a validity is asked to have been
// valid at one of them.
func (c Claim) StampedAt(times []time.Time) Claim {
	c.stamped = times
	return c
}

// hashNames are Rekor's names of the hash algorithms of a hashedrekord 0.0.1.
var hashNames = map[crypto.Hash]string{
	crypto.SHA256: "sha256",
	crypto.SHA384: "sha384",
	crypto.SHA512: "sha512",
}

// HashedRekord is the claim that a signature over an artifact with the given
// digest was logged as a hashedrekord 0.0.1. verifierPEM is the canonical PEM of
// the public key (SubjectPublicKeyInfo) or of the leaf certificate.
func HashedRekord(hash crypto.Hash, digest, signature, verifierPEM []byte) (Claim, error) {
	name, ok := hashNames[hash]
	if !ok {
		return Claim{}, fmt.Errorf("hash %v is not one that a hashedrekord entry can name", hash)
	}
	if len(digest) != hash.Size() {
		return Claim{}, fmt.Errorf("a %s digest has %d bytes, not %d", name, hash.Size(), len(digest))
	}
	return Claim{prefix: `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"` + name +
		`","value":"` + hex.EncodeToString(digest) +
		`"}},"signature":{"content":"` + base64.StdEncoding.EncodeToString(signature) +
		`","publicKey":{"content":"` + base64.StdEncoding.EncodeToString(verifierPEM) + `"}}}}`}, nil
}

// DSSE is the claim that an envelope with the given payload (decoded) and one
// signature was logged as a dsse 0.0.1. The entry also holds the hash of the
// envelope's JSON, which depends on how its client spelled it: any 64 hex digits
// are accepted there, since payload, signature and key are fixed by the rest.
func DSSE(payload, signature, verifierPEM []byte) Claim {
	payloadHash := sha256.Sum256(payload)
	return Claim{
		prefix: `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"`,
		hole:   2 * sha256.Size,
		suffix: `"},"payloadHash":{"algorithm":"sha256","value":"` + hex.EncodeToString(payloadHash[:]) +
			`"},"signatures":[{"signature":"` + base64.StdEncoding.EncodeToString(signature) +
			`","verifier":"` + base64.StdEncoding.EncodeToString(verifierPEM) + `"}]}}`,
	}
}

// body returns the whole body, if the claim determines it.
func (c Claim) body() ([]byte, bool) {
	if c.prefix == "" || c.hole > 0 {
		return nil, false
	}
	return []byte(c.prefix), true
}

// check returns nil if body is what the claim says, and an error that wraps
// ErrEntryMismatch otherwise.
func (c Claim) check(body []byte) error {
	rest, ok := bytes.CutPrefix(body, []byte(c.prefix))
	if ok && c.prefix != "" && len(rest) == c.hole+len(c.suffix) &&
		isLowerHex(rest[:c.hole]) && string(rest[c.hole:]) == c.suffix {
		return nil
	}
	return fmt.Errorf("%w: its body is not the one that this signature, key and artifact have", ErrEntryMismatch)
}

func isLowerHex(digits []byte) bool {
	for _, d := range digits {
		if (d < '0' || d > '9') && (d < 'a' || d > 'f') {
			return false
		}
	}
	return true
}

// leafHash is the Merkle leaf hash of an entry's body, RFC 6962 section 2.1.
func leafHash(body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{0x00}, body...))
}
