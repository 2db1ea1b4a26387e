// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// TSA is a timestamp authority (RFC 3161) in memory.
type TSA struct {
	Root, Intermediate, Leaf Pair
}

// NewTSA returns an authority with a root, an intermediate and a certificate that
// is for timestamps alone, changed as a test wants. Its certificates are valid for
// decades: the library that makes timestamps writes the time of this machine
// beside the one that it is told.
func NewTSA(changes ...Change) *TSA {
	top := NewRoot("tsa.example.test")
	return NewTSABelow(top, top.Intermediate("tsa-intermediate.example.test", x509.ExtKeyUsageTimeStamping), changes...)
}

// NewTSABelow returns an authority below a CA.
func NewTSABelow(top, intermediate Pair, changes ...Change) *TSA {
	key := newKey()
	template := caTemplate("tsa-leaf.example.test")
	template.IsCA, template.BasicConstraintsValid = false, false
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// RFC 3161 section 2.3: one extended key usage, and it must be critical.
	template.ExtraExtensions = []pkix.Extension{Usage(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8})}
	apply(template, changes)
	leaf := create(template, intermediate.Certificate, key.Public(), intermediate.Key)
	return &TSA{Root: top, Intermediate: intermediate, Leaf: Pair{Certificate: leaf, Key: key}}
}

// Usage is the extension for extended key usages.
func Usage(critical bool, usages ...asn1.ObjectIdentifier) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: der(usages)}
}

// Authority is the authority as a trust root holds it, without bounds of its own.
func (a *TSA) Authority() *root.SigstoreTimestampingAuthority {
	return &root.SigstoreTimestampingAuthority{
		Root: a.Root.Certificate, Intermediates: []*x509.Certificate{a.Intermediate.Certificate}, Leaf: a.Leaf.Certificate, URI: "https://tsa.example.test",
	}
}

// Stamp says in DER that the authority saw a signature at a time.
func (a *TSA) Stamp(signature []byte, at time.Time) []byte {
	return a.StampWith(crypto.SHA256, signature, at)
}

// StampWith is Stamp with another hash of the signature.
func (a *TSA) StampWith(hash crypto.Hash, signature []byte, at time.Time) []byte {
	return a.stamp(hash, signature, at, true)
}

// StampBare is Stamp without the authority's certificate: who verifies must know it.
func (a *TSA) StampBare(signature []byte, at time.Time) []byte {
	return a.stamp(crypto.SHA256, signature, at, false)
}

func (a *TSA) stamp(hash crypto.Hash, signature []byte, at time.Time, certified bool) []byte {
	h := hash.New()
	h.Write(signature)
	stamp := timestamp.Timestamp{
		HashAlgorithm: hash, HashedMessage: h.Sum(nil), Time: at, Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: certified,
	}
	raw, err := stamp.CreateResponseWithOpts(a.Leaf.Certificate, a.Leaf.Key, crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return raw
}

// StampAnnotation is what cosign writes as dev.sigstore.cosign/rfc3161timestamp.
func StampAnnotation(stamp []byte) string {
	return marshal(map[string]any{"SignedRFC3161Timestamp": stamp})
}

// TrustRoot returns what it is given as sigstore-go's trusted material.
func TrustRoot(authorities []root.CertificateAuthority, ctLogs []*CTLog, stampers []root.TimestampingAuthority) root.TrustedMaterial {
	trusted := make(map[string]*root.TransparencyLog, len(ctLogs))
	for _, log := range ctLogs {
		id, instance := log.Trusted()
		trusted[id] = instance
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, trusted, stampers, nil)
	if err != nil {
		panic(err)
	}
	return material
}
