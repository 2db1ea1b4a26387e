// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// inV2 logs a body in a Rekor v2 with a P-256 key, whose ID is that of its key, and
// returns the entry as a bundle carries it.
func inV2(l *tlogtest.Log, body []byte) *tlog.Entry {
	index := l.Append(body)
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Hostname, l.Size(), base64.StdEncoding.EncodeToString(l.Root(l.Size())))
	line := base64.StdEncoding.EncodeToString(slices.Concat(l.ID()[:4], l.Sign([]byte(text))))
	return &tlog.Entry{
		LogID: l.ID(), Body: body, LogIndex: int64(index),
		Inclusion: &tlog.Inclusion{Index: int64(index), Hashes: l.Inclusion(index, l.Size()), Checkpoint: text + "\n— " + l.Hostname + " " + line + "\n"},
	}
}

// configured is the log as a policy names it.
func configured(t *testing.T, l *tlogtest.Log, version tlog.Version, either bool) []*tlog.Prover {
	t.Helper()
	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: version, Origin: l.Hostname, Key: l.PublicKey(), EitherEntry: either})
	if err != nil {
		t.Fatal(err)
	}
	return []*tlog.Prover{tlog.NewProver(log, nil, tlog.NewMemoryHistory())}
}

// TestImagesInRekorV2 signs images with keys of each type.
func TestImagesInRekorV2(t *testing.T) {
	for name, tt := range map[string]struct {
		signer *verifytest.Signer
		hash   string // hashAlgorithm of the policy
		want   verify.Reason
	}{
		"P-256":              {signer: verifytest.NewSigner(), want: verified},
		"P-384 with SHA-384": {signer: verifytest.NewSignerWithKey(ecdsaKey(t, elliptic.P384()), crypto.SHA384), hash: "sha384", want: verified},
		"P-521 with SHA-512": {signer: verifytest.NewSignerWithKey(ecdsaKey(t, elliptic.P521()), crypto.SHA512), hash: "sha512", want: verified},
		"RSA":                {signer: verifytest.NewSignerWithKey(rsaKey(t, 2048), crypto.SHA256), want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			l := tlogtest.New("log.example.test")
			l.Grow(3)
			envelope := tt.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
			b := tt.signer.Bundle(envelope, inV2(l, tt.signer.HashedRekordV2Of(envelope)))
			a := &verify.Authority{Keys: []verify.Key{keyOf(t, tt.signer, tt.hash)}, Logs: configured(t, l, tlog.RekorV2, false)}
			want(t, a.Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), tt.want)
			want(t, a.Verify(t.Context(), imageB, []verify.Signature{b.Verify()}), verify.SignatureInvalid)
			other := tt.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageB))
			moved := tt.signer.Bundle(envelope, inV2(l, tt.signer.HashedRekordV2Of(other)))
			a.Logs = configured(t, l, tlog.RekorV2, false)
			want(t, a.Verify(t.Context(), imageA, []verify.Signature{moved.Verify()}), verify.LogEntryMismatch)
		})
	}
}

// TestAKeyThatRekorV2HasNoNameFor: the hash is not the one of the curve.
func TestAKeyThatRekorV2HasNoNameFor(t *testing.T) {
	l := tlogtest.New("log.example.test")
	signer := verifytest.NewSignerWithKey(ecdsaKey(t, elliptic.P384()), crypto.SHA256)
	content := []byte("content")
	legacy := signer.Legacy(content)
	right := verifytest.NewSigner()
	b := signer.MessageBundle(legacy, inV2(l, right.HashedRekordV2(content, []byte(decoded(right.Legacy(content).Base64Signature)))))
	a := &verify.Authority{Keys: []verify.Key{keyOf(t, signer, "sha256")}, Logs: configured(t, l, tlog.RekorV2, false)}
	want(t, a.VerifyArtifact(t.Context(), artifactOf(content), b.Verify()), verify.LogEntryMismatch)
}

// TestCertificatesInRekorV2: the log says no time, so a timestamp authority must.
func TestCertificatesInRekorV2(t *testing.T) {
	k := newKeyless(t)
	k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
	l := tlogtest.New("log.example.test")
	signer := k.certified()
	envelope := signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	entry := inV2(l, signer.HashedRekordV2Of(envelope))
	authority := k.trusts(t)
	authority.Logs = configured(t, l, tlog.RekorV2, false)
	verdict := func(b verifytest.BundleJSON) verify.Verdict {
		return authority.Verify(t.Context(), imageA, []verify.Signature{b.Verify()})
	}
	b := signer.Bundle(envelope, entry)
	want(t, verdict(b), verify.TimestampInvalid)
	want(t, verdict(b.Stamped(k.tsa.Stamp(envelope.Signatures[0], verifytest.SigningTime()))), verified)
	timed := *entry
	timed.IntegratedTime = verifytest.SigningTime().Unix()
	want(t, verdict(signer.Bundle(envelope, &timed)), verify.TimestampInvalid)
	timed.SignedEntryTimestamp = l.SignEntry(&timed)
	want(t, verdict(signer.Bundle(envelope, &timed)), verify.TimestampInvalid)
	// Another certificate of the same key is another entry.
	again := k.certified()
	want(t, verdict(again.Bundle(envelope, entry).Stamped(k.tsa.Stamp(envelope.Signatures[0], verifytest.SigningTime()))), verify.LogEntryMismatch)
}

// TestTheVersionOfALogIsConfigured: what an entry must look like is not the bundle's to
// say, unless nobody else can.
func TestTheVersionOfALogIsConfigured(t *testing.T) {
	signer := verifytest.NewSigner()
	envelope := signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	v1, v2 := signer.DSSE(envelope), signer.HashedRekordV2Of(envelope)
	for name, tt := range map[string]struct {
		version tlog.Version
		either  bool
		body    []byte
		tiles   bool // the checkpoint is a Rekor v2's
		want    verify.Reason
	}{
		"v1 in v1":                                {version: tlog.RekorV1, body: v1, want: verified},
		"v2 in v2":                                {version: tlog.RekorV2, body: v2, tiles: true, want: verified},
		"a v2 entry in a v1":                      {version: tlog.RekorV1, body: v2, want: verify.LogEntryMismatch},
		"a v1 entry in a v2":                      {version: tlog.RekorV2, body: v1, tiles: true, want: verify.LogEntryMismatch},
		"a v2 entry and checkpoint for a v1":      {version: tlog.RekorV1, body: v2, tiles: true, want: verify.LogEntryMismatch},
		"a v1 entry and checkpoint for a v2":      {version: tlog.RekorV2, body: v1, want: verify.LogEntryMismatch},
		"a v1 entry, a v2 checkpoint, for a v1":   {version: tlog.RekorV1, body: v1, tiles: true, want: verify.CheckpointInvalid},
		"a v2 entry, a v1 checkpoint, for a v2":   {version: tlog.RekorV2, body: v2, want: verify.TimestampInvalid}, // and a promise
		"a v1 entry where nobody says which":      {version: tlog.RekorV2, either: true, body: v1, tiles: true, want: verified},
		"a v2 entry where nobody says which":      {version: tlog.RekorV1, either: true, body: v2, want: verified},
		"a v2 checkpoint where v1's are expected": {version: tlog.RekorV1, either: true, body: v2, tiles: true, want: verify.CheckpointInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			l := tlogtest.New("log.example.test")
			l.Grow(3)
			var entry *tlog.Entry
			if tt.tiles {
				entry = inV2(l, tt.body)
			} else {
				entry = l.Entry(l.Append(tt.body), l.Size())
			}
			a := &verify.Authority{Keys: []verify.Key{keyOf(t, signer, "")}, Logs: configured(t, l, tt.version, tt.either)}
			want(t, a.Verify(t.Context(), imageA, []verify.Signature{signer.Bundle(envelope, entry).Verify()}), tt.want)
		})
	}
}
