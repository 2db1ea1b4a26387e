// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	maxChainBytes = 128 << 10
	// maxChain bounds the certificates of one authority, the root included.
	maxChain = 8
)

// plain returns text as it is if it looks like what is wanted, which marks says,
// and else what it is the base64 of: sigstore's TrustRoot has base64 where people
// write the text itself.
func plain(text string, marks func(string) bool) ([]byte, error) {
	if marks(text) {
		return []byte(text), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || !marks(string(decoded)) {
		return nil, errors.New("neither the text itself nor base64 of it")
	}
	return decoded, nil
}

func isPEM(text string) bool  { return strings.Contains(text, "-----BEGIN ") }
func isJSON(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "{") }

// parseChain parses the certificates of an authority, the root last, and holds
// each against the one that follows: a chain in the wrong order verifies nothing,
// and is best refused when it is written. The first certificate of a chain with a
// leaf need not be an authority's.
func parseChain(text string, withLeaf bool) ([]*x509.Certificate, error) {
	if len(text) > maxChainBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxChainBytes)
	}
	chain, err := parseCertificates(text, maxChain)
	if err != nil {
		return nil, err
	}
	return chain, checkChain(chain, withLeaf)
}

// parseCertificates parses at most limit certificates, in PEM or base64 of it.
func parseCertificates(text string, limit int) ([]*x509.Certificate, error) {
	rest, err := plain(text, isPEM)
	if err != nil {
		return nil, fmt.Errorf("not PEM: %w", err)
	}
	var certificates []*x509.Certificate
	for len(bytes.TrimSpace(rest)) > 0 {
		block, more := pem.Decode(rest)
		switch {
		case block == nil:
			return nil, errors.New("something in it is not PEM")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("a PEM block is %.40q, not \"CERTIFICATE\"", block.Type)
		case len(certificates) == limit:
			return nil, fmt.Errorf("more than %d certificates", limit)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d does not parse", len(certificates)+1)
		}
		certificates, rest = append(certificates, certificate), more
	}
	return certificates, nil
}

func checkChain(chain []*x509.Certificate, withLeaf bool) error {
	for i, certificate := range chain {
		if err := checkCertificateKey(certificate); err != nil {
			return fmt.Errorf("certificate %d (%s): %w", i+1, certificate.Subject, err)
		}
		isLeaf := withLeaf && i == 0 && len(chain) > 1
		if !certificate.IsCA && !isLeaf {
			return fmt.Errorf("certificate %d (%s) is not that of a certificate authority", i+1, certificate.Subject)
		}
		if i+1 < len(chain) && certificate.CheckSignatureFrom(chain[i+1]) != nil {
			return fmt.Errorf("certificate %d (%s) is not signed by the next one (%s): the root comes last",
				i+1, certificate.Subject, chain[i+1].Subject)
		}
	}
	return nil
}

func checkCertificateKey(certificate *x509.Certificate) error {
	switch key := certificate.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("%w: RSA of %d bits, not %d to %d", ErrKeyInvalid, bits, minRSABits, maxRSABits)
		}
		return nil
	default:
		return fmt.Errorf("%w: a key of type %T is not supported", ErrKeyInvalid, key)
	}
}

// KeyOfCertificate returns text with the public key in place of a certificate, if
// it is one PEM block that holds a certificate, and else text as it is.
func KeyOfCertificate(text []byte) []byte {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return text
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return text
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: certificate.RawSubjectPublicKeyInfo})
}
