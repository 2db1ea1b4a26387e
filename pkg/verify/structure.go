// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// checkStructure refuses a bundle that is not of the form that its own version
// asks for (sigstore's protobuf-specs, sigstore_bundle.proto), in the parts that
// sigstore-go is not shown: it never sees log entries, and never looks at what
// stands behind the first certificate of a chain.
//
// What is refused here could not make a bad bundle good. But a bundle that says
// two things about itself is read in one way here and in another elsewhere.
func checkStructure(message *protobundle.Bundle) error {
	material := message.GetVerificationMaterial()
	seen := map[string]bool{}
	var promises, proofs int
	for i, entry := range material.GetTlogEntries() {
		if err := checkEntryForm(entry); err != nil {
			return reject(SignatureInvalid, "the bundle is not valid: log entry %d: %v", i, err)
		}
		if err := checkKind(entry); err != nil {
			return reject(LogEntryMismatch, "log entry %d of the bundle: %v", i, err)
		}
		place := fmt.Sprintf("%d in %x", entry.GetLogIndex(), entry.GetLogId().GetKeyId())
		if seen[place] {
			return reject(SignatureInvalid, "the bundle is not valid: it holds the log entry %s twice", place)
		}
		seen[place] = true
		if len(entry.GetInclusionPromise().GetSignedEntryTimestamp()) > 0 {
			promises++
		}
		if entry.GetInclusionProof() != nil {
			proofs++
		}
	}
	if len(seen) == 0 {
		return nil
	}
	// The first version held promises of inclusion, those after it hold proofs.
	form := &bundle.Bundle{Bundle: message}
	switch {
	case form.MinVersion("v0.2") && proofs == 0:
		return reject(SignatureInvalid, "the bundle is not valid: none of its log entries has an inclusion proof")
	case !form.MinVersion("v0.2") && promises == 0:
		return reject(SignatureInvalid, "the bundle is not valid: none of its log entries has an inclusion promise, which version 0.1 asks for")
	}
	return nil
}

// checkEntryForm checks that a log entry has all parts that it must have.
func checkEntryForm(entry *rekorv1.TransparencyLogEntry) error {
	switch {
	case len(entry.GetCanonicalizedBody()) == 0:
		return fmt.Errorf("it has no body")
	case len(entry.GetLogId().GetKeyId()) == 0:
		return fmt.Errorf("it does not say in which log it is")
	case entry.GetLogIndex() < 0:
		return fmt.Errorf("its index is negative")
	}
	proof := entry.GetInclusionProof()
	switch {
	case proof == nil:
		return nil
	case proof.GetCheckpoint().GetEnvelope() == "":
		return fmt.Errorf("its inclusion proof has no checkpoint")
	case proof.GetLogIndex() < 0, proof.GetTreeSize() <= 0:
		return fmt.Errorf("its inclusion proof has an index or a size out of range")
	case len(proof.GetRootHash()) != sha256.Size:
		return fmt.Errorf("its inclusion proof has a root hash of %d bytes", len(proof.GetRootHash()))
	default:
		return nil
	}
}

// entryKinds are the kinds of log entries that there can be about a signature, with
// the versions of each: those of Rekor v1 and of Rekor v2.
func entryKinds() map[string][]string {
	return map[string][]string{
		"hashedrekord": {"0.0.1", "0.0.2"},
		"dsse":         {"0.0.1", "0.0.2"},
		"intoto":       {"0.0.2"},
	}
}

// checkKind checks that a log entry is of a kind that is known, and that its body
// says the same. Canonical JSON (RFC 8785) sorts names, so each body begins with both.
func checkKind(entry *rekorv1.TransparencyLogEntry) error {
	kind, version := entry.GetKindVersion().GetKind(), entry.GetKindVersion().GetVersion()
	for _, known := range entryKinds()[kind] {
		if known != version {
			continue
		}
		if bytes.HasPrefix(entry.GetCanonicalizedBody(), []byte(`{"apiVersion":"`+version+`","kind":"`+kind+`","spec":{`)) {
			return nil
		}
		return fmt.Errorf("it says that it is a %s %s, and its body says something else", kind, version)
	}
	return fmt.Errorf("its kind is %.40q in version %.40q, which is none about a signature", kind, version)
}

// checkChain checks the certificates that come after the leaf in a bundle before
// v0.3. They are not used: the trust root has its own. A root among them is the
// signer's word for his own authority.
func checkChain(material *protobundle.VerificationMaterial) error {
	chain := material.GetX509CertificateChain()
	if chain == nil {
		return nil
	}
	if len(chain.GetCertificates()) == 0 {
		return reject(CertificateInvalid, "the bundle's certificate chain is empty")
	}
	for _, raw := range chain.GetCertificates()[1:] {
		certificate, err := x509.ParseCertificate(raw.GetRawBytes())
		switch {
		case err != nil:
			return reject(CertificateInvalid, "the bundle's certificate chain does not parse")
		case !certificate.IsCA:
			return reject(CertificateInvalid, "the bundle's certificate chain holds two certificates of signers")
		case bytes.Equal(certificate.RawIssuer, certificate.RawSubject):
			return reject(CertificateInvalid, "the bundle's certificate chain holds a root certificate: roots come from the trust root alone")
		}
	}
	return nil
}
