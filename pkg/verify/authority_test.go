// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

func TestValidate(t *testing.T) {
	w := newWorld(t)
	key, log := w.authority.Keys[0], w.authority.Logs[0]
	for name, test := range map[string]struct {
		authority verify.Authority
		want      string // of the error; empty wants none
	}{
		"a key and a log":                            {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(log)}},
		"a key and no log, as asked for":             {authority: verify.Authority{Keys: []verify.Key{key}, InsecureIgnoreTlog: true}},
		"nothing":                                    {want: "no key"},
		"no key":                                     {authority: verify.Authority{Logs: logs(log)}, want: "no key"},
		"a key that was never parsed":                {authority: verify.Authority{Keys: []verify.Key{key, {}}, Logs: logs(log)}, want: "not parsed"},
		"no log":                                     {authority: verify.Authority{Keys: []verify.Key{key}}, want: "no log"},
		"a log that is nil":                          {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(nil)}, want: "not there"},
		"a log, and it is to be ignored":             {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(log), InsecureIgnoreTlog: true}, want: "exclude"},
		"a threshold above the number of logs":       {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(log), LogThreshold: 2}, want: "threshold"},
		"a threshold above the number of keys":       {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(log, log, log), LogThreshold: 2}, want: "threshold"},
		"a threshold of the largest number there is": {authority: verify.Authority{Keys: []verify.Key{key}, Logs: logs(log), LogThreshold: int(^uint(0) >> 1)}, want: "threshold"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.authority.Validate()
			if (test.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if err != nil {
				want(t, test.authority.Verify(t.Context(), imageA, []verify.Signature{w.legacy()}), verify.PolicyNotReady)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	w := newWorld(t)
	s := w.legacy()
	for name, digest := range map[string]string{
		"empty":                 "",
		"the algorithm alone":   "sha256:",
		"no algorithm":          imageA[7:],
		"another algorithm":     "sha512:" + strings.Repeat("0a", 64),
		"a digit less":          imageA[:len(imageA)-1],
		"a digit more":          imageA + "0",
		"capitals":              "sha256:" + strings.Repeat("0A", 32),
		"algorithm in capitals": "SHA256:" + imageA[7:],
		"not hexadecimal":       "sha256:" + strings.Repeat("0g", 32),
		"a space":               imageA + " ",
		"a newline":             imageA + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.authority.Verify(t.Context(), digest, []verify.Signature{s}), verify.SignatureInvalid)
			if verify.CheckDigest(digest) == nil {
				t.Error("accepted")
			}
		})
	}
	if err := verify.CheckDigest(imageA); err != nil {
		t.Error(err)
	}
}

// TestManySignatures looks at what lies beside one another.
func TestManySignatures(t *testing.T) {
	w := newWorld(t)
	good := w.legacy()
	goodBundle, _ := w.bundle()
	notLogged := w.signer.Legacy([]byte(simple(imageA)))
	ofB := w.signer.LoggedLegacy(w.log, []byte(simple(imageB)))
	byOther := verifytest.NewSigner().LoggedLegacy(w.log, []byte(simple(imageA)))
	provenance, _ := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", imageA)))
	broken := verify.Bundle{JSON: []byte("{")}
	large := verify.Bundle{JSON: make([]byte, verify.MaxBundleBytes+1)}
	inOther := w.signer.LoggedLegacy(tlogtest.New("other.example.test"), []byte(simple(imageA)))
	for name, test := range map[string]struct {
		signatures []verify.Signature
		want       verify.Reason
	}{
		"none":                                        {want: verify.NoSignature},
		"an empty list":                               {signatures: []verify.Signature{}, want: verify.NoSignature},
		"nil":                                         {signatures: []verify.Signature{nil}, want: verify.SignatureInvalid},
		"an attestation":                              {signatures: []verify.Signature{provenance.Verify()}, want: verify.NoSignature},
		"a good one of each format":                   {signatures: []verify.Signature{good, goodBundle.Verify()}, want: verified},
		"a good one before bad ones":                  {signatures: []verify.Signature{good, ofB, broken, byOther}, want: verified},
		"a good one after bad ones":                   {signatures: []verify.Signature{nil, broken, ofB, byOther, provenance.Verify(), large, good}, want: verified},
		"of image A beside image B":                   {signatures: []verify.Signature{ofB}, want: verify.SignatureInvalid},
		"an attestation and one of another":           {signatures: []verify.Signature{provenance.Verify(), byOther}, want: verify.KeyMismatch},
		"of another and an attestation":               {signatures: []verify.Signature{byOther, provenance.Verify()}, want: verify.KeyMismatch},
		"one that is not logged between others":       {signatures: []verify.Signature{ofB, byOther, notLogged, broken, ofB}, want: verify.NotLogged},
		"one in another log and one in none":          {signatures: []verify.Signature{notLogged, inOther}, want: verify.LogUnknown},
		"too large and of another key":                {signatures: []verify.Signature{large, byOther}, want: verify.KeyMismatch},
		"too large":                                   {signatures: []verify.Signature{large}, want: verify.LimitExceeded},
		"a thousand worthless ones and a good one":    {signatures: append(many(1000, ofB, byOther, broken), good), want: verified},
		"a thousand worthless ones":                   {signatures: many(1000, byOther, broken), want: verify.SignatureInvalid},
		"a thousand that carry one annotation and it": {signatures: append(manyForged(1000, good), good), want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			w.server.Requests.Store(0)
			want(t, w.verdict(t, test.signatures...), test.want)
			if got := w.server.Requests.Load(); got > 2 {
				t.Errorf("%d requests to the log", got)
			}
		})
	}
}

func many(n int, kinds ...verify.Signature) []verify.Signature {
	return slices.Repeat(kinds, n/len(kinds)+1)[:n]
}

// manyForged are n signatures that do not verify, each another one.
func manyForged(n int, like verify.LegacySignature) []verify.Signature {
	list := make([]verify.Signature, n)
	for i := range list {
		forged := like
		forged.Payload = fmt.Appendf(nil, "%s%d", like.Payload, i)
		list[i] = forged
	}
	return list
}

// TestOutageBeatsRejection: what could not be judged might have been the good one.
func TestOutageBeatsRejection(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := newWorld(t)
	unknowable := w.legacy()
	ofB := w.signer.LoggedLegacy(w.log, []byte(simple(imageB)))
	proven, _ := w.bundle()
	want(t, w.verdict(t, proven.Verify()), verified) // first contact with the log
	forged := unknowable
	forged.RekorBundle = strings.Replace(forged.RekorBundle, `"integratedTime":17`, `"integratedTime":18`, 1)
	w.server.Close()
	for name, test := range map[string]struct {
		signatures []verify.Signature
		want       verify.Reason
	}{
		"alone":                  {signatures: []verify.Signature{unknowable}, want: verify.LogUnavailable},
		"before a rejection":     {signatures: []verify.Signature{unknowable, ofB}, want: verify.LogUnavailable},
		"after a rejection":      {signatures: []verify.Signature{ofB, unknowable}, want: verify.LogUnavailable},
		"beside a proven one":    {signatures: []verify.Signature{unknowable, proven.Verify()}, want: verified},
		"what is wrong is wrong": {signatures: []verify.Signature{forged}, want: verify.TimestampInvalid},
	} {
		t.Run(name, func(t *testing.T) { want(t, w.verdict(t, test.signatures...), test.want) })
	}
}

// TestOutageOfOneLogOfTwo: with a threshold of one, a log that is away does not keep
// another from proving; with two it does.
func TestOutageOfOneLogOfTwo(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := newWorld(t)
	down := tlogtest.New("down.example.test")
	server := tlogtest.NewServer(down)
	server.Close()
	s := w.legacy()
	a := &verify.Authority{Keys: w.authority.Keys, Logs: logs(proverFor(t, "down", down, server, tlog.NewMemoryHistory()), w.authority.Logs[0])}
	want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verified)
	a.LogThreshold = 2
	want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verify.LogUnavailable)
}

func TestOneOfManyKeys(t *testing.T) {
	w := newWorld(t)
	s := w.legacy()
	a := *w.authority
	a.Keys = []verify.Key{keyOf(t, verifytest.NewSigner(), ""), w.authority.Keys[0], keyOf(t, verifytest.NewSigner(), "sha512")}
	v := a.Verify(t.Context(), imageA, []verify.Signature{s})
	want(t, v, verified)
	if got := v.(verify.Verified).Evidence.Signer; got != w.authority.Keys[0].String() || v.String() != "Verified by "+got {
		t.Errorf("got signer %s in %q", got, v)
	}
	a.Keys = []verify.Key{a.Keys[0], a.Keys[2]}
	want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verify.KeyMismatch)
}

func TestIgnoringTheLog(t *testing.T) {
	w := newWorld(t)
	b, _ := w.bundle()
	a := &verify.Authority{Keys: w.authority.Keys, InsecureIgnoreTlog: true}
	for name, test := range map[string]struct {
		signature verify.Signature
		want      verify.Reason
	}{
		"a legacy signature that is not logged": {signature: w.signer.Legacy([]byte(simple(imageA))), want: verified},
		"a bundle that is not logged":           {signature: b.Set(nil, "verificationMaterial", "tlogEntries").Verify(), want: verified},
		"a bundle that is logged":               {signature: b.Verify(), want: verified},
		"of another image":                      {signature: w.signer.Legacy([]byte(simple(imageB))), want: verify.SignatureInvalid},
		"by another key":                        {signature: verifytest.NewSigner().Legacy([]byte(simple(imageA))), want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			v := a.Verify(t.Context(), imageA, []verify.Signature{test.signature})
			want(t, v, test.want)
			if good, ok := v.(verify.Verified); ok && len(good.Evidence.Proofs) != 0 {
				t.Errorf("got proofs %v, and no log was asked for", good.Evidence.Proofs)
			}
		})
	}
}

// panickyHistory fails in the way that ends a process.
type panickyHistory struct{ *tlog.MemoryHistory }

func (panickyHistory) Latest(context.Context, string) ([]byte, string, error) { panic("boom\x1b[2J") }
func (panickyHistory) Witnessed(context.Context, string) ([]byte, error)      { panic("boom") }
func (panickyHistory) Advance(context.Context, tlog.Checkpoint, string) error { panic("boom") }
func (panickyHistory) Accuse(context.Context, tlog.Checkpoint, tlog.Checkpoint) error {
	panic("boom")
}

// panickyHistoryOnceKnown panics only for what is known: outside of shared work.
type panickyHistoryOnceKnown struct {
	*tlog.MemoryHistory
	armed bool
}

func (h *panickyHistoryOnceKnown) Latest(ctx context.Context, origin string) ([]byte, string, error) {
	if h.armed {
		panic("boom\x1b[2J\n")
	}
	return h.MemoryHistory.Latest(ctx, origin)
}

func TestPanicIsNoAcceptance(t *testing.T) {
	w := newWorld(t)
	t.Run("in shared work it is an outage", func(t *testing.T) {
		b, _ := w.bundle()
		a := *w.authority
		a.Logs = logs(proverFor(t, "corp", w.log, w.server, panickyHistory{tlog.NewMemoryHistory()}))
		want(t, a.Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), verify.LogUnavailable)
	})
	t.Run("elsewhere it is a rejection of that signature alone", func(t *testing.T) {
		history := &panickyHistoryOnceKnown{MemoryHistory: tlog.NewMemoryHistory()}
		a := *w.authority
		a.Logs = logs(proverFor(t, "corp", w.log, w.server, history))
		s := w.legacy()
		want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verified)
		history.armed = true
		want(t, a.Verify(t.Context(), imageA, []verify.Signature{s}), verify.SignatureInvalid)
	})
}

func TestVerdicts(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want verify.Reason
	}{
		"absent":                                {err: tlog.ErrNotLogged, want: verify.NotLogged},
		"unknown":                               {err: tlog.ErrUnknownLog, want: verify.LogUnknown},
		"stale, for want of an answer":          {err: fmt.Errorf("%w: %w", tlog.ErrStale, tlog.ErrUnavailable), want: verify.CheckpointStale},
		"inconsistent, whatever else it is":     {err: fmt.Errorf("%w: %w: %w", tlog.ErrUnavailable, tlog.ErrCheckpoint, tlog.ErrInconsistent), want: verify.CheckpointInconsistent},
		"evidence that could not be written":    {err: fmt.Errorf("%w: %w", &tlog.InconsistencyError{}, tlog.ErrUnavailable), want: verify.CheckpointInconsistent},
		"an error that nobody knows":            {err: errTest, want: verify.LogUnavailable},
		"an error with hostile text":            {err: fmt.Errorf("%w: \x1b[2J\n\u202e\u009b%s", tlog.ErrCheckpoint, strings.Repeat("é", 10_000)), want: verify.CheckpointInvalid},
		"a deadline":                            {err: context.DeadlineExceeded, want: verify.DeadlineExceeded},
		"a deadline of the log's":               {err: fmt.Errorf("%w: %w", tlog.ErrUnavailable, context.DeadlineExceeded), want: verify.LogUnavailable},
		"a limit":                               {err: tlog.ErrLimit, want: verify.LimitExceeded},
		"a proof that is longer than the limit": {err: errors.Join(tlog.ErrLimit, tlog.ErrInclusionProof), want: verify.InclusionProofInvalid},
	} {
		t.Run(name, func(t *testing.T) { want(t, verify.VerdictOf(test.err), test.want) })
	}
}

func TestEveryReasonIsOfOneKind(t *testing.T) {
	for _, cause := range []verify.Reason{
		verify.RegistryUnavailable, verify.RegistryUnauthorized, verify.RegistryThrottled, verify.LogUnavailable, verify.KMSUnavailable, verify.DeadlineExceeded,
	} {
		if !cause.Unavailable() {
			t.Errorf("%s is not an outage", cause)
		}
	}
	for _, reason := range []verify.Reason{verify.NoSignature, verify.NotLogged, verify.LogUnknown, verify.CheckpointInconsistent, verify.LimitExceeded, ""} {
		if reason.Unavailable() {
			t.Errorf("%q is an outage", reason)
		}
	}
}

func TestFurther(t *testing.T) {
	none := verify.Rejected{Reason: verify.NoSignature}
	notLogged, unknown := verify.Rejected{Reason: verify.NotLogged, Detail: "1"}, verify.Rejected{Reason: verify.LogUnknown}
	again := verify.Rejected{Reason: verify.NotLogged, Detail: "2"}
	inconsistent, outage := verify.Rejected{Reason: verify.CheckpointInconsistent}, verify.Unavailable{Cause: verify.LogUnavailable}
	for name, test := range map[string]struct{ a, b, want verify.Verdict }{
		"the first of two of a kind":         {a: notLogged, b: again, want: notLogged},
		"the one that came further":          {a: notLogged, b: unknown, want: unknown},
		"the one that came further, first":   {a: unknown, b: notLogged, want: unknown},
		"anything over nothing":              {b: none, want: none},
		"something over no verdict":          {a: none, want: none},
		"an outage over a proven lie":        {a: inconsistent, b: outage, want: outage},
		"an outage over a proven lie, first": {a: outage, b: inconsistent, want: outage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verify.Further(test.a, test.b); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	for text, printed := range map[string]string{
		"plain":                  "plain",
		"é…—":                    "é…—",
		"a\nb\r\tc":              "a b  c",
		"\x1b[31mred":            " [31mred",
		"\u009b31m":              " 31m",
		"\u202eevil":             " evil",
		"\u200bhidden\u2028line": " hidden line",
		"\x00\x7f":               "  ",
		"\xff\xfe":               "?",
	} {
		if got := verify.Printable(text); got != printed {
			t.Errorf("%q: got %q, want %q", text, got, printed)
		}
	}
	if got := verify.Printable(strings.Repeat("é", 1000)); len(got) > verify.MaxDetailBytes+4 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
}
