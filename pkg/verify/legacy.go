// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// parseLegacy turns a layer of cosign's .sig image into a bundle that holds a
// message signature over the layer's bytes.
func parseLegacy(s LegacySignature) (*candidate, error) {
	if len(s.Payload) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "signed payload is longer than %d bytes", maxPayloadBytes)
	}
	if len(s.Base64Signature) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "the annotation dev.cosignproject.cosign/signature is longer than %d bytes", maxPayloadBytes)
	}
	sig, err := base64.StdEncoding.DecodeString(s.Base64Signature)
	if err != nil || len(sig) == 0 {
		return nil, reject(SignatureInvalid, "the annotation dev.cosignproject.cosign/signature is not base64")
	}
	digest := sha256.Sum256(s.Payload)
	entity, err := keyedBundle(&protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{
		MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]},
			Signature:     sig,
		},
	}})
	if err != nil {
		return nil, err
	}
	c := &candidate{format: "legacy", entity: entity, message: s.Payload, signature: sig}
	return c.annotated(s.RekorBundle, s.Certificate, s.RFC3161Timestamp)
}

// parseRekorBundle parses the annotation dev.sigstore.cosign/bundle. cosign's own
// parser ends the process on some of what an attacker can write there.
func parseRekorBundle(text string) (*tlog.Entry, error) {
	if len(text) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "the annotation dev.sigstore.cosign/bundle is longer than %d bytes", maxPayloadBytes)
	}
	var annotation struct {
		SignedEntryTimestamp []byte `json:"SignedEntryTimestamp"` //nolint:tagliatelle // cosign's spelling
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"` //nolint:tagliatelle // cosign's spelling
		} `json:"Payload"` //nolint:tagliatelle // cosign's spelling
	}
	if err := json.Unmarshal([]byte(text), &annotation); err != nil {
		return nil, reject(LogEntryMismatch, "the annotation dev.sigstore.cosign/bundle does not parse")
	}
	logID, err := hex.DecodeString(annotation.Payload.LogID)
	if err != nil {
		return nil, reject(LogEntryMismatch, "the annotation dev.sigstore.cosign/bundle has a logID that is not hexadecimal")
	}
	if len(annotation.SignedEntryTimestamp) == 0 {
		return nil, reject(TimestampInvalid, "the annotation dev.sigstore.cosign/bundle has no signed entry timestamp")
	}
	return &tlog.Entry{
		LogID:                logID,
		Body:                 annotation.Payload.Body,
		LogIndex:             annotation.Payload.LogIndex,
		IntegratedTime:       annotation.Payload.IntegratedTime,
		SignedEntryTimestamp: annotation.SignedEntryTimestamp,
	}, nil
}

// annotated adds what the annotations of a layer's descriptor say.
func (c *candidate) annotated(rekorBundle, certificate, timestamp string) (*candidate, error) {
	if certificate != "" {
		c.certified = true
		c.leaf, c.leafErr = parseLeaf(certificate)
	}
	if timestamp != "" {
		c.timestamps = parseTimestamp(timestamp)
	}
	if rekorBundle != "" {
		entry, err := parseRekorBundle(rekorBundle)
		if err != nil {
			return nil, err
		}
		c.entries = []*tlog.Entry{entry}
	}
	c.mentionsKey = c.anyEntryHolds
	return c, nil
}

// parseLegacyAttestation turns a layer of cosign's .att image into a bundle that
// holds its envelope.
func parseLegacyAttestation(s LegacyAttestation) (*candidate, error) {
	if len(s.Envelope) > maxBundleBytes {
		return nil, reject(LimitExceeded, "envelope is longer than %d bytes", maxBundleBytes)
	}
	var envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(s.Envelope, &envelope); err != nil {
		return nil, reject(SignatureInvalid, "the envelope does not parse")
	}
	if len(envelope.Signatures) != 1 {
		return nil, reject(SignatureInvalid, "the envelope has %d signatures, exactly one is allowed", len(envelope.Signatures))
	}
	sig := envelope.Signatures[0].Sig
	entity, err := keyedBundle(&protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload:     envelope.Payload,
		PayloadType: envelope.PayloadType,
		Signatures:  []*protodsse.Signature{{Sig: sig}},
	}}})
	if err != nil {
		return nil, err
	}
	c := &candidate{format: "legacy", entity: entity, payload: envelope.Payload, signature: sig}
	return c.annotated(s.RekorBundle, s.Certificate, s.RFC3161Timestamp)
}

// keyedBundle makes a bundle of content that was signed by a key that we name.
func keyedBundle(content *protobundle.Bundle) (*bundle.Bundle, error) {
	content.MediaType = bundleV03
	content.VerificationMaterial = &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	entity, err := bundle.NewBundle(content)
	if err != nil {
		return nil, reject(SignatureInvalid, "%.200v", err)
	}
	return entity, nil
}
