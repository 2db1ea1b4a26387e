// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/json"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// unmarshalBundle parses the JSON of a bundle that is not too large.
func unmarshalBundle(text []byte) (*protobundle.Bundle, error) {
	if len(text) > maxBundleBytes {
		return nil, reject(LimitExceeded, "bundle is longer than %d bytes", maxBundleBytes)
	}
	if bytes.Count(text, []byte{'{'}) > maxBundleObjects || bytes.Count(text, []byte{','}) > maxBundleValues {
		return nil, reject(LimitExceeded, "the bundle has more parts than any bundle needs")
	}
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(text, message); err != nil {
		if isOlderBundle(text) {
			return nil, reject(SignatureInvalid, "this is a bundle in cosign's older format, which has no inclusion proof: sign with --new-bundle-format, as cosign v3 does by default")
		}
		return nil, reject(SignatureInvalid, "the bundle does not parse")
	}
	return message, nil
}

// isOlderBundle reports whether a text is what `cosign sign-blob --bundle` wrote before
// there were sigstore bundles (github.com/sigstore/cosign, pkg/cosign/fetch.go).
func isOlderBundle(text []byte) bool {
	var older struct {
		Signature string `json:"base64Signature"` //nolint:tagliatelle // cosign's spelling
	}
	return json.Unmarshal(text, &older) == nil && older.Signature != ""
}

// BundleEntries returns the log entries of a sigstore bundle, for those who ask about the
// entries and not about the signature. Nothing of them is verified. Its error is what
// LogVerdict makes Rejected.
func BundleEntries(text []byte) ([]*tlog.Entry, error) {
	message, err := unmarshalBundle(text)
	if err != nil {
		return nil, err
	}
	logged := message.GetVerificationMaterial().GetTlogEntries()
	if len(logged) > maxLogEntries {
		return nil, reject(LimitExceeded, "the bundle has %d log entries", len(logged))
	}
	if err := checkStructure(message); err != nil {
		return nil, err
	}
	entries := make([]*tlog.Entry, 0, len(logged))
	for _, entry := range logged {
		entries = append(entries, bundleEntry(entry))
	}
	return entries, nil
}

// parseBundle parses a sigstore bundle, v0.1 to v0.3.
func parseBundle(text []byte) (*candidate, error) {
	message, err := unmarshalBundle(text)
	if err != nil {
		return nil, err
	}
	material := message.GetVerificationMaterial()
	logged := material.GetTlogEntries()
	if len(logged) > maxLogEntries {
		return nil, reject(LimitExceeded, "the bundle has %d log entries", len(logged))
	}
	stamps := material.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) > maxTimestamps {
		return nil, reject(LimitExceeded, "the bundle has %d timestamps", len(stamps))
	}
	if err := checkStructure(message); err != nil {
		return nil, err
	}
	if material != nil {
		material.TlogEntries = nil
		material.TimestampVerificationData = nil
	}
	entity, err := bundle.NewBundle(message)
	if err != nil {
		return nil, reject(SignatureInvalid, "the bundle is not valid: %.200v", err)
	}
	if err := checkChain(material); err != nil {
		return nil, err
	}
	c := &candidate{format: "bundle", entity: entity, hint: material.GetPublicKey().GetHint()}
	if c.certified = material.GetPublicKey() == nil; c.certified {
		c.leaf, c.leafErr = bundleLeaf(material)
		// What sigstore-go sees from here on is a signature by a key that we
		// name: certificates, times and logs are judged by us, each with a
		// reason of its own.
		material.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}
	}
	for _, stamp := range stamps {
		c.timestamps = append(c.timestamps, stamp.GetSignedTimestamp())
	}
	c.mentionsKey = func(k Key) bool {
		if c.hint != "" && c.hint != k.hint() {
			return len(c.entries) > 0 && c.anyEntryHolds(k)
		}
		return true
	}
	for _, entry := range logged {
		c.entries = append(c.entries, bundleEntry(entry))
	}
	if m := message.GetMessageSignature(); m != nil {
		c.signature = m.GetSignature()
		return c, nil
	}
	envelope := message.GetDsseEnvelope()
	if len(envelope.GetSignatures()) != 1 {
		return nil, reject(SignatureInvalid, "the envelope has %d signatures, exactly one is allowed", len(envelope.GetSignatures()))
	}
	c.signature = envelope.GetSignatures()[0].GetSig()
	c.payload = envelope.GetPayload()
	return c, nil
}

// bundleLeaf returns the certificate of a keyless bundle. Of a chain, which only
// bundles before v0.3 may carry, the first is the leaf; the rest would be the
// signer's word for its own CA.
func bundleLeaf(material *protobundle.VerificationMaterial) (*x509.Certificate, error) {
	if chain := material.GetX509CertificateChain().GetCertificates(); len(chain) > 0 {
		return parseLeafDER(chain[0].GetRawBytes())
	}
	return parseLeafDER(material.GetCertificate().GetRawBytes())
}

// bundleEntry copies what package tlog needs of a bundle's log entry. Kind and
// version are left out on purpose: nobody signed them.
func bundleEntry(e *rekorv1.TransparencyLogEntry) *tlog.Entry {
	entry := &tlog.Entry{
		LogID:                e.GetLogId().GetKeyId(),
		Body:                 e.GetCanonicalizedBody(),
		LogIndex:             e.GetLogIndex(),
		IntegratedTime:       e.GetIntegratedTime(),
		SignedEntryTimestamp: e.GetInclusionPromise().GetSignedEntryTimestamp(),
	}
	if p := e.GetInclusionProof(); p != nil {
		entry.Inclusion = &tlog.Inclusion{
			Index:      p.GetLogIndex(),
			Hashes:     p.GetHashes(),
			Checkpoint: p.GetCheckpoint().GetEnvelope(),
			TreeSize:   p.GetTreeSize(),
			RootHash:   p.GetRootHash(),
		}
	}
	return entry
}
