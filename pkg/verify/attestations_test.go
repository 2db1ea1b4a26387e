// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// says is a statement about image A whose predicate is the text.
func says(predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":%q,"predicateType":%q,"subject":[{"digest":{"sha256":%q}}],"predicate":%q}`, statement, spdx, imageA[7:], predicate)
}

// attests is a logged bundle with that statement.
func (w *world) attests(by *verifytest.Signer, predicate string) verify.Signature {
	return by.LoggedBundle(w.log, says(predicate))
}

// replaced is an envelope with one of its base64 values in the place of another.
func replaced(t *testing.T, envelope, old, by []byte) []byte {
	t.Helper()
	encoded := func(value []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(value)) }
	if !bytes.Contains(envelope, encoded(old)) {
		t.Fatal("the envelope does not hold it")
	}
	return bytes.Replace(envelope, encoded(old), encoded(by), 1)
}

// predicates are those that the verdict hands on, sorted and without their quotes.
func predicates(t *testing.T, v verify.Verdict) []string {
	t.Helper()
	good, ok := v.(verify.Verified)
	if !ok {
		t.Fatalf("got %v, want Verified", v)
	}
	var texts []string
	for _, a := range good.Evidence.Attestations {
		texts = append(texts, string(a.Predicate[1:len(a.Predicate)-1]))
		if len(a.Proofs) != 1 || a.Signer == "" || a.Name != "sbom" {
			t.Errorf("%s: name %q, signer %q, %d proofs", a.Predicate, a.Name, a.Signer, len(a.Proofs))
		}
	}
	slices.Sort(texts)
	return texts
}

// TestAllGoodAttestationsAreHandedOn of one requirement, and no other, in whatever order
// they lie there.
func TestAllGoodAttestationsAreHandedOn(t *testing.T) {
	for name, test := range map[string]struct {
		beside func(*testing.T, *world) []verify.Signature
		anyOne bool
		want   []string
	}{
		"one": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attests(w.signer, "a")}
		}, want: []string{"a"}},
		"two": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attests(w.signer, "a"), w.attests(w.signer, "b")}
		}, want: []string{"a", "b"}},
		"two, of which any is enough": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attests(w.signer, "a"), w.attests(w.signer, "b")}
		}, anyOne: true, want: []string{"a"}},
		"two in two formats": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			return []verify.Signature{w.layer(t, w.signer.Envelope(verifytest.PayloadType, says("a"))), w.attests(w.signer, "b")}
		}, want: []string{"a", "b"}},
		"one of several signers": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			second := verifytest.NewSigner()
			w.authority.Keys = append(w.authority.Keys, keyOf(t, second, ""))
			return []verify.Signature{w.attests(w.signer, "a"), w.attests(second, "b")}
		}, want: []string{"a", "b"}},
		"one by a stranger": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attests(verifytest.NewSigner(), "a"), w.attests(w.signer, "b")}
		}, want: []string{"b"}},
		"one with the log entry of another": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			other := w.layer(t, w.signer.Envelope(verifytest.PayloadType, says("a")))
			other.RekorBundle = w.legacyAttested(t, statement, vuln, imageA).RekorBundle
			return []verify.Signature{other, w.attests(w.signer, "b")}
		}, want: []string{"b"}},
		"one that was changed": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			changed := w.layer(t, w.signer.Envelope(verifytest.PayloadType, says("a")))
			changed.Envelope = replaced(t, changed.Envelope, says("a"), says("c"))
			return []verify.Signature{changed, w.attests(w.signer, "b")}
		}, want: []string{"b"}},
		"one about another image, one of another type": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attestedBy(w.signer, statement, spdx, imageB), w.attestedBy(w.signer, statement, vuln, imageA), w.attests(w.signer, "b")}
		}, want: []string{"b"}},
		"two hundred copies of one": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return append(slices.Repeat([]verify.Signature{w.attests(w.signer, "a")}, 200), w.attests(w.signer, "b"))
		}, want: []string{"a", "b"}},
		"a copy with another signature in its place first": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			own, strange := w.signer.Envelope(verifytest.PayloadType, says("a")), verifytest.NewSigner().Envelope(verifytest.PayloadType, says("a"))
			stolen := w.layer(t, own)
			stolen.Envelope = replaced(t, stolen.Envelope, own.Signatures[0], strange.Signatures[0])
			return []verify.Signature{stolen, w.attests(w.signer, "a")}
		}, want: []string{"a"}},
		"the image's signature among them": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attests(w.signer, "a"), verify.Bundle{JSON: []byte("{")}}
		}, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			beside := test.beside(t, w)
			w.authority.SkipSignature = true
			w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx, AnyOne: test.anyOne}}
			if got := predicates(t, w.verdict(t, beside...)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if test.anyOne {
				return
			}
			slices.Reverse(beside)
			if got := predicates(t, w.verdict(t, beside...)); !slices.Equal(got, test.want) {
				t.Errorf("the other way round: got %q, want %q", got, test.want)
			}
		})
	}
}

// TestAttestationsThatHideNone: where all are asked for, what cannot be shown in full is not
// shown in part.
func TestAttestationsThatHideNone(t *testing.T) {
	sbom := []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}}
	many := func(w *world, n int) []verify.Signature {
		var all []verify.Signature
		for i := range n {
			all = append(all, w.attests(w.signer, fmt.Sprint(i)))
		}
		return all
	}
	t.Run("as many as are handed on", func(t *testing.T) {
		w := newWorld(t)
		w.authority.Attestations, w.authority.SkipSignature = sbom, true
		if got := predicates(t, w.verdict(t, many(w, verify.MaxAccepted)...)); len(got) != verify.MaxAccepted {
			t.Errorf("%d are handed on", len(got))
		}
	})
	t.Run("one more", func(t *testing.T) {
		w := newWorld(t)
		w.authority.Attestations, w.authority.SkipSignature = sbom, true
		want(t, w.verdict(t, many(w, verify.MaxAccepted+1)...), verify.LimitExceeded)
	})
	for _, anyOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("one that nobody can judge, where any is enough: %t", anyOne), func(t *testing.T) {
			w := newWorld(t)
			w.authority.SkipSignature = true
			w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx, AnyOne: anyOne}}
			good, unproven := w.attests(w.signer, "a"), w.layer(t, w.signer.Envelope(verifytest.PayloadType, says("b")))
			want(t, w.verdict(t, good), verified)
			away(w.server)
			outcome := verify.LogUnavailable
			if anyOne {
				outcome = verified
			}
			want(t, w.verdict(t, unproven, good), outcome)
			want(t, w.verdict(t, good, unproven), outcome)
		})
	}
	t.Run("time that runs out", func(t *testing.T) {
		w := newWorld(t)
		w.authority.Attestations, w.authority.SkipSignature = sbom, true
		late, cancel := context.WithCancel(t.Context())
		cancel()
		want(t, w.authority.Verify(late, imageA, []verify.Signature{w.attests(w.signer, "a")}), verify.DeadlineExceeded)
	})
}

// TestEvidenceWithoutContent holds no predicate, and leaves the evidence that it is of as it was.
func TestEvidenceWithoutContent(t *testing.T) {
	w := newWorld(t)
	w.authority.Attestations, w.authority.SkipSignature = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}}, true
	good, ok := w.verdict(t, w.attests(w.signer, "a"), w.attests(w.signer, "b")).(verify.Verified)
	if !ok {
		t.Fatal("it is refused")
	}
	for _, a := range good.Evidence.WithoutContent().Attestations {
		if a.Predicate != nil {
			t.Errorf("it holds %s", a.Predicate)
		}
		if len(a.Proofs) != 1 || a.Signer == "" {
			t.Errorf("it lacks who attested: %+v", a)
		}
	}
	for _, a := range good.Evidence.Attestations {
		if len(a.Predicate) == 0 {
			t.Error("the predicate is gone from where it was")
		}
	}
}

// TestEachAttestationHasItsOwnEvidence: who made which, and its own proof, and those of one
// requirement beside those of another.
func TestEachAttestationHasItsOwnEvidence(t *testing.T) {
	w := newWorld(t)
	second := verifytest.NewSigner()
	w.authority.Keys = append(w.authority.Keys, keyOf(t, second, ""))
	w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}, {Name: "scan", PredicateType: vuln}}
	image, _ := w.bundle()
	good, ok := w.verdict(t, image.Verify(), w.attests(w.signer, "a"), w.attests(second, "b"), w.attestedBy(w.signer, statement, vuln, imageA)).(verify.Verified)
	if !ok {
		t.Fatal("it is refused")
	}
	type found struct{ name, signer, predicate string }
	var got []found
	indexes := map[int64]bool{good.Evidence.Proofs[0].Index(): true}
	for _, a := range good.Evidence.Attestations {
		got = append(got, found{a.Name, a.Signer, string(a.Predicate)})
		indexes[a.Proofs[0].Index()] = true
	}
	first, other := w.authority.Keys[0].String(), w.authority.Keys[1].String()
	if want := []found{{"sbom", first, `"a"`}, {"sbom", other, `"b"`}, {"scan", first, "{}"}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(indexes) != 4 {
		t.Errorf("the four signatures have proofs of %d entries", len(indexes))
	}
	if verify.HoldsContent(good.Evidence) {
		t.Error("the verdict holds what was signed as the image's signature")
	}
}
