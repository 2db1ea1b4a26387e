// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Artifact is what a bundle that is no image signature is about: bytes, or only
// their digest.
type Artifact struct {
	// SHA256 is the artifact's digest.
	SHA256 [32]byte
	// Content is the artifact, or nil when only its digest is known. Signatures
	// that are not over a SHA-256 digest need it.
	Content io.ReadSeeker
}

// VerifyArtifact returns the verdict of the authority on a sigstore bundle about
// an artifact: a message signature over it, or an in-toto statement of any
// predicate with it as a subject. A log entry counts only if the bundle itself
// carries its inclusion proof: what verifies without a network does so for ever.
func (a *Authority) VerifyArtifact(ctx context.Context, artifact Artifact, b Bundle) (verdict Verdict) {
	defer func() {
		if r := recover(); r != nil {
			verdict = Rejected{Reason: SignatureInvalid, Detail: printable(fmt.Sprintf("verification failed in a way that is a fault of countersign: %v", r))}
		}
	}()
	if err := a.Validate(); err != nil {
		return Rejected{Reason: PolicyNotReady, Detail: printable(err.Error())}
	}
	c, err := parseBundle(b.JSON)
	if err != nil {
		return verdictOf(err)
	}
	c.dropUnproven()
	keys, err := a.signers(c)
	if err != nil {
		return verdictOf(err)
	}
	var best Verdict
	for _, key := range keys {
		verdict := a.verifyArtifactKey(ctx, c, key, artifact)
		if _, ok := verdict.(Verified); ok {
			return verdict
		}
		best = further(best, verdict)
	}
	return best
}

func (a *Authority) verifyArtifactKey(ctx context.Context, c *candidate, key Key, artifact Artifact) Verdict {
	var err error
	if c.payload != nil {
		err = verifyAttested(c, key, artifact)
	} else {
		err = verifyMessage(c, key, artifact)
	}
	if err != nil {
		return verdictOf(err)
	}
	if a.InsecureIgnoreTlog {
		return a.verifyEvidence(ctx, c, key)
	}
	offline, err := a.namedBy(c)
	if err != nil {
		return verdictOf(err)
	}
	return offline.verifyEvidence(ctx, c, key)
}

// namedBy returns the authority with those of its logs that the candidate's
// entries name. No other can prove anything without being asked.
func (a *Authority) namedBy(c *candidate) (*Authority, error) {
	if len(c.entries) == 0 {
		return nil, reject(NotLogged, "a valid signature was found, but the bundle holds no log entry with an inclusion proof")
	}
	named := *a
	named.Logs = slices.DeleteFunc(slices.Clone(a.Logs), func(l *tlog.Prover) bool {
		id := l.Log().ID()
		return !slices.ContainsFunc(c.entries, func(e *tlog.Entry) bool { return bytes.Equal(e.LogID, id[:]) })
	})
	if len(named.Logs) == 0 {
		return nil, reject(LogUnknown, "a valid signature was found, but its entry is in a log with ID %.64x, which is none of those that are trusted", c.entries[0].LogID)
	}
	return &named, nil
}

// dropUnproven leaves out log entries that come without an inclusion proof.
func (c *candidate) dropUnproven() {
	c.entries = slices.DeleteFunc(c.entries, func(e *tlog.Entry) bool { return e.Inclusion == nil })
}

// verifyAttested verifies an envelope, and that its statement is one of a type that
// is known, and about artifact.
func verifyAttested(c *candidate, key Key, artifact Artifact) error {
	if got := c.entity.GetDsseEnvelope().GetPayloadType(); got != dssePayloadType {
		return reject(SignatureInvalid, "payload type is %.100q, want %q", got, dssePayloadType)
	}
	s, err := verifyStatement(c, key)
	if err != nil {
		return err
	}
	if s.kind != statementType && s.kind != statementTypeV01 {
		return reject(SignatureInvalid, "the statement's type is %.100q, want %q", s.kind, statementType)
	}
	if slices.Contains(s.subjects, hex.EncodeToString(artifact.SHA256[:])) {
		return nil
	}
	if artifact.Content != nil && len(s.sha512) > 0 {
		digest, err := artifact.digest(crypto.SHA512)
		if err != nil {
			return err
		}
		if slices.Contains(s.sha512, hex.EncodeToString(digest)) {
			return nil
		}
	}
	return reject(SignatureInvalid, "the statement is about another artifact: it names %.300q", slices.Concat(s.subjects, s.sha512))
}

// verifyMessage verifies a message signature over artifact. The digest in the
// bundle is what the log entry is held against afterwards, so it must be the
// artifact's own under the hash that the key signs.
func verifyMessage(c *candidate, key Key, artifact Artifact) error {
	digest, err := artifact.digest(key.hash)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.messageDigest(key.hash), digest) {
		return reject(SignatureInvalid, "the signature is about another artifact: its digest is %.130x", c.messageDigest(key.hash))
	}
	policy := verify.WithArtifactDigest(digestAlgorithm, digest)
	if artifact.Content != nil {
		if _, err := artifact.Content.Seek(0, io.SeekStart); err != nil {
			return reject(SignatureInvalid, "the artifact cannot be read: %v", err)
		}
		policy = verify.WithArtifact(artifact.Content)
	}
	return verifyWith(c, key, policy)
}

func (artifact Artifact) digest(hash crypto.Hash) ([]byte, error) {
	if hash == crypto.SHA256 {
		return artifact.SHA256[:], nil
	}
	if artifact.Content == nil {
		return nil, reject(SignatureInvalid, "a signature over a %v digest needs the artifact itself, and only its SHA-256 digest is known", hash)
	}
	if _, err := artifact.Content.Seek(0, io.SeekStart); err != nil {
		return nil, reject(SignatureInvalid, "the artifact cannot be read: %v", err)
	}
	h := hash.New()
	if _, err := io.Copy(h, artifact.Content); err != nil {
		return nil, reject(SignatureInvalid, "the artifact cannot be read: %v", err)
	}
	return h.Sum(nil), nil
}
