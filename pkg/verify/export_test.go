// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// What the tests, which live outside of the package because verifytest imports
// it, need of its inside. The functions are reached without Verify's recover.

const (
	MaxPayloadBytes = maxPayloadBytes
	MaxBundleBytes  = maxBundleBytes
	MaxLogEntries   = maxLogEntries
	MaxDetailBytes  = maxDetailBytes
	MaxAccepted     = maxAccepted
)

// ParseAndVerify parses a signature and verifies it under key; it returns the
// decoded signature and what was signed.
func ParseAndVerify(s Signature, key Key, digest string) (sig, signed []byte, err error) {
	c, err := parse(s)
	if err != nil {
		return nil, nil, err
	}
	signed = c.message
	if c.payload != nil {
		signed = c.payload
	}
	for _, e := range c.entries { // what package tlog is given must not crash it either
		_ = e
	}
	c.addV1(key, func(tlog.Claim, error) {})
	c.addV2(key, func(tlog.Claim, error) {})
	return c.signature, signed, verifySignature(c, key, digest, purpose{})
}

func CheckSimpleSigning(payload []byte, digest string) error {
	return checkSimpleSigning(payload, digest)
}

// FieldsOf are the names of a statement's fields.
func FieldsOf(payload []byte) ([]string, error) {
	fields, err := statementFields(payload)
	return slices.Sorted(maps.Keys(fields)), err
}

// HoldsContent reports whether evidence holds what was signed as the image's signature.
func HoldsContent(e Evidence) bool { return e.statement != nil || e.predicate != nil }

// VerifiesDigest reports whether a signature verifies under key for a digest alone.
func VerifiesDigest(key Key, made, digest []byte) bool {
	return key.message.VerifySignature(bytes.NewReader(made), nil, options.WithDigest(digest), options.WithCryptoSignerOpts(key.hash)) == nil
}

func CheckDigest(digest string) error { return checkDigest(digest) }

func Printable(text string) string { return printable(text) }

func Further(a, b Verdict) Verdict { return further(a, b) }

func VerdictOf(err error) Verdict { return verdictOf(err) }

// Matches reports whether an identity is that of an issuer and a subject.
func Matches(i Identity, issuer, subject string) bool {
	return i.matches(holder{issuer: issuer, subject: subject})
}

// LongestMatchIsAll reports whether an expression matches all of a text, by
// another way than anchors: POSIX matching prefers the longest match at each place.
func LongestMatchIsAll(expression, text string) bool {
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return false
	}
	compiled.Longest()
	return compiled.FindString(text) == text && compiled.FindStringIndex(text) != nil
}

// CertificateGood judges the certificate of a signature when it began to be valid,
// without Verify's recover.
func CertificateGood(a *Authority, s Signature) error {
	c, err := parse(s)
	if err != nil {
		return err
	}
	_, err = a.signers(c)
	return err
}

// StampedBy returns when authorities of a trust root saw a signature.
func StampedBy(stamp, signature []byte, trusted root.TrustedMaterial) []time.Time {
	return stampedBy(&candidate{signature: signature, timestamps: [][]byte{stamp}}, trusted)
}

// VerifyWhateverItIsAbout is VerifyArtifact of an artifact that nobody has any more: all
// but what the signature is about.
func (a *Authority) VerifyWhateverItIsAbout(ctx context.Context, b Bundle) Verdict {
	c, err := parseBundle(b.JSON)
	if err != nil {
		return verdictOf(err)
	}
	c.dropUnproven()
	keys, err := a.signers(c)
	if err != nil {
		return verdictOf(err)
	}
	key := keys[0]
	if c.payload != nil {
		_, err = verifyStatement(c, key)
	} else {
		_, err = runVerifier(c, key, verify.WithArtifactDigest(digestAlgorithm, c.messageDigest(key.hash)))
	}
	if err != nil {
		return verdictOf(err)
	}
	return a.verifyEvidence(ctx, c, key)
}

// PartsOf returns the decoded signature, what was signed, and the certificate.
func PartsOf(s Signature) (signature, signed, leaf []byte, err error) {
	c, err := parse(s)
	if err != nil || c.leafErr != nil {
		return nil, nil, nil, errors.Join(err, c.leafErr)
	}
	signed = c.message
	if c.payload != nil {
		signed = c.payload
	}
	if c.leaf != nil {
		leaf = c.leaf.Raw
	}
	return c.signature, signed, leaf, nil
}
