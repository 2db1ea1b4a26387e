// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestKeyOfALogOutsideItsValidity: GHSA-wqqc-jjcq-vfxm, of a log's key. Whether the log or
// a timestamp authority says when, the key must have been valid then.
func TestKeyOfALogOutsideItsValidity(t *testing.T) {
	at := func(d time.Duration) time.Time { return verifytest.SigningTime().Add(d) }
	promised := func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }
	stamped := func(k *keyless, s signed) verifytest.BundleJSON {
		return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at(0)))
	}
	for name, test := range map[string]struct {
		validity tlog.Validity
		bundle   func(*keyless, signed) verifytest.BundleJSON
		want     verify.Reason
	}{
		"the log says when, no validity":                       {bundle: promised, want: verified},
		"the log says when, within":                            {tlog.Validity{NotBefore: at(-time.Hour), NotAfter: at(time.Hour)}, promised, verified},
		"the log says when, to the second":                     {tlog.Validity{NotBefore: at(0), NotAfter: at(0)}, promised, verified},
		"the log says when, a second after the end":            {tlog.Validity{NotAfter: at(-time.Second)}, promised, verify.TimestampInvalid},
		"the log says when, a second before the beginning":     {tlog.Validity{NotBefore: at(time.Second)}, promised, verify.TimestampInvalid},
		"an authority says when, within":                       {tlog.Validity{NotBefore: at(-time.Hour), NotAfter: at(time.Hour)}, stamped, verified},
		"an authority says when, to the second":                {tlog.Validity{NotBefore: at(0), NotAfter: at(0)}, stamped, verified},
		"an authority says when, a second after the end":       {tlog.Validity{NotAfter: at(-time.Second)}, stamped, verify.TimestampInvalid},
		"an authority says when, a second before the start":    {tlog.Validity{NotBefore: at(time.Second)}, stamped, verify.TimestampInvalid},
		"an authority says when, the log says something else":  {tlog.Validity{NotBefore: at(-time.Hour), NotAfter: at(time.Hour)}, promisedAndStamped(time.Minute), verified},
		"an authority that nobody trusts says that it is fine": {tlog.Validity{NotAfter: at(-time.Second)}, stampedByAStranger, verify.TimestampInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
			log, err := tlog.NewLog(tlog.Config{
				Name: "corp", Version: tlog.RekorV1, Origin: k.log.Hostname, Key: k.log.PublicKey(), Validity: test.validity,
			})
			if err != nil {
				t.Fatal(err)
			}
			k.authority.Logs = logs(tlog.NewProver(log, dial(t, k.server.URL), tlog.NewMemoryHistory()))
			var s signed
			s.bundle, s.entry, s.signature = k.bundleBy(k.certified())
			v := k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{test.bundle(k, s).Verify()})
			want(t, v, test.want)
		})
	}
}

// promisedAndStamped has the log's promise and a timestamp that is later.
func promisedAndStamped(later time.Duration) func(*keyless, signed) verifytest.BundleJSON {
	return func(k *keyless, s signed) verifytest.BundleJSON {
		return s.bundle.Stamped(k.tsa.Stamp(s.signature, verifytest.SigningTime().Add(later)))
	}
}

// stampedByAStranger has the log's promise, and the timestamp of another authority before.
func stampedByAStranger(_ *keyless, s signed) verifytest.BundleJSON {
	return s.bundle.Stamped(verifytest.NewTSA().Stamp(s.signature, verifytest.SigningTime().Add(-time.Minute)))
}

// TestWitnessQuorumIsAReason: too few witnesses are a rejection of their own, which says
// who is missing, and comes after all that could be wrong with the proof itself.
func TestWitnessQuorumIsAReason(t *testing.T) {
	w := newWorld(t)
	witness := tlogtest.NewWitness("w.example")
	policy, err := tlog.ParseWitnessPolicy("witness W " + witness.VerifierKey() + "\nquorum W\n")
	if err != nil {
		t.Fatal(err)
	}
	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: w.log.Hostname, Key: w.log.PublicKey(), Witnesses: policy})
	if err != nil {
		t.Fatal(err)
	}
	w.authority.Logs = logs(tlog.NewProver(log, dial(t, w.server.URL), w.history))
	b, _ := w.bundle()
	rejected := w.verdict(t, b.Verify())
	want(t, rejected, verify.WitnessQuorumNotMet)
	if text := rejected.String(); !strings.Contains(text, "cosigned by none; missing W") {
		t.Errorf("the verdict %q does not say who is missing", text)
	}
	want(t, w.verdict(t, w.signer.Legacy([]byte("{}")), b.Verify()), verify.WitnessQuorumNotMet)

	w.server.Cosign(func(note string) string { return witness.Cosign(note, time.Now()) })
	want(t, w.verdict(t, b.Verify()), verified)
}
