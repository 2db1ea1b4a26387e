// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// SigningTime is when all that this package logs was integrated. Leaf
// certificates are valid from a minute before it until nine minutes after it, as
// Fulcio's are.
func SigningTime() time.Time { return time.Unix(tlogtest.IntegratedTime, 0).UTC() }

// Pair is a certificate and its private key.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Change changes a certificate before it is signed.
type Change func(*x509.Certificate)

// NewRoot returns a self-signed CA that is valid for decades.
func NewRoot(name string, changes ...Change) Pair {
	key := newKey()
	template := caTemplate(name)
	apply(template, changes)
	return Pair{Certificate: create(template, template, key.Public(), key), Key: key}
}

// Intermediate returns a CA below this one that is valid for decades, and only for
// one extended key usage.
func (p Pair) Intermediate(name string, usage x509.ExtKeyUsage, changes ...Change) Pair {
	key := newKey()
	template := caTemplate(name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	apply(template, changes)
	return Pair{Certificate: create(template, p.Certificate, key.Public(), p.Key), Key: key}
}

// Sign returns a certificate for a key as the template says, in DER.
func (p Pair) Sign(template *x509.Certificate, public crypto.PublicKey) []byte {
	return create(template, p.Certificate, public, p.Key).Raw
}

// Fulcio is a CA for short-lived certificates in memory, which embeds the promises
// of its CT logs as RFC 6962 section 3.3 asks for.
type Fulcio struct {
	Root, Intermediate Pair
	CT                 []*CTLog
}

// NewFulcio returns a CA with a root, an intermediate and one CT log.
func NewFulcio() *Fulcio {
	top := NewRoot("fulcio.example.test")
	return &Fulcio{
		Root:         top,
		Intermediate: top.Intermediate("fulcio-intermediate.example.test", x509.ExtKeyUsageCodeSigning),
		CT:           []*CTLog{NewCTLog()},
	}
}

// Authority is the CA as a trust root holds it, without bounds of its own.
func (f *Fulcio) Authority() *root.FulcioCertificateAuthority {
	return &root.FulcioCertificateAuthority{
		Root: f.Root.Certificate, Intermediates: []*x509.Certificate{f.Intermediate.Certificate}, URI: "https://fulcio.example.test",
	}
}

// Issue returns a leaf certificate for a key, in DER, with the promise of each of
// the CA's CT logs. It says what Leaf says, as far as changes do not change it.
func (f *Fulcio) Issue(public crypto.PublicKey, changes ...Change) []byte {
	template := Leaf()
	apply(template, changes)
	if len(f.CT) > 0 {
		promises := make([][]byte, len(f.CT))
		for i, log := range f.CT {
			promises[i] = log.Promise(f.Intermediate, template, public)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, PromiseList(promises...))
	}
	return f.Intermediate.Sign(template, public)
}

// Identity of the leaf certificates that Leaf describes.
const (
	Issuer  = "https://token.actions.githubusercontent.com"
	Subject = "https://github.com/org/repo/.github/workflows/release.yml@refs/heads/main"
)

// Leaf is the template of a certificate for Subject and Issuer, good at
// SigningTime.
func Leaf() *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    SigningTime().Add(-time.Minute),
		NotAfter:     SigningTime().Add(9 * time.Minute),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	apply(template, []Change{URI(Subject), IssuedBy(Issuer)})
	return template
}

// URI makes the subject alternative name a URI and nothing else.
func URI(text string) Change {
	return func(c *x509.Certificate) {
		parsed, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs, c.EmailAddresses = []*url.URL{parsed}, nil
	}
}

// Email makes the subject alternative name an e-mail address and nothing else.
func Email(address string) Change {
	return func(c *x509.Certificate) { c.URIs, c.EmailAddresses = nil, []string{address} }
}

// General name tags, RFC 5280 section 4.2.1.6.
const (
	OtherNameTag = 0
	EmailTag     = 1
	DNSTag       = 2
	URITag       = 6
)

// Name is one general name, as its bytes stand in a certificate.
type Name struct {
	Tag   int
	Value []byte
}

// OtherName is Fulcio's general name for what is neither an e-mail address nor a
// URI: a UTF-8 string under 1.3.6.1.4.1.57264.1.7.
func OtherName(text string) Name {
	value := der(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: []byte(text)})
	explicit := der(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: value})
	return Name{Tag: OtherNameTag, Value: append(der(oid(7)), explicit...)}
}

// Names makes the subject alternative names these, byte for byte. The extension
// is critical, as it must be in a certificate without a subject.
func Names(names ...Name) Change {
	return func(c *x509.Certificate) {
		var all []byte
		for _, name := range names {
			all = append(all, der(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: name.Tag, IsCompound: name.Tag == OtherNameTag, Bytes: name.Value})...)
		}
		c.URIs, c.EmailAddresses = nil, nil
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true,
			Value: der(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: all}),
		})
	}
}

// IssuedBy sets the OIDC issuer as Fulcio writes it today, in both extensions.
func IssuedBy(issuer string) Change {
	return func(c *x509.Certificate) {
		IssuedByNobody(c)
		Extension(1, issuer)(c)
		Extension(8, issuer)(c)
	}
}

// IssuedByNobody drops all extensions of Fulcio's that were added before.
func IssuedByNobody(c *x509.Certificate) { c.ExtraExtensions = nil }

// Extension adds an extension of Fulcio's arc 1.3.6.1.4.1.57264.1 by its last
// number: up to 6 the bare string, from 8 on a UTF8String in DER, see
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md.
func Extension(number int, value string) Change {
	raw := []byte(value)
	if number > 7 {
		raw = der(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: raw})
	}
	return RawExtension(number, raw)
}

// RawExtension adds an extension of Fulcio's arc with any bytes.
func RawExtension(number int, value []byte) Change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid(number), Value: value})
	}
}

// Valid sets how long a certificate is valid, counted from SigningTime.
func Valid(from, to time.Duration) Change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = SigningTime().Add(from), SigningTime().Add(to) }
}

func oid(number int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name, Organization: []string{"example.test"}},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

func apply(template *x509.Certificate, changes []Change) {
	for _, change := range changes {
		change(template)
	}
}

func create(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		// What Go does not parse is a test's to mint, too.
		return &x509.Certificate{Raw: raw}
	}
	return certificate
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return n
}

func der(value any) []byte {
	raw, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}

// SelfSigned is what a signer says of itself, without any CA.
func SelfSigned(s *Signer, changes ...Change) *x509.Certificate {
	template := Leaf()
	apply(template, changes)
	return create(template, template, s.public, s.key)
}
