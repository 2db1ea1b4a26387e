// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// ParseSigstoreKeys turns certificates and keys that are listed one by one into
// the form that a trusted_root.json has. Its error names the field.
func ParseSigstoreKeys(keys *v1alpha1.SigstoreKeys) (*root.TrustedRoot, error) {
	var authorities []root.CertificateAuthority
	for i := range keys.CertificateAuthorities {
		authority, err := ParseCertificateAuthority(&keys.CertificateAuthorities[i])
		if err != nil {
			return nil, fmt.Errorf("certificateAuthorities[%d]: %w", i, err)
		}
		authorities = append(authorities, authority)
	}
	var tsas []root.TimestampingAuthority
	for i := range keys.TimestampAuthorities {
		tsa, err := ParseTimestampAuthority(&keys.TimestampAuthorities[i])
		if err != nil {
			return nil, fmt.Errorf("timestampAuthorities[%d]: %w", i, err)
		}
		tsas = append(tsas, tsa)
	}
	ctLogs, err := parseInstances("ctLogs", keys.CTLogs)
	if err != nil {
		return nil, err
	}
	tLogs, err := parseInstances("tLogs", keys.TLogs)
	if err != nil {
		return nil, err
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, ctLogs, tsas, tLogs)
	if err != nil {
		return nil, err
	}
	return trusted, checkTrustedRoot(trusted)
}

// parseInstances returns logs by the hexadecimal form of their ID. Two with one
// key would be one log with two validities, of which nobody can tell which counts.
func parseInstances(field string, instances []v1alpha1.TransparencyLogInstance) (map[string]*root.TransparencyLog, error) {
	logs := map[string]*root.TransparencyLog{}
	for i := range instances {
		log, err := ParseLogInstance(&instances[i])
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		id := hex.EncodeToString(log.ID)
		if _, twice := logs[id]; twice {
			return nil, fmt.Errorf("%s[%d]: its key is that of an earlier one", field, i)
		}
		logs[id] = log
	}
	return logs, nil
}

// ParseCertificateAuthority parses one authority that issues certificates.
func ParseCertificateAuthority(ca *v1alpha1.CertificateAuthority) (*root.FulcioCertificateAuthority, error) {
	chain, err := parseChain(ca.CertChain, false)
	if err != nil {
		return nil, fmt.Errorf("certChain: %w", err)
	}
	last := len(chain) - 1
	start, end := bounds(ca.Validity)
	return &root.FulcioCertificateAuthority{
		Root: chain[last], Intermediates: chain[:last], URI: ca.URI, ValidityPeriodStart: start, ValidityPeriodEnd: end,
	}, checkSubject(ca.Subject, chain[last])
}

// ParseTimestampAuthority parses one authority that signs timestamps.
func ParseTimestampAuthority(ca *v1alpha1.CertificateAuthority) (*root.SigstoreTimestampingAuthority, error) {
	chain, err := parseChain(ca.CertChain, true)
	if err != nil {
		return nil, fmt.Errorf("certChain: %w", err)
	}
	last := len(chain) - 1
	start, end := bounds(ca.Validity)
	tsa := &root.SigstoreTimestampingAuthority{
		Root: chain[last], Intermediates: chain[:last], URI: ca.URI, ValidityPeriodStart: start, ValidityPeriodEnd: end,
	}
	if !chain[0].IsCA {
		tsa.Leaf, tsa.Intermediates = chain[0], chain[1:last]
	}
	return tsa, checkSubject(ca.Subject, chain[last])
}

func checkSubject(want *v1alpha1.DistinguishedName, certificate *x509.Certificate) error {
	if want == nil {
		return nil
	}
	got := certificate.Subject
	organization := ""
	if len(got.Organization) > 0 {
		organization = got.Organization[0]
	}
	if want.Organization != "" && want.Organization != organization {
		return fmt.Errorf("subject: the root certificate's organization is %q, not %q", organization, want.Organization)
	}
	if want.CommonName != "" && want.CommonName != got.CommonName {
		return fmt.Errorf("subject: the root certificate's common name is %q, not %q", got.CommonName, want.CommonName)
	}
	return nil
}

// ParseLogInstance parses one log. Its ID is the hash of its key (RFC 6962,
// section 3.2), which is what Rekor v1 and certificate timestamps name it by, or what
// a Rekor v2 log is named by, in which the host name of its base URL can have a part.
func ParseLogInstance(instance *v1alpha1.TransparencyLogInstance) (*root.TransparencyLog, error) {
	text, err := plain(instance.PublicKey, isPEM)
	if err != nil {
		return nil, fmt.Errorf("publicKey: %w: not PEM: %w", ErrKeyInvalid, err)
	}
	key, err := ParseLogKey(text)
	if err != nil {
		return nil, fmt.Errorf("publicKey: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("publicKey: %w: %w", ErrKeyInvalid, err)
	}
	id := sha256.Sum256(spki)
	if instance.Type == v1alpha1.LogTypeRekorV2 {
		base, err := url.Parse(instance.BaseURL)
		if err != nil {
			return nil, errors.New("baseURL: it is not a URL") // not quoted: it may hold a password
		}
		if id, err = logID(instance.Type, base.Hostname(), key); err != nil {
			return nil, err
		}
	}
	start, end := bounds(instance.Validity)
	return &root.TransparencyLog{
		BaseURL: instance.BaseURL, ID: id[:], HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: signatureHash(key),
		ValidityPeriodStart: start, ValidityPeriodEnd: end,
	}, nil
}

// signatureHash is the hash that a log signs with a key, as sigstore-go has it.
func signatureHash(key crypto.PublicKey) crypto.Hash {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return crypto.SHA512
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	}
	return crypto.SHA256
}

// bounds returns the ends of a validity; the zero time is no bound.
func bounds(validity *v1alpha1.Validity) (start, end time.Time) {
	if validity == nil {
		return start, end
	}
	if validity.NotBefore != nil {
		start = validity.NotBefore.Time
	}
	if validity.NotAfter != nil {
		end = validity.NotAfter.Time
	}
	return start, end
}
