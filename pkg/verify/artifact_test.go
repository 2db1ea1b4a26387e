// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

var releaseNotes = []byte("what was built\n")

// artifactOf is the artifact with these bytes.
func artifactOf(content []byte) verify.Artifact {
	return verify.Artifact{SHA256: sha256.Sum256(content), Content: bytes.NewReader(content)}
}

// offline is the world's authority when nobody can be asked.
func (w *world) offline(t *testing.T) *verify.Authority {
	t.Helper()
	authority := *w.authority
	authority.Logs = []*tlog.Prover{proverFor(t, "corp", w.log, nil, tlog.NewMemoryHistory())}
	return &authority
}

// messageBundle is a logged bundle with a signature over content itself.
func (w *world) messageBundle(content []byte, algorithm string, digest []byte) verifytest.BundleJSON {
	legacy := w.signer.Legacy(content)
	sig, err := base64.StdEncoding.DecodeString(legacy.Base64Signature)
	if err != nil {
		panic(err)
	}
	entry := w.log.Entry(w.log.Append(w.signer.HashedRekord(legacy)), w.log.Size())
	b := w.signer.Bundle(verifytest.Envelope{}, entry)
	delete(b, "dsseEnvelope")
	b["messageSignature"] = map[string]any{
		"messageDigest": map[string]any{"algorithm": algorithm, "digest": digest}, "signature": sig,
	}
	return b
}

func (w *world) attested(predicateType string, content []byte) verifytest.BundleJSON {
	digest := sha256.Sum256(content)
	statement := verifytest.StatementOf(verifytest.StatementType, predicateType, "sha256:"+hex.EncodeToString(digest[:]))
	b, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, statement))
	return b
}

// about512 is an attestation that names its artifact as npm does.
func (w *world) about512(content []byte) verifytest.BundleJSON {
	digest := sha512.Sum512(content)
	statement := verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", "sha512:"+hex.EncodeToString(digest[:]))
	b, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, statement))
	return b
}

// stated is an attestation whose statement is of another type.
func (w *world) stated(kind string, content []byte) verifytest.BundleJSON {
	digest := sha256.Sum256(content)
	statement := verifytest.StatementOf(kind, "https://slsa.dev/provenance/v1", "sha256:"+hex.EncodeToString(digest[:]))
	b, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, statement))
	return b
}

func TestVerifyArtifact(t *testing.T) {
	digest := sha256.Sum256(releaseNotes)
	signed := func(w *world) verifytest.BundleJSON { return w.messageBundle(releaseNotes, "SHA2_256", digest[:]) }
	const provenance = "https://slsa.dev/provenance/v1"
	onlyDigest := verify.Artifact{SHA256: digest}
	for name, tt := range map[string]struct {
		bundle   func(*world) verifytest.BundleJSON
		artifact verify.Artifact
		change   func(*testing.T, *world, *verify.Authority)
		want     verify.Reason
	}{
		"a signature over the artifact":           {bundle: signed, artifact: artifactOf(releaseNotes), want: verified},
		"a signature over its digest":             {bundle: signed, artifact: onlyDigest, want: verified},
		"an attestation about the artifact":       {bundle: func(w *world) verifytest.BundleJSON { return w.attested(provenance, releaseNotes) }, artifact: artifactOf(releaseNotes), want: verified},
		"an attestation about its digest":         {bundle: func(w *world) verifytest.BundleJSON { return w.attested(provenance, releaseNotes) }, artifact: onlyDigest, want: verified},
		"another artifact":                        {bundle: signed, artifact: artifactOf([]byte("another")), want: verify.SignatureInvalid},
		"another artifact under this digest":      {bundle: signed, artifact: verify.Artifact{SHA256: digest, Content: bytes.NewReader([]byte("another"))}, want: verify.SignatureInvalid},
		"an attestation about another":            {bundle: func(w *world) verifytest.BundleJSON { return w.attested(provenance, []byte("another")) }, artifact: artifactOf(releaseNotes), want: verify.SignatureInvalid},
		"an attestation about its SHA-512 digest": {bundle: func(w *world) verifytest.BundleJSON { return w.about512(releaseNotes) }, artifact: artifactOf(releaseNotes), want: verified},
		"an attestation about another's SHA-512":  {bundle: func(w *world) verifytest.BundleJSON { return w.about512([]byte("another")) }, artifact: artifactOf(releaseNotes), want: verify.SignatureInvalid},
		"a SHA-512 digest that nobody can know":   {bundle: func(w *world) verifytest.BundleJSON { return w.about512(releaseNotes) }, artifact: onlyDigest, want: verify.SignatureInvalid},
		"a statement of an unknown type":          {bundle: func(w *world) verifytest.BundleJSON { return w.stated("https://in-toto.io/Statement/v2", releaseNotes) }, artifact: artifactOf(releaseNotes), want: verify.SignatureInvalid},
		"a statement of no type":                  {bundle: func(w *world) verifytest.BundleJSON { return w.stated("", releaseNotes) }, artifact: onlyDigest, want: verify.SignatureInvalid},
		"a statement of the older type": {bundle: func(w *world) verifytest.BundleJSON {
			return w.stated("https://in-toto.io/Statement/v0.1", releaseNotes)
		}, artifact: onlyDigest, want: verified},
		"an artifact that cannot be read": {bundle: signed, artifact: verify.Artifact{SHA256: digest, Content: unreadable{}}, want: verify.SignatureInvalid},
		"an envelope of another payload type": {
			bundle: func(w *world) verifytest.BundleJSON {
				b, _ := w.bundleOf(w.signer.Envelope("text/plain", releaseNotes))
				return b
			},
			artifact: artifactOf(releaseNotes), want: verify.SignatureInvalid,
		},
		"a bundle that is none": {bundle: func(*world) verifytest.BundleJSON { return verifytest.BundleJSON{"a": 1} }, artifact: artifactOf(releaseNotes), want: verify.SignatureInvalid},
		"no log entry": {
			bundle: func(w *world) verifytest.BundleJSON {
				return signed(w).Set([]any{}, "verificationMaterial", "tlogEntries")
			},
			artifact: artifactOf(releaseNotes), want: verify.NotLogged,
		},
		"a changed checkpoint": {
			bundle: func(w *world) verifytest.BundleJSON {
				return signed(w).Set(w.log.Fork(3).Checkpoint(3), "verificationMaterial", "tlogEntries", 0, "inclusionProof", "checkpoint", "envelope")
			},
			artifact: artifactOf(releaseNotes), want: verify.InclusionProofInvalid,
		},
		"the entry of another signature": {
			bundle: func(w *world) verifytest.BundleJSON {
				w.messageBundle([]byte("another"), "SHA2_256", digest[:])
				return signed(w).Set([]any{verifytest.EntryJSON(w.log.Entry(7, 8))}, "verificationMaterial", "tlogEntries")
			},
			artifact: artifactOf(releaseNotes), want: verify.LogEntryMismatch,
		},
		"another key": {
			bundle: signed, artifact: artifactOf(releaseNotes),
			change: func(t *testing.T, _ *world, a *verify.Authority) {
				t.Helper()
				a.Keys = []verify.Key{keyOf(t, verifytest.NewSigner(), "")}
			},
			want: verify.KeyMismatch,
		},
		"a log that is not trusted": {
			bundle: signed, artifact: artifactOf(releaseNotes),
			change: func(t *testing.T, _ *world, a *verify.Authority) {
				t.Helper()
				other := tlogtest.New("rekor.example.test")
				a.Logs = []*tlog.Prover{proverFor(t, "other", other, nil, tlog.NewMemoryHistory())}
			},
			want: verify.LogUnknown,
		},
		"one log of several": {
			bundle: signed, artifact: artifactOf(releaseNotes),
			change: func(t *testing.T, _ *world, a *verify.Authority) {
				t.Helper()
				other := tlogtest.New("rekor.example.test")
				a.Logs = append([]*tlog.Prover{proverFor(t, "other", other, nil, tlog.NewMemoryHistory())}, a.Logs...)
			},
			want: verified,
		},
		"an authority without a log": {
			bundle: signed, artifact: artifactOf(releaseNotes),
			change: func(_ *testing.T, _ *world, a *verify.Authority) { a.Logs = nil },
			want:   verify.PolicyNotReady,
		},
		"an authority that needs none": {
			bundle: func(w *world) verifytest.BundleJSON {
				return signed(w).Set([]any{}, "verificationMaterial", "tlogEntries")
			},
			artifact: artifactOf(releaseNotes),
			change:   func(_ *testing.T, _ *world, a *verify.Authority) { a.Logs, a.InsecureIgnoreTlog = nil, true },
			want:     verified,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			authority := w.offline(t)
			if tt.change != nil {
				tt.change(t, w, authority)
			}
			want(t, authority.VerifyArtifact(t.Context(), tt.artifact, tt.bundle(w).Verify()), tt.want)
		})
	}
}

func TestVerifyArtifactTakesNoPromiseForAProof(t *testing.T) {
	w := newWorld(t)
	digest := sha256.Sum256(releaseNotes)
	b := w.messageBundle(releaseNotes, "SHA2_256", digest[:])
	delete(b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any), "inclusionProof")
	b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" // the one version without proofs
	want(t, w.offline(t).VerifyArtifact(t.Context(), artifactOf(releaseNotes), b.Verify()), verify.NotLogged)
	// Not even where the log could be asked: the verdict must not depend on it.
	want(t, w.authority.VerifyArtifact(t.Context(), artifactOf(releaseNotes), b.Verify()), verify.NotLogged)
}

func TestVerifyArtifactWithAnotherHash(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(t, verifytest.NewSignerWithKey(key, crypto.SHA384), "sha384")
	digest := sha512.Sum384(releaseNotes)
	b := w.messageBundle(releaseNotes, "SHA2_384", digest[:]).Verify()
	want(t, w.offline(t).VerifyArtifact(t.Context(), artifactOf(releaseNotes), b), verified)
	// Its SHA-256 digest does not say what its SHA-384 digest is.
	want(t, w.offline(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(releaseNotes)}, b), verify.SignatureInvalid)
	want(t, w.offline(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(releaseNotes), Content: unreadable{}}, b), verify.SignatureInvalid)
	want(t, w.offline(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(releaseNotes), Content: halfReadable{}}, b), verify.SignatureInvalid)
}

func TestVerifyArtifactThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	named := w.about512(releaseNotes).Verify()
	for name, content := range map[string]io.ReadSeeker{"it cannot be rewound": unreadable{}, "it ends too early": halfReadable{}, "its reader panics": panicking{}} {
		t.Run(name, func(t *testing.T) {
			want(t, w.offline(t).VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(releaseNotes), Content: content}, named), verify.SignatureInvalid)
		})
	}
}

// panicking is a reader with a fault of its own.
type panicking struct{ unreadable }

func (panicking) Seek(int64, int) (int64, error) { panic("a fault") }

// unreadable cannot be rewound, halfReadable not be read.
type (
	unreadable   struct{}
	halfReadable struct{ unreadable }
)

func (unreadable) Read([]byte) (int, error)         { return 0, io.ErrUnexpectedEOF }
func (unreadable) Seek(int64, int) (int64, error)   { return 0, errors.New("cannot be rewound") }
func (halfReadable) Seek(int64, int) (int64, error) { return 0, nil }
