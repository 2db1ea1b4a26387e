// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashNames are Rekor v1's names of the hash algorithms of a hashedrekord.
var hashNames = map[crypto.Hash]string{
	crypto.SHA256: "sha256",
	crypto.SHA384: "sha384",
	crypto.SHA512: "sha512",
}

// HashedRekord is the claim that a signature over an artifact with the given
// digest was logged as a hashedrekord 0.0.1. verifierPEM is the canonical PEM of
// the public key (SubjectPublicKeyInfo) or of the leaf certificate. What was signed
// can be an envelope: its artifact is the pre-authentication encoding (PAE).
func HashedRekord(hash crypto.Hash, digest, signature, verifierPEM []byte) (Claim, error) {
	name, ok := hashNames[hash]
	if !ok {
		return Claim{}, fmt.Errorf("hash %v is not one that a hashedrekord entry can name", hash)
	}
	if len(digest) != hash.Size() {
		return Claim{}, fmt.Errorf("a %s digest has %d bytes, not %d", name, hash.Size(), len(digest))
	}
	return Claim{forms: []form{{prefix: `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"` + name +
		`","value":"` + hex.EncodeToString(digest) +
		`"}},"signature":{"content":"` + encoded(signature) +
		`","publicKey":{"content":"` + encoded(verifierPEM) + `"}}}}`}}}, nil
}

// DSSE is the claim that an envelope with the given payload (decoded) and one
// signature was logged as a dsse 0.0.1. The entry also holds the hash of the
// envelope's JSON, which depends on how its client spelled it: any 64 hex digits
// are accepted there, since payload, signature and key are fixed by the rest.
func DSSE(payload, signature, verifierPEM []byte) Claim {
	payloadHash := sha256.Sum256(payload)
	return Claim{forms: []form{{
		prefix: `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"`,
		hole:   2 * sha256.Size,
		suffix: `"},"payloadHash":{"algorithm":"sha256","value":"` + hex.EncodeToString(payloadHash[:]) +
			`"},"signatures":[{"signature":"` + encoded(signature) +
			`","verifier":"` + encoded(verifierPEM) + `"}]}}`,
	}}}
}

// maxKeyID bounds the key ID of an envelope's signature.
const maxKeyID = 512

// InToto is the claim that an envelope of the given payload type was logged as an
// intoto 0.0.2, the kind that npm and GitHub used before dsse. keyID is that of the
// envelope's signature, or empty.
//
// Rekor stores three things there as their client spelled them: the signature as the
// text that it is in the envelope, the key ID, which may be left out, and the PEM,
// which sigstore-js writes without its last newline. So there is one form for each
// spelling, and as in DSSE any hash of the envelope's JSON.
func InToto(payloadType string, payload, signature []byte, keyID string, verifierPEM []byte) Claim {
	payloadHash := sha256.Sum256(payload)
	keyIDs := []string{""}
	if keyID != "" && len(keyID) <= maxKeyID && isPlain(keyID) {
		keyIDs = append(keyIDs, `"keyid":"`+keyID+`",`)
	}
	var claim Claim
	if !isPlain(payloadType) {
		return claim
	}
	for _, id := range keyIDs {
		for _, verifier := range []string{string(verifierPEM), strings.TrimSuffix(string(verifierPEM), "\n")} {
			claim.forms = append(claim.forms, form{
				prefix: `{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payloadType":"` + payloadType +
					`","signatures":[{` + id + `"publicKey":"` + encoded([]byte(verifier)) +
					`","sig":"` + encoded([]byte(encoded(signature))) +
					`"}]},"hash":{"algorithm":"sha256","value":"`,
				hole:   2 * sha256.Size,
				suffix: `"},"payloadHash":{"algorithm":"sha256","value":"` + hex.EncodeToString(payloadHash[:]) + `"}}}}`,
			})
		}
	}
	return claim
}

// isPlain reports whether text stands in RFC 8785 JSON as it is: printable ASCII
// without quotation marks and backslashes.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

func encoded(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
