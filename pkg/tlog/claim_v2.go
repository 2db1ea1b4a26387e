// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Verifier is what an entry of Rekor v2 says that a signature verifies with.
type Verifier struct {
	// DER is a SubjectPublicKeyInfo or, if Certificate is set, a certificate.
	DER         []byte
	Certificate bool
	// Details is the name of key and algorithm in sigstore's protobuf-specs
	// (PublicKeyDetails of sigstore_common.proto), such as PKIX_ECDSA_P256_SHA_256.
	Details string
}

// json is the verifier in an entry's body.
func (v Verifier) json() string {
	field := "publicKey"
	if v.Certificate {
		field = "x509Certificate"
	}
	// Names are sorted, and keyDetails comes before both.
	return `{"keyDetails":"` + v.Details + `","` + field + `":{"rawBytes":"` + encoded(v.DER) + `"}}`
}

// hashNamesV2 are Rekor v2's names of hash algorithms: HashAlgorithm of protobuf-specs.
var hashNamesV2 = map[crypto.Hash]string{
	crypto.SHA256: "SHA2_256",
	crypto.SHA384: "SHA2_384",
	crypto.SHA512: "SHA2_512",
}

// HashedRekordV2 is the claim that a signature over an artifact with the given digest
// was logged as a hashedrekord 0.0.2. Of an envelope the artifact is the
// pre-authentication encoding (PAE).
func HashedRekordV2(hash crypto.Hash, digest, signature []byte, by Verifier) (Claim, error) {
	name, ok := hashNamesV2[hash]
	if !ok || len(digest) != hash.Size() {
		return Claim{}, fmt.Errorf("a digest of %d bytes is not one of %v that a hashedrekord entry can name", len(digest), hash)
	}
	if by.Details == "" {
		return Claim{}, fmt.Errorf("there is no name in Rekor v2 for this key with %v", hash)
	}
	return Claim{forms: []form{{prefix: `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"` + name +
		`","digest":"` + encoded(digest) +
		`"},"signature":{"content":"` + encoded(signature) +
		`","verifier":` + by.json() + `}}}}`}}}, nil
}

// DSSEV2 is the claim that an envelope with the given payload (decoded) and one
// signature was logged as a dsse 0.0.2, which servers up to rekor-tiles v2.2.1 made.
func DSSEV2(payload, signature []byte, by Verifier) (Claim, error) {
	if by.Details == "" {
		return Claim{}, errors.New("there is no name in Rekor v2 for this key")
	}
	payloadHash := sha256.Sum256(payload)
	return Claim{forms: []form{{prefix: `{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":{"algorithm":"SHA2_256","digest":"` + encoded(payloadHash[:]) +
		`"},"signatures":[{"content":"` + encoded(signature) +
		`","verifier":` + by.json() + `}]}}}`}}}, nil
}
