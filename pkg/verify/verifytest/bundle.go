// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// What cosign v3 writes into the envelope of an image signature.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	SignPredicate = "https://sigstore.dev/cosign/sign/v1"
	BundleV03     = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Statement is the in-toto statement that signs an image.
func Statement(digest string) []byte { return StatementOf(StatementType, SignPredicate, digest) }

// StatementOf is a statement of the given type and predicate type about digests.
func StatementOf(kind, predicateType string, digests ...string) []byte {
	subjects := make([]any, len(digests))
	for i, digest := range digests {
		algorithm, digits, _ := strings.Cut(digest, ":")
		subjects[i] = map[string]any{"digest": map[string]any{algorithm: digits}}
	}
	return []byte(marshal(map[string]any{"_type": kind, "subject": subjects, "predicateType": predicateType, "predicate": map[string]any{}}))
}

// Envelope is a DSSE envelope with its fields decoded.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  [][]byte
}

// Envelope signs a payload.
func (s *Signer) Envelope(payloadType string, payload []byte) Envelope {
	return Envelope{PayloadType: payloadType, Payload: payload, Signatures: [][]byte{sign(s.dsse, dsse.PAE(payloadType, payload))}}
}

// LoggedBundle signs a statement and logs it: the bundle carries the log's promise,
// an inclusion proof and the log's checkpoint of that time.
func (s *Signer) LoggedBundle(l *tlogtest.Log, statement []byte) verify.Bundle {
	envelope := s.Envelope(PayloadType, statement)
	index := l.Append(s.DSSE(envelope))
	return s.Bundle(envelope, l.Entry(index, l.Size())).Verify()
}

// BundleJSON is a sigstore bundle as JSON objects that a test can change.
type BundleJSON map[string]any

// Bundle puts an envelope and its log entries into a bundle.
func (s *Signer) Bundle(e Envelope, entries ...*tlog.Entry) BundleJSON {
	signatures := make([]any, len(e.Signatures))
	for i, sig := range e.Signatures {
		signatures[i] = map[string]any{"sig": sig}
	}
	logged := make([]any, len(entries))
	for i, entry := range entries {
		logged[i] = EntryJSON(entry)
	}
	material := map[string]any{"tlogEntries": logged}
	if s.leaf != nil {
		material["certificate"] = map[string]any{"rawBytes": s.leaf}
	} else {
		material["publicKey"] = map[string]any{"hint": s.Hint()}
	}
	return BundleJSON{
		"mediaType":            BundleV03,
		"verificationMaterial": material,
		"dsseEnvelope":         map[string]any{"payload": e.Payload, "payloadType": e.PayloadType, "signatures": signatures},
	}
}

// MessageBundle puts a signature over content, its digest under the signer's
// hash and its log entries into a bundle.
func (s *Signer) MessageBundle(legacy verify.LegacySignature, entries ...*tlog.Entry) BundleJSON {
	b := s.Bundle(Envelope{}, entries...)
	delete(b, "dsseEnvelope")
	h := s.hash.New()
	h.Write(legacy.Payload)
	b["messageSignature"] = map[string]any{
		"messageDigest": map[string]any{"algorithm": "SHA2_" + strings.TrimPrefix(s.hash.String(), "SHA-"), "digest": h.Sum(nil)},
		"signature":     decode(legacy.Base64Signature),
	}
	return b
}

// Stamped returns a copy with RFC 3161 timestamps, in DER.
func (b BundleJSON) Stamped(stamps ...[]byte) BundleJSON {
	list := make([]any, len(stamps))
	for i, stamp := range stamps {
		list[i] = map[string]any{"signedTimestamp": stamp}
	}
	return b.Set(list, "verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
}

// EntryJSON is a log entry in the form of a bundle.
func EntryJSON(e *tlog.Entry) map[string]any {
	// A body that is no entry's has no kind either.
	var body struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	_ = json.Unmarshal(e.Body, &body)
	entry := map[string]any{
		"logIndex": strconv.FormatInt(e.LogIndex, 10), "integratedTime": strconv.FormatInt(e.IntegratedTime, 10),
		"logId": map[string]any{"keyId": e.LogID}, "kindVersion": map[string]any{"kind": body.Kind, "version": body.APIVersion},
		"canonicalizedBody": e.Body,
	}
	if len(e.SignedEntryTimestamp) > 0 {
		entry["inclusionPromise"] = map[string]any{"signedEntryTimestamp": e.SignedEntryTimestamp}
	}
	if e.Inclusion != nil {
		hashes := make([]any, len(e.Inclusion.Hashes))
		for i, h := range e.Inclusion.Hashes {
			hashes[i] = h
		}
		entry["inclusionProof"] = map[string]any{
			"logIndex": strconv.FormatInt(e.Inclusion.Index, 10), "hashes": hashes,
			"treeSize": sizeOf(e.Inclusion.Checkpoint), "rootHash": rootOf(e.Inclusion.Checkpoint),
			"checkpoint": map[string]any{"envelope": e.Inclusion.Checkpoint},
		}
	}
	return entry
}

// line is a line of a checkpoint, or empty.
func line(checkpoint string, n int) string {
	lines := strings.Split(checkpoint, "\n")
	if n >= len(lines) {
		return ""
	}
	return lines[n]
}

func sizeOf(checkpoint string) string { return line(checkpoint, 1) }
func rootOf(checkpoint string) string { return line(checkpoint, 2) }

// Set returns a copy in which the value at path (keys, and indices of lists) is
// another one; a nil value removes it.
func (b BundleJSON) Set(value any, path ...any) BundleJSON {
	return BundleJSON(set(map[string]any(b), value, path).(map[string]any))
}

func set(in, value any, path []any) any {
	if len(path) == 0 {
		return value
	}
	switch in := in.(type) {
	case map[string]any:
		key, out := path[0].(string), maps.Clone(in)
		if value == nil && len(path) == 1 {
			delete(out, key)
			return out
		}
		if out[key] == nil && len(path) > 1 {
			out[key] = map[string]any{}
		}
		out[key] = set(out[key], value, path[1:])
		return out
	case []any:
		index, out := path[0].(int), slices.Clone(in)
		out[index] = set(out[index], value, path[1:])
		return out
	default:
		panic(fmt.Sprintf("nothing at %v", path))
	}
}

// Verify is the bundle as it is found beside an image.
func (b BundleJSON) Verify() verify.Bundle { return verify.Bundle{JSON: []byte(marshal(b))} }
