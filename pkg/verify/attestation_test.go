// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const (
	spdx      = "https://spdx.dev/Document"
	vuln      = "https://cosign.sigstore.dev/attestation/vuln/v1"
	statement = verifytest.StatementType
)

// attestedBy is a logged attestation about digests as a bundle.
func (w *world) attestedBy(by *verifytest.Signer, kind, predicateType string, digests ...string) verify.Signature {
	return by.LoggedBundle(w.log, verifytest.StatementOf(kind, predicateType, digests...))
}

// layer is an envelope as a layer of cosign's .att image, logged.
func (w *world) layer(t *testing.T, e verifytest.Envelope) verify.LegacyAttestation {
	t.Helper()
	index := w.log.Append(w.signer.DSSE(e))
	type signature struct {
		Sig []byte `json:"sig"`
	}
	layer := struct {
		PayloadType string      `json:"payloadType"`
		Payload     []byte      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}{PayloadType: e.PayloadType, Payload: e.Payload}
	for _, sig := range e.Signatures {
		layer.Signatures = append(layer.Signatures, signature{sig})
	}
	text, err := json.Marshal(layer)
	if err != nil {
		t.Fatal(err)
	}
	return verify.LegacyAttestation{Envelope: text, RekorBundle: verifytest.Annotation(w.log.Promise(index))}
}

func (w *world) legacyAttested(t *testing.T, kind, predicateType, digest string) verify.LegacyAttestation {
	t.Helper()
	return w.layer(t, w.signer.Envelope(verifytest.PayloadType, verifytest.StatementOf(kind, predicateType, digest)))
}

func TestAttestations(t *testing.T) {
	sbom := []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}}
	for name, test := range map[string]struct {
		requires []verify.AttestationRequirement // sbom if nil
		skip     bool
		beside   func(*testing.T, *world) []verify.Signature
		want     verify.Reason
	}{
		"a bundle": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, statement, spdx, imageA)}
		}, want: verified},
		"a bundle with a statement of in-toto v0.1": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, "https://in-toto.io/Statement/v0.1", spdx, imageA)}
		}, want: verified},
		"a layer of a .att image": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			return []verify.Signature{w.legacy(), w.legacyAttested(t, statement, spdx, imageA)}
		}, want: verified},
		"one about several images": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, statement, spdx, imageB, imageA)}
		}, want: verified},
		"alone, where no signature is asked for": {skip: true, beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attestedBy(w.signer, statement, spdx, imageA)}
		}, want: verified},
		"both of two": {
			requires: []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}, {Name: "scan", PredicateType: vuln}},
			beside: func(t *testing.T, w *world) []verify.Signature {
				t.Helper()
				return []verify.Signature{w.legacyAttested(t, statement, vuln, imageA), w.attestedBy(w.signer, statement, spdx, imageA), w.legacy()}
			}, want: verified,
		},
		"one of two": {
			requires: []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}, {Name: "scan", PredicateType: vuln}},
			beside: func(_ *testing.T, w *world) []verify.Signature {
				return []verify.Signature{w.legacy(), w.attestedBy(w.signer, statement, spdx, imageA)}
			}, want: verify.AttestationMissing,
		},
		"alone, where a signature is asked for, too": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.attestedBy(w.signer, statement, spdx, imageA)}
		}, want: verify.NoSignature},
		"none": {beside: func(_ *testing.T, w *world) []verify.Signature { return []verify.Signature{w.legacy()} }, want: verify.AttestationMissing},
		"of another predicate type": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, statement, vuln, imageA)}
		}, want: verify.AttestationMissing},
		"an image signature in its place": {beside: func(_ *testing.T, w *world) []verify.Signature {
			b, _ := w.bundle()
			return []verify.Signature{b.Verify(), w.legacy()}
		}, want: verify.AttestationMissing},
		"an image signature that is asked for as an attestation": {
			requires: []verify.AttestationRequirement{{Name: "x", PredicateType: verifytest.SignPredicate}},
			beside: func(_ *testing.T, w *world) []verify.Signature {
				b, _ := w.bundle()
				return []verify.Signature{b.Verify()}
			}, want: verify.PolicyNotReady,
		},
		"about another image": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, statement, spdx, imageB)}
		}, want: verify.AttestationInvalid},
		"in a layer, about another image": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			return []verify.Signature{w.legacy(), w.legacyAttested(t, statement, spdx, imageB)}
		}, want: verify.AttestationInvalid},
		"a statement of an unknown type": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(w.signer, "https://in-toto.io/Statement/v2", spdx, imageA)}
		}, want: verify.AttestationInvalid},
		"by another key": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), w.attestedBy(verifytest.NewSigner(), statement, spdx, imageA)}
		}, want: verify.KeyMismatch},
		"in no log": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			layer := w.legacyAttested(t, statement, spdx, imageA)
			layer.RekorBundle = ""
			return []verify.Signature{w.legacy(), layer}
		}, want: verify.NotLogged},
		"with the log entry of another": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			layer := w.legacyAttested(t, statement, spdx, imageA)
			layer.RekorBundle = w.legacyAttested(t, statement, vuln, imageA).RekorBundle
			return []verify.Signature{w.legacy(), layer}
		}, want: verify.LogEntryMismatch},
		"with two signatures in the envelope": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			e := w.signer.Envelope(verifytest.PayloadType, verifytest.StatementOf(statement, spdx, imageA))
			good := w.layer(t, e)
			e.Signatures = append(e.Signatures, e.Signatures[0])
			double := good
			double.Envelope = w.layer(t, e).Envelope
			return []verify.Signature{w.legacy(), double}
		}, want: verify.AttestationInvalid},
		"with another payload type": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			return []verify.Signature{w.legacy(), w.layer(t, w.signer.Envelope("text/plain", verifytest.StatementOf(statement, spdx, imageA)))}
		}, want: verify.AttestationInvalid},
		"an envelope that does not parse": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), verify.LegacyAttestation{Envelope: []byte("{")}}
		}, want: verify.AttestationInvalid},
		"an envelope without end": {beside: func(_ *testing.T, w *world) []verify.Signature {
			return []verify.Signature{w.legacy(), verify.LegacyAttestation{Envelope: make([]byte, verify.MaxBundleBytes+1)}}
		}, want: verify.LimitExceeded},
		"a worthless one beside a good one": {beside: func(t *testing.T, w *world) []verify.Signature {
			t.Helper()
			return []verify.Signature{w.legacy(), w.legacyAttested(t, statement, spdx, imageB), w.legacyAttested(t, statement, spdx, imageA)}
		}, want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.authority.Attestations, w.authority.SkipSignature = slices.Clone(sbom), test.skip
			if test.requires != nil {
				w.authority.Attestations = test.requires
			}
			beside := test.beside(t, w)
			want(t, w.verdict(t, beside...), test.want)
			for i := range w.authority.Attestations {
				w.authority.Attestations[i].AnyOne = true
			}
			want(t, w.verdict(t, beside...), test.want)
		})
	}
}

func TestEvidenceNamesEachAttestation(t *testing.T) {
	w := newWorld(t)
	w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: verify.PredicateType("spdxjson")}}
	verdict, ok := w.verdict(t, w.legacy(), w.attestedBy(w.signer, statement, spdx, imageA)).(verify.Verified)
	if !ok || len(verdict.Evidence.Attestations) != 1 {
		t.Fatalf("got %+v, want one attestation", verdict)
	}
	got := verdict.Evidence.Attestations[0]
	if len(got.Proofs) != 1 || got.Proofs[0] == verdict.Evidence.Proofs[0] {
		t.Errorf("proofs are %v, want one of its own", got.Proofs)
	}
	if string(got.Predicate) != "{}" {
		t.Errorf("the predicate is %q, want what was signed", got.Predicate)
	}
	got.Proofs, got.Predicate = nil, nil
	if diff := cmp.Diff(verify.AttestationEvidence{Name: "sbom", PredicateType: spdx, Signer: verdict.Evidence.Signer}, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// TestThePredicateIsHandedOn as it was signed, of the attestation that was accepted.
func TestThePredicateIsHandedOn(t *testing.T) {
	about := func(fields string) []byte {
		return []byte(`{"_type":"` + statement + `","predicateType":"` + spdx + `","subject":[{"digest":{"sha256":"` + imageA[7:] + `"}}]` + fields + `}`)
	}
	big := `{"packages":["` + strings.Repeat("x", 900<<10) + `"]}`
	for name, tt := range map[string]struct {
		fields, want string
		refused      verify.Reason
	}{
		"an object":                      {fields: `,"predicate":{"b": 1.0, "a":[9007199254740993]}`, want: `{"b": 1.0, "a":[9007199254740993]}`},
		"none":                           {},
		"null":                           {fields: `,"predicate":null`, want: "null"},
		"a large one":                    {fields: `,"predicate":` + big, want: big},
		"another one in capitals":        {fields: `,"predicate":{"a":1},"Predicate":{"a":2}`, refused: verify.AttestationInvalid},
		"two":                            {fields: `,"predicate":{"a":1},"predicate":{"a":2}`, refused: verify.AttestationInvalid},
		"two, one by an escaped name":    {fields: `,"predicate":{"a":1},"\u0070redicate":{"a":2}`, refused: verify.AttestationInvalid},
		"one that says something twice":  {fields: `,"predicate":{"a":1,"a":2}`, want: `{"a":1,"a":2}`},
		"a text":                         {fields: `,"predicate":"a"`, want: `"a"`},
		"two types, the wanted one last": {fields: `,"predicateType":"` + spdx + `"`, refused: verify.AttestationInvalid},
		"another type in capitals":       {fields: `,"PREDICATETYPE":"` + vuln + `"`, refused: verify.AttestationInvalid},
		"another subject with a long s":  {fields: `,"ſubject":[]`, refused: verify.AttestationInvalid},
		"the same subject, a long s":     {fields: `,"ſubject":[{"digest":{"sha256":"` + imageA[7:] + `"}}]`, refused: verify.AttestationInvalid},
		"another subject in capitals":    {fields: `,"Subject":[{"digest":{"sha256":"` + imageB[7:] + `"}}]`, refused: verify.AttestationInvalid},
		"something after it":             {fields: `}{`, refused: verify.AttestationInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}}
			envelope := w.signer.Envelope(verifytest.PayloadType, about(tt.fields))
			for form, s := range map[string]verify.Signature{
				"a bundle": w.signer.LoggedBundle(w.log, about(tt.fields)), "a layer": w.layer(t, envelope),
			} {
				verdict := w.verdict(t, w.legacy(), s, w.attestedBy(w.signer, statement, vuln, imageA))
				if tt.refused != "" {
					want(t, verdict, tt.refused)
					continue
				}
				found, ok := verdict.(verify.Verified)
				if !ok || len(found.Evidence.Attestations) != 1 || string(found.Evidence.Attestations[0].Predicate) != tt.want {
					t.Errorf("%s: got %.200s, want the predicate %.200q", form, verdict, tt.want)
					continue
				}
				if report, err := json.Marshal(found.Evidence); err != nil || strings.Contains(string(report), "9007199254740993") {
					t.Errorf("%s: the report is %s, %v", form, report, err)
				}
			}
		})
	}
}

func TestEvidenceOfAttestationsAloneNamesWhoAttested(t *testing.T) {
	w := newWorld(t)
	w.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: spdx}}
	w.authority.SkipSignature = true
	verdict, ok := w.verdict(t, w.attestedBy(w.signer, statement, spdx, imageA)).(verify.Verified)
	if !ok || verdict.Evidence.Signer != w.authority.Keys[0].String() {
		t.Errorf("got %+v, want the signer of the attestation", verdict)
	}
}

func TestAuthorityThatAsksForNothingIsRefused(t *testing.T) {
	w := newWorld(t)
	w.authority.SkipSignature = true
	want(t, w.verdict(t, w.legacy()), verify.PolicyNotReady)
	if w.authority.NeedsAttestations() {
		t.Error("it says that it needs attestations")
	}
}

// TestPredicateTypes by the names that `cosign attest --type` has for them, as cosign v3.1.3 writes
// them into statements (cmd/cosign/cli/options/predicate.go); all others stand for themselves.
func TestPredicateTypes(t *testing.T) {
	for name, want := range map[string]string{
		"custom":                "https://cosign.sigstore.dev/attestation/v1",
		"cyclonedx":             "https://cyclonedx.org/bom",
		"link":                  "https://in-toto.io/Link/v1",
		"openvex":               "https://openvex.dev/ns",
		"slsaprovenance":        "https://slsa.dev/provenance/v0.2",
		"slsaprovenance02":      "https://slsa.dev/provenance/v0.2",
		"slsaprovenance1":       "https://slsa.dev/provenance/v1",
		"spdx":                  "https://spdx.dev/Document",
		"spdxjson":              "https://spdx.dev/Document",
		"vuln":                  "https://cosign.sigstore.dev/attestation/vuln/v1",
		"https://example.com/x": "https://example.com/x",
		"SPDXJSON":              "SPDXJSON",
		"":                      "",
	} {
		if got := verify.PredicateType(name); got != want {
			t.Errorf("%s stands for %q, want %q", name, got, want)
		}
	}
}
