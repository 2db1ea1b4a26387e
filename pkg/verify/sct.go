// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Codes of an Ed25519 signature in a DigitallySigned (RFC 8422 section 5.1.3).
const (
	tlsIntrinsic tls.HashAlgorithm      = 8
	tlsEd25519   tls.SignatureAlgorithm = 7
)

// promiseListOID is that of the extension that holds promises (RFC 6962 section 3.3).
func promiseListOID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
}

// checkPromises returns one of the chains, as of which a trusted CT log has promised to
// log the certificate that all of them begin with: by a signed certificate timestamp
// (RFC 6962 section 3.2) that is embedded in it, of a log that was in service at its time.
//
// The library refuses the keys that RFC 6962 does not have, P-384 and Ed25519 among
// them, and accepts signatures over MD5 and SHA-1. So what is signed is the
// library's, and the signature is verified here.
func checkPromises(leaf *x509.Certificate, chains [][]*x509.Certificate, logs map[string]*root.TransparencyLog) ([]*x509.Certificate, error) {
	promises, err := readPromises(leaf)
	if err != nil {
		return nil, reject(SCTInvalid, "its certificate's promises of CT logs cannot be read: %v", err)
	}
	known := false
	for _, promise := range promises {
		log, ok := logs[hex.EncodeToString(promise.LogID.KeyID[:])]
		if !ok || !inService(log, promise) {
			continue
		}
		known = true
		for _, chain := range chains {
			if verifyPromise(promise, chain, log.PublicKey) == nil {
				return chain, nil
			}
		}
	}
	if known {
		return nil, reject(SCTInvalid, "the promise of a trusted CT log in its certificate does not verify")
	}
	return nil, reject(SCTInvalid, "no trusted CT log has signed for its certificate: it has %d promises, and none by a trusted log in its time", len(promises))
}

// inService reports whether a log's key was valid when it promised.
func inService(log *root.TransparencyLog, promise *ct.SignedCertificateTimestamp) bool {
	at := ct.TimestampToTime(promise.Timestamp)
	return (log.ValidityPeriodStart.IsZero() || !at.Before(log.ValidityPeriodStart)) &&
		(log.ValidityPeriodEnd.IsZero() || !at.After(log.ValidityPeriodEnd))
}

// readPromises returns the promises of version 1 in a certificate. Of others nobody
// knows how to read them, and they are opaque so that one can step over them.
func readPromises(leaf *x509.Certificate) ([]*ct.SignedCertificateTimestamp, error) {
	var embedded []byte
	for _, extension := range leaf.Extensions { // crypto/x509 refuses one that is there twice
		if extension.Id.Equal(promiseListOID()) {
			embedded = extension.Value
		}
	}
	if embedded == nil {
		return nil, nil
	}
	var octets []byte
	if rest, err := asn1.Unmarshal(embedded, &octets); err != nil || len(rest) > 0 {
		return nil, errors.New("the extension is not one octet string")
	}
	var list ctx509.SignedCertificateTimestampList
	if rest, err := tls.Unmarshal(octets, &list); err != nil || len(rest) > 0 {
		return nil, errors.New("the extension is not one list")
	}
	var promises []*ct.SignedCertificateTimestamp
	for i, serialized := range list.SCTList {
		if !bytes.HasPrefix(serialized.Val, []byte{byte(ct.V1)}) {
			continue
		}
		promise := &ct.SignedCertificateTimestamp{}
		if rest, err := tls.Unmarshal(serialized.Val, promise); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("number %d of the list is malformed", i)
		}
		promises = append(promises, promise)
	}
	return promises, nil
}

// verifyPromise verifies one promise about the certificate at the start of a chain
// under a log's key. What is signed is the certificate without its promises, and the
// key of its issuer.
func verifyPromise(promise *ct.SignedCertificateTimestamp, chain []*x509.Certificate, key crypto.PublicKey) error {
	if len(chain) < 2 {
		return errors.New("a certificate without an issuer")
	}
	entry, err := ct.MerkleTreeLeafForEmbeddedSCT([]*ctx509.Certificate{
		{RawTBSCertificate: chain[0].RawTBSCertificate}, {RawSubjectPublicKeyInfo: chain[1].RawSubjectPublicKeyInfo},
	}, promise.Timestamp)
	if err != nil {
		return err
	}
	signed, err := ct.SerializeSCTSignatureInput(*promise, ct.LogEntry{Leaf: *entry})
	if err != nil {
		return err
	}
	hash, err := promiseHash(key, promise.Signature.Algorithm)
	if err != nil {
		return err
	}
	verifier, err := signature.LoadVerifier(key, hash)
	if err != nil {
		return err
	}
	return verifier.VerifySignature(bytes.NewReader(promise.Signature.Signature), bytes.NewReader(signed))
}

// promiseHash returns the hash that a promise says it is over, if that and the
// algorithm it says it is made by fit the log's key. RFC 6962 section 2.1.4 has
// SHA-256 alone, which is also what logs use with keys of larger curves; a larger
// hash does no harm. An Ed25519 signature is over the message itself.
func promiseHash(key crypto.PublicKey, algorithm tls.SignatureAndHashAlgorithm) (crypto.Hash, error) {
	if err := checkKeyKind(key); err != nil {
		return 0, err
	}
	var made tls.SignatureAlgorithm
	switch key.(type) {
	case ed25519.PublicKey:
		if algorithm.Signature != tlsEd25519 || algorithm.Hash != tlsIntrinsic {
			return 0, errors.New("it is not made by Ed25519")
		}
		return crypto.SHA512, nil // part of the algorithm
	case *ecdsa.PublicKey:
		made = tls.ECDSA
	case *rsa.PublicKey:
		made = tls.RSA
	}
	hash, ok := map[tls.HashAlgorithm]crypto.Hash{tls.SHA256: crypto.SHA256, tls.SHA384: crypto.SHA384, tls.SHA512: crypto.SHA512}[algorithm.Hash]
	if algorithm.Signature != made || !ok {
		return 0, fmt.Errorf("it is made by %v over %v", algorithm.Signature, algorithm.Hash)
	}
	return hash, nil
}
