// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Keyless is who may sign with a short-lived certificate instead of a key, and
// whose certificates count.
type Keyless struct {
	// Root holds the certificate authorities, the CT logs and the timestamp
	// authorities. Its transparency logs are not looked at: the authority's
	// Logs are.
	Root root.TrustedMaterial
	// Identities are alternatives.
	Identities []Identity
	// InsecureIgnoreSCT accepts certificates that are in no CT log.
	InsecureIgnoreSCT bool
}

func (k *Keyless) validate() error {
	switch {
	case k.Root == nil:
		return errors.New("keyless authority has no trust root")
	case len(k.Root.FulcioCertificateAuthorities()) == 0:
		return errors.New("the trust root has no certificate authority")
	case !k.InsecureIgnoreSCT && len(k.Root.CTLogs()) == 0:
		return errors.New("the trust root has no CT log: add one, or set insecureIgnoreSCT")
	case len(k.Identities) == 0:
		return errors.New("keyless authority has no identity")
	default:
		return nil
	}
}

// checkLeaf checks that the candidate's certificate was good when it was made out: that
// it chains to a trusted CA, for code signing, is in a CT log, and is of an identity.
// When the signature was made is not known yet: see checkChain for that time.
func (k *Keyless) checkLeaf(c *candidate) error {
	if err := checkUsage(c.leaf); err != nil {
		return err
	}
	if err := k.checkChain(c, c.leaf.NotBefore); err != nil {
		return err
	}
	var err error
	if c.holder, err = readIdentity(c.leaf); err != nil {
		return reject(CertificateInvalid, "its certificate cannot be read: %v", err)
	}
	return k.checkIdentity(c.holder)
}

// checkChain checks what can be otherwise at another time: that the candidate's
// certificate chains to a CA that is trusted then, and that a CT log promised to log it as
// of that CA. A promise that was verified is not verified again for the same issuer: it
// is about the certificate and the issuer's key, and about no other time than its own.
func (k *Keyless) checkChain(c *candidate, at time.Time) error {
	chains, err := verify.VerifyLeafCertificate(at, c.leaf, k.Root)
	if err != nil {
		return reject(CertificateInvalid, "its certificate does not chain to a trusted CA at %s, for code signing", at.UTC().Format(time.RFC3339))
	}
	if k.InsecureIgnoreSCT || slices.ContainsFunc(chains, c.isPromised) {
		return nil
	}
	chain, err := checkPromises(c.leaf, chains, k.Root.CTLogs())
	if err != nil {
		return err
	}
	c.promised = append(c.promised, chain[1])
	return nil
}

// isPromised reports whether a CT log's promise was verified for a chain of the
// candidate's certificate.
func (c *candidate) isPromised(chain []*x509.Certificate) bool {
	return len(chain) > 1 && slices.ContainsFunc(c.promised, func(issuer *x509.Certificate) bool {
		return bytes.Equal(issuer.RawSubjectPublicKeyInfo, chain[1].RawSubjectPublicKeyInfo)
	})
}

// checkUsage checks what crypto/x509 leaves open: it takes a certificate without any
// extended key usage as good for all, and a CA's as good as a signer's.
func checkUsage(leaf *x509.Certificate) error {
	switch {
	case leaf.IsCA:
		return reject(CertificateInvalid, "its certificate is that of a CA")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return reject(CertificateInvalid, "its certificate is not for code signing")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return reject(CertificateInvalid, "its certificate's key is not for digital signatures")
	default:
		return nil
	}
}

func (k *Keyless) checkIdentity(h holder) error {
	for _, identity := range k.Identities {
		if identity.matches(h) {
			return nil
		}
	}
	return reject(IdentityMismatch, "it was made by %.200q of issuer %.200q, and the authority asks for %s",
		h.subject, h.issuer, k.Identities[0].text)
}

// signers returns the keys that may have made the candidate's signature: the
// authority's own, or the key of a certificate of one of its identities.
func (a *Authority) signers(c *candidate) ([]Key, error) {
	switch {
	case a.Keyless == nil && c.certified:
		return nil, reject(KeyMismatch, "it was made with a certificate, and the authority asks for a key")
	case a.Keyless == nil:
		return a.Keys, nil
	case !c.certified:
		return nil, reject(IdentityMismatch, "it was made with a key, and the authority asks for a certificate")
	case c.leafErr != nil:
		return nil, c.leafErr
	}
	// When the signature was made is not known yet. A certificate that was never
	// good is refused before anything is asked of a log on its behalf.
	if err := a.Keyless.checkLeaf(c); err != nil {
		return nil, err
	}
	return certificateKeys(c.leaf)
}

// certificateKeys returns the key of a certificate with each hash that a client
// may have used with it. Old clients used SHA-256 with every curve.
func certificateKeys(leaf *x509.Certificate) ([]Key, error) {
	if err := checkKeyKind(leaf.PublicKey); err != nil {
		return nil, reject(CertificateInvalid, "its certificate's key cannot be used: %v", err)
	}
	details, err := signature.GetDefaultAlgorithmDetails(leaf.PublicKey)
	if err != nil {
		return nil, reject(CertificateInvalid, "its certificate's key, of type %T, has no algorithm that clients would use with it", leaf.PublicKey)
	}
	used := []crypto.Hash{details.GetHashType()}
	if _, ok := leaf.PublicKey.(*ecdsa.PublicKey); ok && used[0] != crypto.SHA256 {
		used = append(used, crypto.SHA256)
	}
	var keys []Key
	for _, hash := range used {
		key, err := certificateKey(leaf, hash)
		if err != nil {
			return nil, reject(CertificateInvalid, "its certificate's key cannot be used: %v", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// certificateKey is the key of a certificate. What Rekor stores of it is the
// certificate.
func certificateKey(leaf *x509.Certificate, hash crypto.Hash) (Key, error) {
	key, err := newKey(leaf.PublicKey, hash)
	if err != nil {
		return Key{}, err
	}
	key.certificate = leaf.Raw
	key.pem, err = cryptoutils.MarshalCertificateToPEM(leaf)
	return key, err
}

// parseLeaf parses the one certificate of a PEM text.
func parseLeaf(text string) (*x509.Certificate, error) {
	if len(text) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "certificate is longer than %d bytes", maxPayloadBytes)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, reject(CertificateInvalid, "the annotation dev.sigstore.cosign/certificate is not a PEM certificate")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, reject(CertificateInvalid, "the annotation dev.sigstore.cosign/certificate holds more than one certificate")
	}
	return parseLeafDER(block.Bytes)
}

func parseLeafDER(der []byte) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, reject(CertificateInvalid, "its certificate does not parse")
	}
	// Go does not know Fulcio's other names, and refuses to verify what is critical
	// and unknown. We do read them: subjectName refuses any that is not Fulcio's.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, cryptoutils.SANOID.Equal)
	return leaf, nil
}

// signer names who signed, for evidence: the identity, or the key.
func (a *Authority) signer(c *candidate, key Key) string {
	if c.leaf == nil {
		return key.String()
	}
	return printable(fmt.Sprintf("identity %s (issuer %s)", c.holder.subject, c.holder.issuer))
}
