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
const mixtures = 500

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
	foreign := tlogtest.New("rekor.evil.example")
	body := (*verifytest.Signer).DSSE
	if log.Version == tlog.RekorV2 {
		foreign = tlogtest.NewTiled("rekor.evil.example")
		body = (*verifytest.Signer).HashedRekordV2Of
	}
	foreign.Grow(9)
	forked := log.Fork(log.Size())
	attestation := verifytest.StatementOf(verifytest.StatementType, spdx, imageA)
	parts := []struct {
		by    *verifytest.Signer
		about string
		in    *tlogtest.Log
		// statement is one of another kind than that of an image signature.
		statement []byte
	}{
		{by: by, about: imageA, in: log}, // the good one
		{by: by, about: imageA, in: foreign},
		{by: by, about: imageA, in: forked}, // promised, and never kept
		{by: by, about: imageB, in: log},
		{by: other, about: imageA, in: log},
		{by: other, about: imageA, in: foreign},
		{by: by, statement: attestation, in: log},
		{by: other, statement: attestation, in: log},
	}
	var a attacker
	var later []func()
	for _, part := range parts {
		statement := part.statement
		if statement == nil {
			statement = verifytest.Statement(part.about)
		}
		envelope := part.by.Envelope(verifytest.PayloadType, statement)
		index := part.in.Append(body(part.by, envelope))
		later = append(later, func() { // when the logs have grown
			entry := part.in.Promise(index)
			if part.in != forked {
				entry = part.in.Entry(index, part.in.Size())
			}
			b := part.by.Bundle(envelope, entry)
			if tsa != nil {
				b = b.Stamped(tsa.Stamp(envelope.Signatures[0], verifytest.SigningTime()))
			}
			a.parts = append(a.parts, b)
		})
		if part.statement != nil || log.Version == tlog.RekorV2 {
			continue // there is no such layer
		}
		layer := part.by.Legacy(verifytest.SimpleSigning(repository, part.about))
		layer.RekorBundle = verifytest.Annotation(part.in.Promise(part.in.Append(part.by.HashedRekord(layer))))
		a.legacy = append(a.legacy, layer)
	}
	log.Grow(3)
	for _, build := range later {
		build()
	}
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
	second := tlogtest.NewTiled("log.example.test")
	second.Grow(5)
	inSecond := func(a *verify.Authority, either bool) *verify.Authority {
		moved := *a
		moved.Logs = configured(t, second, tlog.RekorV2, either)
		return &moved
	}
	for name, tt := range map[string]struct {
		attacker
		authority *verify.Authority
	}{
		"by key":                      {steal(keyed.log, keyed.signer, thief, nil), keyed.authority},
		"by certificate":              {steal(certified.log, certified.certified(), stranger, certified.tsa), certified.trusts(t)},
		"by key, in Rekor v2":         {steal(second, keyed.signer, thief, nil), inSecond(keyed.authority, false)},
		"by certificate, in Rekor v2": {steal(second, certified.certified(), stranger, certified.tsa), inSecond(certified.trusts(t), false)},
		"by key, in Rekor v1 or v2":   {steal(second, keyed.signer, thief, certified.tsa), inSecond(keyed.authority, true)},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			forms := map[string]func() verify.Signature{"bundle": func() verify.Signature { return tt.bundle(r).Verify() }}
			if len(tt.legacy) > 0 {
				forms["layer"] = func() verify.Signature { return tt.layer(t, r) }
			}
			for form, mix := range forms {
				var genuine string
				if form == "bundle" {
					genuine = signedBy(t, tt.parts[0].Verify())
				} else {
					genuine = signedBy(t, tt.legacy[0])
				}
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
