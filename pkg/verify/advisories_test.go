// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// Past advisories of cosign, sigstore-go, policy-controller and their kin that apply
// to signatures by a key, and the test for each:
//
//	GHSA-ccxc-vr6p-4858  a valid bundle about another     TestValidEntryAboutSomethingElse
//	                     artifact is taken for this one's
//	GHSA-whqx-f9j3-ch6m  the entry is not held against    TestValidEntryAboutSomethingElse
//	                     artifact, signature and key
//	GHSA-vjxv-45g9-9296  an attestation check is passed    TestAttestationIsNoSignature
//	GHSA-739f-hw6h-7wq8  by another predicate              TestAttestationIsNoSignature
//	GHSA-8gw7-4j42-w388  what cannot be parsed is passed   TestParseFailureIsNoSuccess
//	GHSA-w6c6-c85g-mmv6  what cannot be parsed is passed   TestParseFailureIsNoSuccess
//	GHSA-vfp6-jrw2-99g9  endless data from a registry      TestEndlessDataEnds
//	GHSA-88jx-383q-w4qc  endless signatures                TestEndlessDataEnds
//	GHSA-95pr-fxf5-86gv  endless attestations              TestEndlessDataEnds
//	GHSA-cq38-jh5f-37mq  endless subjects and digests      TestEndlessDataEnds
//	GHSA-9vcr-p3rj-q5q6  one log counts twice              TestOneLogCountsOnce
//
// Not about keys, and so to be tested where certificates are verified:
// GHSA-wfqv-66vq-46rm (expired intermediate), GHSA-wqqc-jjcq-vfxm (key outside its
// validity), GHSA-xm5m-wgh2-rrg3 (timestamp certificate). The counts of manifests and
// layers in the four advisories about endless data are package registry's to cap.

func TestValidEntryAboutSomethingElse(t *testing.T) {
	w := newWorld(t)
	mine, other := w.signer, verifytest.NewSigner()
	payload := []byte(simple(imageA))
	good := mine.Legacy(payload)
	unlogged := func(entryOf verify.LegacySignature, by *verifytest.Signer) verify.LegacySignature {
		s := good
		s.RekorBundle = verifytest.Annotation(w.log.Promise(w.log.Append(by.HashedRekord(entryOf))))
		return s
	}
	later := mine.Legacy(payload)
	for name, test := range map[string]struct {
		signature verify.Signature
		want      verify.Reason
	}{
		"of another artifact, same key":           {signature: unlogged(mine.Legacy([]byte(simple(imageB))), mine), want: verify.LogEntryMismatch},
		"of the same artifact, another key":       {signature: unlogged(other.Legacy(payload), other), want: verify.LogEntryMismatch},
		"of the same artifact, another signature": {signature: unlogged(later, mine), want: verify.LogEntryMismatch},
		"of another artifact, another key":        {signature: unlogged(other.Legacy([]byte("x")), other), want: verify.LogEntryMismatch},
		"of a DSSE envelope": {signature: func() verify.Signature {
			_, e := w.bundle()
			s := good
			s.RekorBundle = verifytest.Annotation(e)
			return s
		}(), want: verify.LogEntryMismatch},
		"of itself, but the annotation of a neighbour": {signature: func() verify.Signature {
			s := w.legacy()
			s.RekorBundle = verifytest.Annotation(w.log.Promise(2))
			return s
		}(), want: verify.LogEntryMismatch},
	} {
		t.Run(name, func(t *testing.T) { want(t, w.verdict(t, test.signature), test.want) })
	}
	t.Run("in a bundle", func(t *testing.T) {
		b, _ := w.bundle()
		for i := range w.log.Size() - 1 {
			e := w.log.Entry(i, w.log.Size())
			want(t, w.verdict(t, b.Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries").Verify()), verify.LogEntryMismatch)
		}
	})
	t.Run("a signature of image A copied to image B", func(t *testing.T) {
		b, _ := w.bundle()
		for _, s := range []verify.Signature{w.legacy(), b.Verify()} {
			want(t, w.authority.Verify(t.Context(), imageB, []verify.Signature{s}), verify.SignatureInvalid)
		}
	})
}

func TestAttestationIsNoSignature(t *testing.T) {
	w := newWorld(t)
	var all []verify.Signature
	for _, predicate := range []string{
		"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document", "https://cyclonedx.org/bom",
		"https://cosign.sigstore.dev/attestation/v1", "https://cosign.sigstore.dev/attestation/vuln/v1", "custom", "",
		verifytest.SignPredicate + "x", "https://sigstore.dev/cosign/sign/v2",
	} {
		b, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.StatementOf(verifytest.StatementType, predicate, imageA)))
		want(t, w.verdict(t, b.Verify()), verify.NoSignature)
		all = append(all, b.Verify())
	}
	want(t, w.verdict(t, all...), verify.NoSignature)
	good, _ := w.bundle()
	want(t, w.verdict(t, append(all, good.Verify())...), verified)
}

func TestParseFailureIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	envelope := func(payloadType, payload string) verify.Signature {
		b, _ := w.bundleOf(w.signer.Envelope(payloadType, []byte(payload)))
		return b.Verify()
	}
	layer := func(payload string) verify.Signature { return w.signer.LoggedLegacy(w.log, []byte(payload)) }
	statement := string(verifytest.Statement(imageA))
	for name, s := range map[string]verify.Signature{
		"a layer that is not JSON":              layer("x"),
		"a layer that is half a document":       layer(simple(imageA)[:100]),
		"a layer and more":                      layer(simple(imageA) + "}"),
		"a layer with a number for digest":      layer(strings.Replace(simple(imageA), `"`+imageA+`"`, "7", 1)),
		"a layer with null for digest":          layer(strings.Replace(simple(imageA), `"`+imageA+`"`, "null", 1)),
		"a layer with null for critical":        layer(`{"critical":null}`),
		"a statement that is not JSON":          envelope(verifytest.PayloadType, "x"),
		"a statement that is half of one":       envelope(verifytest.PayloadType, statement[:40]),
		"a statement and more":                  envelope(verifytest.PayloadType, statement+"}"),
		"a statement with null for subject":     envelope(verifytest.PayloadType, `{"_type":"`+verifytest.StatementType+`","predicateType":"`+verifytest.SignPredicate+`","subject":null}`),
		"a statement with a subject of null":    envelope(verifytest.PayloadType, `{"_type":"`+verifytest.StatementType+`","predicateType":"`+verifytest.SignPredicate+`","subject":[null]}`),
		"a statement with a digest of null":     envelope(verifytest.PayloadType, `{"_type":"`+verifytest.StatementType+`","predicateType":"`+verifytest.SignPredicate+`","subject":[{"digest":{"sha256":null}}]}`),
		"a statement with a digest of a number": envelope(verifytest.PayloadType, `{"_type":"`+verifytest.StatementType+`","predicateType":"`+verifytest.SignPredicate+`","subject":[{"digest":{"sha256":7}}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.verdict(t, s), verify.SignatureInvalid)
			a := &verify.Authority{Keys: w.authority.Keys, InsecureIgnoreTlog: true}
			want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verify.SignatureInvalid)
		})
	}
}

func TestEndlessDataEnds(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := newWorld(t)
	b, _ := w.bundle()
	digests := make([]string, 2000)
	for i := range digests {
		digests[i] = imageB
	}
	digests[len(digests)-1] = imageA
	manySubjects, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.StatementOf(verifytest.StatementType, verifytest.SignPredicate, digests...)))
	deep, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, []byte(`{"predicate":`+strings.Repeat(`{"a":`, 100_000)+`1`+strings.Repeat("}", 100_001))))
	for name, test := range map[string]struct {
		signatures []verify.Signature
		want       verify.Reason
	}{
		"a bundle of 16 MiB and a byte":   {signatures: []verify.Signature{verify.Bundle{JSON: make([]byte, verify.MaxBundleBytes+1)}}, want: verify.LimitExceeded},
		"a bundle of 16 MiB of spaces":    {signatures: []verify.Signature{verify.Bundle{JSON: []byte(strings.Repeat(" ", verify.MaxBundleBytes))}}, want: verify.SignatureInvalid},
		"a payload of 8 MiB":              {signatures: []verify.Signature{b.Set(make([]byte, 8<<20), "dsseEnvelope", "payload").Verify()}, want: verify.SignatureInvalid},
		"100,000 signatures in one":       {signatures: []verify.Signature{b.Set(slicesOf(map[string]any{"sig": []byte{1}}, 100_000), "dsseEnvelope", "signatures").Verify()}, want: verify.LimitExceeded},
		"100,000 log entries":             {signatures: []verify.Signature{b.Set(slicesOf(map[string]any{}, 100_000), "verificationMaterial", "tlogEntries").Verify()}, want: verify.LimitExceeded},
		"2,000 subjects by the right key": {signatures: []verify.Signature{manySubjects.Verify()}, want: verified},
		"a statement 100,000 deep":        {signatures: []verify.Signature{deep.Verify()}, want: verify.SignatureInvalid},
		"10,000 empty signatures":         {signatures: many(10_000, verify.LegacySignature{}, verify.Bundle{}), want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			want(t, w.verdict(t, test.signatures...), test.want)
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestOneLogCountsOnce: the threshold counts keys of logs, whatever else differs.
func TestOneLogCountsOnce(t *testing.T) {
	w := newWorld(t)
	b, e := w.bundle()
	again := *e
	again.Inclusion = w.log.Entry(7, w.log.Size()).Inclusion // signed anew
	twice := b.Set([]any{verifytest.EntryJSON(e), verifytest.EntryJSON(&again)}, "verificationMaterial", "tlogEntries").Verify()

	// The same key under another name, as another shard, and in another history.
	alias := w.log.Fork(w.log.Size())
	alias.Hostname, alias.TreeID = "alias.example.test", 7
	aliasServer := tlogtest.NewServer(alias)
	t.Cleanup(aliasServer.Close)
	second := tlogtest.New("second.example.test")
	provers := logs(
		w.authority.Logs[0],
		proverFor(t, "alias", alias, aliasServer, tlog.NewMemoryHistory()),
		proverFor(t, "again", w.log, w.server, tlog.NewMemoryHistory()),
	)
	a := &verify.Authority{Keys: w.authority.Keys, Logs: provers, LogThreshold: 2}
	want(t, a.Verify(t.Context(), imageA, []verify.Signature{twice}), verify.PolicyNotReady)

	a.Logs = append(slices.Clone(provers), proverFor(t, "second", second, nil, tlog.NewMemoryHistory()))
	for name, s := range map[string]verify.Signature{"once": b.Verify(), "twice": twice, "legacy": w.legacy()} {
		t.Run(name, func(t *testing.T) {
			if got := reasonOf(a.Verify(t.Context(), imageA, []verify.Signature{s})); got == verified {
				t.Error("one log counts twice")
			}
		})
	}
}
