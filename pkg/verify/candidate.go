// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/sigstore/sigstore-go/pkg/bundle"

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
	// predicate is that of the payload, as it was signed, once it was verified.
	predicate json.RawMessage
	// signature is the one signature, decoded.
	signature []byte
	// hint says which key was used, if the signature says so; never trusted.
	hint string
	// mentionsKey reports whether a log entry that came along holds the key.
	// It only chooses between two texts of a rejection.
	mentionsKey func(Key) bool
	entries     []*tlog.Entry
	// certified is set when the signature comes with a certificate; leaf is that
	// certificate, or nil when leafErr says why it is none.
	certified bool
	leaf      *x509.Certificate
	leafErr   error
	// holder is what the certificate says of its holder, and promised are those issuers
	// of it for whom a CT log's promise was verified: what is found of a certificate once,
	// whatever the time at which it is looked at.
	holder   holder
	promised []*x509.Certificate
	// timestamps are RFC 3161 timestamps over the signature, in DER.
	timestamps [][]byte
}

// parse turns a signature into a candidate, or says why it cannot be one.
func parse(sig Signature) (*candidate, error) {
	switch s := sig.(type) {
	case LegacySignature:
		return parseLegacy(s)
	case LegacyAttestation:
		return parseLegacyAttestation(s)
	case Bundle:
		return parseBundle(s.JSON)
	default:
		return nil, reject(SignatureInvalid, "signature of unknown kind %T", sig)
	}
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
