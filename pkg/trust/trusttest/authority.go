// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trusttest mints what trust roots hold, in process: certificate chains,
// log keys, trusted_root.json, and TUF repositories.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Authority is a chain of certificates, the root last.
type Authority struct {
	Chain []*x509.Certificate
}

// NewCA returns an authority that issues certificates, whose intermediate ends at
// the given time and whose root a year later.
func NewCA(name string, end time.Time) Authority {
	rootKey, key := newKey(), newKey()
	self := issue(template(name, end.AddDate(1, 0, 0), true), nil, rootKey.Public(), rootKey)
	return Authority{Chain: []*x509.Certificate{issue(template(name+" intermediate", end, true), self, key.Public(), rootKey), self}}
}

// NewTSA returns an authority that signs timestamps, whose leaf ends at the given
// time and whose root a year later.
func NewTSA(name string, end time.Time) Authority {
	rootKey, key := newKey(), newKey()
	self := issue(template(name, end.AddDate(1, 0, 0), true), nil, rootKey.Public(), rootKey)
	leaf := template(name+" leaf", end, false)
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
	return Authority{Chain: []*x509.Certificate{issue(leaf, self, key.Public(), rootKey), self}}
}

// PEM returns the certificates, as they are or in another order.
func (a Authority) PEM(order ...int) string {
	if len(order) == 0 {
		order = []int{0, 1}
	}
	var text []byte
	for _, i := range order {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Chain[i].Raw})...)
	}
	return string(text)
}

// NewLogKey returns the PEM text of a new log's public key.
func NewLogKey() string { return PublicPEM(newKey().Public()) }

// PublicPEM returns the PEM text of a public key.
func PublicPEM(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TrustedRoot returns a trusted_root.json with one authority and log of each kind.
// The certificates end at the given time.
func TrustedRoot(name string, end time.Time) []byte {
	ca, tsa := NewCA(name+" CA", end), NewTSA(name+" TSA", end)
	start := time.Now().Add(-time.Hour)
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: ca.Chain[1], Intermediates: ca.Chain[:1], URI: "https://fulcio." + name, ValidityPeriodStart: start,
		}},
		logs("https://ctfe."+name, start),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: tsa.Chain[1], Leaf: tsa.Chain[0], URI: "https://tsa." + name, ValidityPeriodStart: start,
		}},
		logs("https://rekor."+name, start))
	must(err)
	text, err := trusted.MarshalJSON()
	must(err)
	return text
}

func logs(baseURL string, start time.Time) map[string]*root.TransparencyLog {
	key := newKey().Public()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(err)
	id := sha256.Sum256(der)
	return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		BaseURL: baseURL, ID: id[:], HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: start,
	}}
}

func template(name string, end time.Time, isCA bool) *x509.Certificate {
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(err)
	c := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: name, Organization: []string{"trusttest"}},
		NotBefore: end.AddDate(-10, 0, 0), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: isCA,
	}
	if isCA {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	return c
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	must(err)
	certificate, err := x509.ParseCertificate(der)
	must(err)
	return certificate
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

// must ends the test: nothing that is minted here can fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
