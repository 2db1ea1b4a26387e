// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// What an image signature must say it is. Anything else that the same key signed,
// an attestation for instance, is not a signature of the image.
const (
	simpleSigningType  = "cosign container image signature"
	statementType      = "https://in-toto.io/Statement/v1"
	statementTypeV01   = "https://in-toto.io/Statement/v0.1"
	signPredicateType  = "https://sigstore.dev/cosign/sign/v1"
	dssePayloadType    = "application/vnd.in-toto+json"
	digestAlgorithm    = "sha256"
	digestPrefix       = digestAlgorithm + ":"
	attestationMessage = "what was found is an attestation, not an image signature"
)

// errOtherPurpose: what was found is well-formed, but it is something else than
// what is looked for, so it counts as absent.
var errOtherPurpose = errors.New("it was made for another purpose")

// purpose is what a signature is looked for: as a signature of the image, or as an
// attestation about it with one type of predicate.
type purpose struct {
	// predicateType is empty for a signature of the image.
	predicateType string
}

func (p purpose) isAttestation() bool { return p.predicateType != "" }

// verifySignature verifies the candidate's one signature under key, and that it
// serves the purpose for the image with this digest. It returns a rejection, or
// errOtherPurpose.
func verifySignature(c *candidate, key Key, digest string, want purpose) error {
	if c.message != nil {
		if want.isAttestation() {
			return errOtherPurpose
		}
		if err := verifyWith(c, key, verify.WithArtifact(strings.NewReader(string(c.message)))); err != nil {
			return err
		}
		return checkSimpleSigning(c.message, digest)
	}
	if c.payload == nil {
		return errOtherPurpose
	}
	if got := c.entity.GetDsseEnvelope().GetPayloadType(); got != dssePayloadType {
		return reject(SignatureInvalid, "payload type is %.100q, want %q", got, dssePayloadType)
	}
	statement, err := verifyStatement(c, key)
	if err != nil {
		return err
	}
	return checkStatement(statement, digest, want)
}

// verifyWith verifies the signature under key alone, whatever the bundle says
// about keys; time and logs are not sigstore-go's business here.
func verifyWith(c *candidate, key Key, artifact verify.ArtifactPolicyOption) error {
	_, err := runVerifier(c, key, artifact)
	return err
}

func runVerifier(c *candidate, key Key, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	used := key.verifier
	if c.payload == nil {
		used = key.message
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(used, time.Time{}, time.Time{}), nil // it has no bounds
	})
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	if err != nil {
		return nil, reject(SignatureInvalid, "%v", err)
	}
	result, err := verifier.Verify(c.entity, verify.NewPolicy(artifact, verify.WithKey()))
	if err != nil {
		return nil, c.mismatch(key)
	}
	return result, nil
}

// mismatch says which of two things a signature that does not verify is: one by
// another key, or one that was changed. Both are refused.
func (c *candidate) mismatch(key Key) error {
	if !c.mentionsKey(key) {
		return reject(KeyMismatch, "a signature was found, but it was made by another key than %v", key)
	}
	return reject(SignatureInvalid, "a signature was found that does not verify with %v", key)
}

// checkSimpleSigning checks the document that a legacy signature signs: its type
// and the digest that it is about. See
// https://github.com/containers/image/blob/main/docs/containers-signature.5.md.
func checkSimpleSigning(payload []byte, digest string) error {
	var document struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"` //nolint:tagliatelle // the format's spelling
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(payload, &document); err != nil {
		return reject(SignatureInvalid, "the signed payload is not a simple signing document")
	}
	if got := document.Critical.Type; got != simpleSigningType {
		return reject(SignatureInvalid, "the signed payload's type is %.100q, want %q", got, simpleSigningType)
	}
	if got := document.Critical.Image.Digest; got != digest {
		return reject(SignatureInvalid, "the signature is about another image: it names %.100q", got)
	}
	return nil
}

// statement is what is read of a verified in-toto statement.
type statement struct {
	kind, predicateType string
	subjects            []string // SHA-256 digests, in hexadecimal
	sha512              []string // the same in SHA-512, by which npm names packages
}

// verifyStatement verifies the envelope's signature and returns its statement.
// That it is about the image is checked apart, so that a copied signature and a
// changed one are told apart.
func verifyStatement(c *candidate, key Key) (statement, error) {
	result, err := runVerifier(c, key, verify.WithoutArtifactUnsafe())
	if err != nil {
		return statement{}, err
	}
	fields, err := statementFields(c.payload)
	if err != nil {
		return statement{}, err
	}
	c.predicate = fields["predicate"]
	s := statement{kind: result.Statement.GetType(), predicateType: result.Statement.GetPredicateType()}
	for _, subject := range result.Statement.GetSubject() {
		s.subjects = append(s.subjects, subject.GetDigest()[digestAlgorithm])
		if digest := subject.GetDigest()["sha512"]; digest != "" {
			s.sha512 = append(s.sha512, digest)
		}
	}
	return s, nil
}

// statementFields returns the fields of a statement, as they were signed. It refuses one
// that has a field twice, however it is spelt: encoding/json, with which sigstore-go
// reads statements, takes the last of them, and others the first.
func statementFields(payload []byte) (map[string]json.RawMessage, error) {
	malformed := reject(SignatureInvalid, "the statement is not one JSON object")
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, malformed
	}
	fields, seen := map[string]json.RawMessage{}, map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed
		}
		folded := strings.ToLower(strings.ToUpper(name)) // of all names that encoding/json takes for one
		if seen[folded] {
			return nil, reject(SignatureInvalid, "the statement has the field %.100q twice", name)
		}
		fields[name], seen[folded] = value, true
	}
	if _, err := decoder.Token(); err != nil { // its closing brace
		return nil, malformed
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	return fields, nil
}

// checkStatement checks that a statement serves the purpose, and is about the image
// with this digest. The predicate type in a manifest's annotation can be wrong and
// is not looked at.
func checkStatement(s statement, digest string, want purpose) error {
	what, types, predicateType := "signature", []string{statementType}, signPredicateType
	if want.isAttestation() {
		what, types, predicateType = "statement", []string{statementType, statementTypeV01}, want.predicateType
	}
	isStatement := s.kind == statementType || s.kind == statementTypeV01
	switch {
	case isStatement && s.predicateType != predicateType:
		return errOtherPurpose
	case !slices.Contains(types, s.kind):
		return reject(SignatureInvalid, "the statement's type is %.100q, want %q", s.kind, statementType)
	}
	if slices.Contains(s.subjects, strings.TrimPrefix(digest, digestPrefix)) {
		return nil
	}
	return reject(SignatureInvalid, "the %s is about another image: it names %.300q", what, s.subjects)
}

// checkAnnotations checks the claims that a verified signature carries beside its
// image: what `cosign sign -a` adds to the "optional" part of a simple signing
// document, or to the annotations of a statement's subject.
func (c *candidate) checkAnnotations(want map[string]string) error {
	if len(want) == 0 {
		return nil
	}
	var document struct {
		Optional map[string]any `json:"optional"`
		Subject  []struct {
			Annotations map[string]any `json:"annotations"`
		} `json:"subject"`
	}
	signed := c.message
	if c.payload != nil {
		signed = c.payload
	}
	if err := json.Unmarshal(signed, &document); err != nil {
		return reject(SignatureInvalid, "the signed claims do not parse")
	}
	claims := document.Optional
	if c.payload != nil {
		claims = nil // of several subjects, whose claims would they be?
		if len(document.Subject) == 1 {
			claims = document.Subject[0].Annotations
		}
	}
	for name, value := range want {
		if got, ok := claims[name].(string); !ok || got != value {
			return reject(SignatureInvalid, "the signature does not carry the claim %.100q with the value %.100q", name, value)
		}
	}
	return nil
}

// checkDigest refuses what is no sha256 digest, so that no comparison of digests
// can be between empty strings.
func checkDigest(digest string) error {
	digits, ok := strings.CutPrefix(digest, digestPrefix)
	if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != 32 || strings.ToLower(digits) != digits {
		return reject(SignatureInvalid, "%.100q is not a sha256 digest", digest)
	}
	return nil
}
