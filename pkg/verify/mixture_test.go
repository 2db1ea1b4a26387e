// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// mixtures is how many are tried of each kind.
const mixtures = 1000

// attacker can put anything into the log, under his own key and his own identity, has
// stolen the signer's key but cannot use it unseen, and owns a log that nobody trusts.
// parts are what he has to mix, and the one signature that counts is the first.
type attacker struct {
	parts []verifytest.BundleJSON
	// legacy are the same as layers.
	legacy []verify.LegacySignature
}

// steal collects what there is: by is the signer, other is the attacker himself.
// Everything good is good for something else than imageA, but for the first part.
func steal(log *tlogtest.Log, by, other *verifytest.Signer, tsa *verifytest.TSA) attacker {
	var a attacker
	add := func(signer *verifytest.Signer, statement []byte, entry func(body []byte) *tlog.Entry) {
		envelope := signer.Envelope(verifytest.PayloadType, statement)
		b := signer.Bundle(envelope, entry(signer.DSSE(envelope)))
		if tsa != nil {
			b = b.Stamped(tsa.Stamp(envelope.Signatures[0], verifytest.SigningTime()))
		}
		a.parts = append(a.parts, b)
	}
	layer := func(signer *verifytest.Signer, payload []byte, entry func(body []byte) *tlog.Entry) {
		s := signer.Legacy(payload)
		s.RekorBundle = verifytest.Annotation(entry(signer.HashedRekord(s)))
		a.legacy = append(a.legacy, s)
	}
	foreign, promising := tlogtest.New("rekor.evil.example"), log.Fork(log.Size())
	foreign.Grow(9)
	logged := func(body []byte) *tlog.Entry { return log.Entry(log.Append(body), log.Size()) }
	elsewhere := func(body []byte) *tlog.Entry { return foreign.Entry(foreign.Append(body), foreign.Size()) }
	promised := func(body []byte) *tlog.Entry { return promising.Promise(promising.Append(body)) }
	attestation := verifytest.StatementOf(verifytest.StatementType, spdx, imageA)
	for _, part := range []struct {
		by      *verifytest.Signer
		about   string
		payload []byte // in place of a signature of the image
		entry   func([]byte) *tlog.Entry
	}{
		{by: by, about: imageA, entry: logged}, // the good one
		{by: by, about: imageA, entry: elsewhere},
		{by: by, about: imageA, entry: promised},
		{by: by, about: imageB, entry: logged},
		{by: other, about: imageA, entry: logged},
		{by: other, about: imageA, entry: elsewhere},
		{by: by, about: imageA, payload: attestation, entry: logged},
		{by: other, about: imageA, payload: attestation, entry: logged},
	} {
		if part.payload != nil {
			add(part.by, part.payload, part.entry)
			continue // there is no such layer
		}
		add(part.by, verifytest.Statement(part.about), part.entry)
		layer(part.by, verifytest.SimpleSigning(repository, part.about), part.entry)
	}
	log.Grow(3)
	return a
}

// joints are where a bundle is taken apart.
func joints() [][]any {
	entry := func(path ...any) []any { return append(theFirstEntry(), path...) }
	return [][]any{
		{"dsseEnvelope"}, {"dsseEnvelope", "payload"}, {"dsseEnvelope", "signatures"},
		{"verificationMaterial", "certificate"}, {"verificationMaterial", "publicKey"}, {"verificationMaterial", "timestampVerificationData"},
		{"verificationMaterial", "tlogEntries"}, entry("logIndex"), entry("integratedTime"), entry("logId"), entry("kindVersion"), entry("canonicalizedBody"),
		entry("inclusionPromise"), entry("inclusionProof"), entry("inclusionProof", "logIndex"), entry("inclusionProof", "hashes"),
		entry("inclusionProof", "treeSize"), entry("inclusionProof", "rootHash"), entry("inclusionProof", "checkpoint"),
	}
}

func theFirstEntry() []any { return []any{"verificationMaterial", "tlogEntries", 0} }

// at is the value at a path, or nil.
func at(tree any, path []any) any {
	for _, step := range path {
		switch in := tree.(type) {
		case verifytest.BundleJSON:
			tree = in[step.(string)]
		case map[string]any:
			tree = in[step.(string)]
		case []any:
			tree = in[step.(int)]
		}
	}
	return tree
}

// bundle mixes a bundle, with one entry or with two.
func (a attacker) bundle(r *rand.Rand) verifytest.BundleJSON {
	pick := func() verifytest.BundleJSON { return a.parts[r.IntN(len(a.parts))] }
	b := pick()
	for _, joint := range joints() {
		if r.IntN(6) == 0 {
			b = b.Set(at(pick(), joint), joint...)
		}
	}
	if r.IntN(4) == 0 {
		entries := append([]any{at(pick(), theFirstEntry())}, at(b, theFirstEntry()[:2]).([]any)...)
		b = b.Set(entries, theFirstEntry()[:2]...)
	}
	return b
}

// layer mixes a layer.
func (a attacker) layer(t testing.TB, r *rand.Rand) verify.LegacySignature {
	t.Helper()
	pick := func() verify.LegacySignature { return a.legacy[r.IntN(len(a.legacy))] }
	s := pick()
	s.Payload = pick().Payload
	if r.IntN(2) == 0 {
		other := pick()
		s.Base64Signature, s.Payload = other.Base64Signature, other.Payload
	}
	if r.IntN(2) == 0 {
		s.Certificate = pick().Certificate
	}
	annotation := map[string]json.RawMessage{}
	for _, part := range []string{"SignedEntryTimestamp", "Payload"} {
		var from map[string]json.RawMessage
		if err := json.Unmarshal([]byte(pick().RekorBundle), &from); err != nil {
			t.Fatal(err)
		}
		annotation[part] = from[part]
	}
	text, err := json.Marshal(annotation)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(2) == 0 {
		s.RekorBundle = string(text)
	}
	return s
}

// TestNoMixtureOfGoodPartsIsGood: whatever an attacker takes apart and puts together,
// what is accepted is the one signature of the image that the signer made and logged.
func TestNoMixtureOfGoodPartsIsGood(t *testing.T) {
	keyed := newWorld(t)
	certified := newKeyless(t)
	certified.stampers = []root.TimestampingAuthority{certified.tsa.Authority()}
	thief := verifytest.NewSigner()
	stranger := thief.With(certified.fulcio.Issue(thief.Public(), verifytest.Names(uri("https://evil.example/x"))))
	for name, tt := range map[string]struct {
		attacker
		authority *verify.Authority
	}{
		"by key":         {steal(keyed.log, keyed.signer, thief, nil), keyed.authority},
		"by certificate": {steal(certified.log, certified.certified(), stranger, certified.tsa), certified.trusts(t)},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for form, mix := range map[string]func() verify.Signature{
				"bundle": func() verify.Signature { return tt.bundle(r).Verify() },
				"layer":  func() verify.Signature { return tt.layer(t, r) },
			} {
				genuine := map[string]string{"bundle": signedBy(t, tt.parts[0].Verify()), "layer": signedBy(t, tt.legacy[0])}[form]
				accepted := 0
				for range mixtures {
					s := mix()
					if reasonOf(tt.authority.Verify(t.Context(), imageA, []verify.Signature{s})) != verified {
						continue
					}
					accepted++
					if signedBy(t, s) != genuine {
						t.Fatalf("%s: accepted: %+v", form, s)
					}
				}
				t.Logf("%s: %d of %d mixtures are the good one", form, accepted, mixtures)
				if accepted == 0 || accepted == mixtures {
					t.Errorf("%s: %d of %d mixtures are accepted, so that nothing was tried", form, accepted, mixtures)
				}
			}
		})
	}
}
