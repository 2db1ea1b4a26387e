// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// CTLog is a certificate transparency log in memory: a key that signs promises.
type CTLog struct {
	// Time is when the log says that it saw what it promises.
	Time time.Time
	// Extensions are the extensions of its promises.
	Extensions []byte
	// Sign signs the input of a promise, and says how it did.
	Sign func(message []byte) ct.DigitallySigned
	key  crypto.Signer
}

// NewCTLog returns a log with a new P-256 key that sees everything at SigningTime.
func NewCTLog() *CTLog { return NewCTLogWithKey(newKey()) }

// NewCTLogWithKey returns a log that signs as logs do: over SHA-256 with an ECDSA
// key of any curve or an RSA key, and as RFC 8422 has it with an Ed25519 key.
func NewCTLogWithKey(key crypto.Signer) *CTLog {
	algorithm := tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.SignatureAlgorithmFromPubKey(key.Public())}
	if _, ok := key.(ed25519.PrivateKey); ok {
		return NewCTLogWithHash(key, 0, tls.SignatureAndHashAlgorithm{Hash: 8, Signature: 7})
	}
	return NewCTLogWithHash(key, crypto.SHA256, algorithm)
}

// NewCTLogWithHash returns a log that signs over a hash, or over the message
// itself where that is 0, and says that it did so by an algorithm.
func NewCTLogWithHash(key crypto.Signer, hash crypto.Hash, algorithm tls.SignatureAndHashAlgorithm) *CTLog {
	return &CTLog{Time: SigningTime(), key: key, Sign: func(message []byte) ct.DigitallySigned {
		if hash != 0 {
			digest := hash.New()
			digest.Write(message)
			message = digest.Sum(nil)
		}
		made, err := key.Sign(rand.Reader, message, hash)
		if err != nil {
			panic(err)
		}
		return ct.DigitallySigned{Algorithm: algorithm, Signature: made}
	}}
}

// ID is the SHA-256 of the log's public key.
func (l *CTLog) ID() [sha256.Size]byte {
	spki, err := x509.MarshalPKIXPublicKey(l.key.Public())
	if err != nil {
		panic(err)
	}
	return sha256.Sum256(spki)
}

// Trusted is the log as a trust root holds it, by its ID, without bounds.
func (l *CTLog) Trusted() (string, *root.TransparencyLog) {
	id := l.ID()
	return hex.EncodeToString(id[:]), &root.TransparencyLog{
		BaseURL: "https://ct.example.test", ID: id[:], HashFunc: crypto.SHA256, PublicKey: l.key.Public(), SignatureHashFunc: crypto.SHA256,
	}
}

// Extensions of RFC 6962 sections 3.1 and 3.3.
var (
	poison      = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}
	promiseList = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// Promise returns the log's signed certificate timestamp for the certificate that
// the issuer is about to make from a template: the issuer makes a precertificate,
// which has the poison extension, and the log signs it.
func (l *CTLog) Promise(issuer Pair, template *x509.Certificate, public crypto.PublicKey) []byte {
	poisoned := *template
	poisoned.ExtraExtensions = append(slices.Clone(template.ExtraExtensions), poison)
	chain := make([]*ctx509.Certificate, 2)
	for i, raw := range [][]byte{issuer.Sign(&poisoned, public), issuer.Certificate.Raw} {
		var err error
		if chain[i], err = ctx509.ParseCertificate(raw); ctx509.IsFatal(err) {
			panic(err)
		}
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.ID()}, Timestamp: uint64(l.Time.UnixMilli()), Extensions: l.Extensions}
	leaf, err := ct.MerkleTreeLeafFromChain(chain, ct.PrecertLogEntryType, sct.Timestamp)
	if err != nil {
		panic(err)
	}
	signed, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		panic(err)
	}
	sct.Signature = l.Sign(signed)
	raw, err := tls.Marshal(sct)
	if err != nil {
		panic(err)
	}
	return raw
}

// PromiseList is the extension that embeds promises in a certificate.
func PromiseList(promises ...[]byte) pkix.Extension {
	var list ctx509.SignedCertificateTimestampList
	for _, promise := range promises {
		list.SCTList = append(list.SCTList, ctx509.SerializedSCT{Val: promise})
	}
	raw, err := tls.Marshal(list)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: promiseList, Value: der(raw)}
}
