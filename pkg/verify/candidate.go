// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

const (
	// maxPayloadBytes bounds a simple signing document, which takes about 300
	// bytes and some more for a signature's claims.
	maxPayloadBytes = 64 << 10
	// maxBundleBytes bounds a bundle's JSON. The bundle of an image signature
	// takes about 5 KiB; attestations share its media type and are longer.
	maxBundleBytes = 16 << 20
	// maxBundleObjects and maxBundleValues bound what a bundle decodes to, before
	// it is decoded: a megabyte of empty objects takes forty. What is long in a
	// bundle is base64, which has neither braces nor commas.
	maxBundleObjects = 1024
	maxBundleValues  = 8192
	// maxLogEntries bounds the log entries of one signature.
	maxLogEntries = 16

	bundleV03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// candidate is a signature that has been parsed, in the one form that the rest of
// the package works on. Nothing in it is verified.
type candidate struct {
	format string
	// entity is the bundle without its log entries: sigstore-go verifies the
	// signature, and never sees what a log is claimed to have said.
	entity *bundle.Bundle
	// message is what a message signature was made over; nil for an envelope.
	message []byte
	// payload is the decoded payload of an envelope; nil for a message signature.
	payload []byte
	// signature is the one signature, decoded.
	signature []byte
	// hint says which key was used, if the signature says so; never trusted.
	hint string
	// mentionsKey reports whether a log entry that came along holds the key.
	// It only chooses between two texts of a rejection.
	mentionsKey func(Key) bool
	entries     []*tlog.Entry
}

// parse turns a signature into a candidate, or says why it cannot be one.
func parse(sig Signature) (*candidate, error) {
	switch s := sig.(type) {
	case LegacySignature:
		return parseLegacy(s)
	case Bundle:
		return parseBundle(s.JSON)
	default:
		return nil, reject(SignatureInvalid, "signature of unknown kind %T", sig)
	}
}

// parseLegacy turns a layer of cosign's .sig image into a bundle that holds a
// message signature over the layer's bytes.
func parseLegacy(s LegacySignature) (*candidate, error) {
	if len(s.Payload) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "signed payload is longer than %d bytes", maxPayloadBytes)
	}
	if len(s.Base64Signature) > maxPayloadBytes {
		return nil, reject(LimitExceeded, "the annotation dev.cosignproject.cosign/signature is longer than %d bytes", maxPayloadBytes)
	}
	if s.Certificate != "" {
		return nil, reject(KeyMismatch, "it was made with a certificate, and the authority asks for a key")
	}
	sig, err := base64.StdEncoding.DecodeString(s.Base64Signature)
	if err != nil || len(sig) == 0 {
		return nil, reject(SignatureInvalid, "the annotation dev.cosignproject.cosign/signature is not base64")
	}
	digest := sha256.Sum256(s.Payload)
	entity, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType: bundleV03,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest[:]},
			Signature:     sig,
		}},
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
		},
	})
	if err != nil {
		return nil, reject(SignatureInvalid, "%v", err)
	}
	c := &candidate{format: "legacy", entity: entity, message: s.Payload, signature: sig}
	if s.RekorBundle != "" {
		entry, err := parseRekorBundle(s.RekorBundle)
		if err != nil {
			return nil, err
		}
		c.entries = []*tlog.Entry{entry}
	}
	c.mentionsKey = c.anyEntryHolds
	return c, nil
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

// parseBundle parses a sigstore bundle, v0.1 to v0.3.
func parseBundle(text []byte) (*candidate, error) {
	if len(text) > maxBundleBytes {
		return nil, reject(LimitExceeded, "bundle is longer than %d bytes", maxBundleBytes)
	}
	if bytes.Count(text, []byte{'{'}) > maxBundleObjects || bytes.Count(text, []byte{','}) > maxBundleValues {
		return nil, reject(LimitExceeded, "the bundle has more parts than any bundle needs")
	}
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(text, message); err != nil {
		return nil, reject(SignatureInvalid, "the bundle does not parse")
	}
	material := message.GetVerificationMaterial()
	logged := material.GetTlogEntries()
	if len(logged) > maxLogEntries {
		return nil, reject(LimitExceeded, "the bundle has %d log entries", len(logged))
	}
	if material.GetPublicKey() == nil {
		return nil, reject(KeyMismatch, "it was made with a certificate, and the authority asks for a key")
	}
	material.TlogEntries = nil
	entity, err := bundle.NewBundle(message)
	if err != nil {
		return nil, reject(SignatureInvalid, "the bundle is not valid: %.200v", err)
	}
	c := &candidate{format: "bundle", entity: entity, hint: material.GetPublicKey().GetHint()}
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

// bundleEntry copies what package tlog needs of a bundle's log entry. Kind,
// version, tree size and root hash are left out on purpose: nobody signed them.
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
		}
	}
	return entry
}

// claim is what a log entry about this signature by this key must say.
func (c *candidate) claim(key Key) (tlog.Claim, error) {
	if c.payload != nil {
		return tlog.DSSE(c.payload, c.signature, key.pem), nil
	}
	digest := c.messageDigest(key.hash)
	return tlog.HashedRekord(key.hash, digest, c.signature, key.pem)
}

// messageDigest is the digest of the signed message under the key's hash.
func (c *candidate) messageDigest(hash crypto.Hash) []byte {
	if c.message == nil {
		return c.entity.GetMessageSignature().GetMessageDigest().GetDigest()
	}
	h := hash.New()
	h.Write(c.message)
	return h.Sum(nil)
}

// anyEntryHolds reports whether a log entry holds the key's PEM.
func (c *candidate) anyEntryHolds(k Key) bool {
	held := []byte(base64.StdEncoding.EncodeToString(k.pem))
	for _, e := range c.entries {
		if bytes.Contains(e.Body, held) {
			return true
		}
	}
	return len(c.entries) == 0
}

// reject is a Rejected verdict as an error, for functions that parse.
func reject(reason Reason, format string, args ...any) error {
	return rejection{Rejected{Reason: reason, Detail: printable(fmt.Sprintf(format, args...))}}
}

type rejection struct{ Rejected }

func (r rejection) Error() string { return r.String() }

// maxDetailBytes bounds what a verdict quotes.
const maxDetailBytes = 600

// printable makes text safe to show: one line, bounded, without characters that
// steer a terminal or reorder what is read, whoever wrote what is quoted in it.
func printable(text string) string {
	if len(text) > maxDetailBytes {
		text = text[:maxDetailBytes] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
