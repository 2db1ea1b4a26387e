// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

func TestWhatIsAskedOfTheLog(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, test := range map[string]struct {
		sign     func(*world) verify.Signature
		requests int64
		offline  verify.Reason // when the log is away from the start
		outage   verify.Reason // when it is away after one good verdict
	}{
		"a bundle with promise and proof: nothing": {
			sign:    func(w *world) verify.Signature { b, _ := w.bundle(); return b.Verify() },
			offline: verify.LogUnavailable, outage: verified,
		},
		"a legacy signature: its entry": {
			sign:     func(w *world) verify.Signature { return w.legacy() },
			requests: 1, offline: verify.LogUnavailable, outage: verified,
		},
		"a legacy signature without annotation: its entry": {
			sign:     func(w *world) verify.Signature { s := w.legacy(); s.RekorBundle = ""; return s },
			requests: 1, offline: verify.LogUnavailable, outage: verified,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := test.sign(w)
			want(t, w.verdict(t, s), verified)
			want(t, w.verdict(t, s), verified)
			if got := w.server.Requests.Load() - 1; got != test.requests {
				t.Errorf("%d requests besides first contact, want %d", got, test.requests)
			}
			w.server.Close()
			want(t, w.verdict(t, s), test.outage)

			away := *w.authority
			away.Logs = []*tlog.Prover{proverFor(t, "corp", w.log, w.server, tlog.NewMemoryHistory())}
			want(t, away.Verify(t.Context(), imageA, []verify.Signature{s}), test.offline)
			if _, ok := s.(verify.Bundle); ok {
				away.Logs = []*tlog.Prover{proverFor(t, "corp", w.log, nil, tlog.NewMemoryHistory())}
				want(t, away.Verify(t.Context(), imageA, []verify.Signature{s}), verified)
			}
		})
	}
}

func TestLogThatRecoversNeedsNoRestart(t *testing.T) {
	w := newWorld(t)
	s := w.legacy()
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true })
	want(t, w.verdict(t, s), verify.LogUnavailable)
	w.server.Intercept(nil)
	want(t, w.verdict(t, s), verified)
}

// TestKnownLogHasOnlyAPromise is the trap of verification.md: the entry of the known
// log has only a promise while another entry, of a log that nobody configured,
// carries the proof.
func TestKnownLogHasOnlyAPromise(t *testing.T) {
	for name, unknownFirst := range map[string]bool{"the known log first": false, "the unknown log first": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			envelope := w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
			// Promised, but never kept: it is not in the log.
			promise := w.log.Fork(7)
			known := promise.Promise(promise.Append(w.signer.DSSE(envelope)))
			entries := []*tlog.Entry{known, elsewhere(known)}
			if unknownFirst {
				entries[0], entries[1] = entries[1], entries[0]
			}
			b := w.signer.Bundle(envelope, entries...)
			want(t, w.verdict(t, b.Verify()), verify.NotLogged)

			// Once the log keeps its promise, its own proof is fetched.
			w.log.Append(known.Body)
			verdict := w.verdict(t, b.Verify())
			want(t, verdict, verified)
			if proof := proofsOf(t, verdict)[0]; proof.Index() != 7 || proof.Log() != "corp" {
				t.Errorf("got proof %v", proof)
			}
		})
	}
}

func TestLogThreshold(t *testing.T) {
	w := newWorld(t)
	second := tlogtest.New("rekor2.example.test")
	second.Grow(3)
	secondServer := tlogtest.NewServer(second)
	t.Cleanup(secondServer.Close)
	third := tlogtest.New("rekor3.example.test")
	first := w.authority.Logs[0]
	other := proverFor(t, "second", second, secondServer, tlog.NewMemoryHistory())
	none := proverFor(t, "third", third, nil, tlog.NewMemoryHistory())
	// A second object for the first log's key.
	again := proverFor(t, "corp-again", w.log, w.server, tlog.NewMemoryHistory())

	envelope := w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	body := w.signer.DSSE(envelope)
	inFirst := w.log.Entry(w.log.Append(body), w.log.Size())
	inFirstLater := func() *tlog.Entry { w.log.Grow(1); return w.log.Entry(7, w.log.Size()) }()
	inSecond := second.Entry(second.Append(body), second.Size())
	for name, test := range map[string]struct {
		logs      []*tlog.Prover
		threshold int
		entries   []*tlog.Entry
		want      verify.Reason
		proofs    int
	}{
		"one of one":                             {logs: logs(first), entries: entries(inFirst), want: verified, proofs: 1},
		"one of two, which is the first":         {logs: logs(first, other), entries: entries(inFirst), want: verified, proofs: 1},
		"one of two, which is the second":        {logs: logs(first, other), entries: entries(inSecond), want: verified, proofs: 1},
		"two of two":                             {logs: logs(first, other), threshold: 2, entries: entries(inFirst, inSecond), want: verified, proofs: 2},
		"two of two in another order":            {logs: logs(other, first), threshold: 2, entries: entries(inFirst, inSecond), want: verified, proofs: 2},
		"two of two, logged in one":              {logs: logs(first, other), threshold: 2, entries: entries(inFirst), want: verify.LogUnknown},
		"two of two, twice in one":               {logs: logs(first, other), threshold: 2, entries: entries(inFirst, inFirst), want: verify.SignatureInvalid},
		"two of two, in two states of one":       {logs: logs(first, other), threshold: 2, entries: entries(inFirst, inFirstLater), want: verify.SignatureInvalid},
		"two of one":                             {logs: logs(first), threshold: 2, entries: entries(inFirst, inSecond), want: verify.PolicyNotReady},
		"two of one under two names":             {logs: logs(first, again), threshold: 2, entries: entries(inFirst), want: verify.PolicyNotReady},
		"two of one under two names and another": {logs: logs(first, again, other), threshold: 2, entries: entries(inFirst), want: verify.LogUnknown},
		"all three names, logged in two":         {logs: logs(first, again, other), threshold: 2, entries: entries(inFirst, inSecond), want: verified, proofs: 2},
		"two of three":                           {logs: logs(none, first, other), threshold: 2, entries: entries(inFirst, inSecond), want: verified, proofs: 2},
		"three of three, logged in two":          {logs: logs(none, first, other), threshold: 3, entries: entries(inFirst, inSecond), want: verify.LogUnknown},
		"a negative threshold is one":            {logs: logs(first), threshold: -2, entries: entries(inFirst), want: verified, proofs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := &verify.Authority{Keys: w.authority.Keys, Logs: test.logs, LogThreshold: test.threshold}
			verdict := a.Verify(t.Context(), imageA, []verify.Signature{w.signer.Bundle(envelope, test.entries...).Verify()})
			want(t, verdict, test.want)
			if test.want != verified {
				return
			}
			distinct := map[[32]byte]bool{}
			for _, p := range proofsOf(t, verdict) {
				distinct[p.KeyID()] = true
			}
			if len(distinct) != test.proofs || len(proofsOf(t, verdict)) != test.proofs {
				t.Errorf("got proofs %v, want %d", proofsOf(t, verdict), test.proofs)
			}
		})
	}
}

func logs(provers ...*tlog.Prover) []*tlog.Prover { return provers }

func entries(list ...*tlog.Entry) []*tlog.Entry { return list }

func TestNotLoggedSaysWhereItWasLookedFor(t *testing.T) {
	w := newWorld(t)
	v := w.verdict(t, w.signer.Legacy([]byte(simple(imageA))))
	want(t, v, verify.NotLogged)
	for _, say := range []string{`"corp"`, w.log.Hostname} {
		if !strings.Contains(v.String(), say) {
			t.Errorf("%q does not say %s", v, say)
		}
	}
	unknown := tlogtest.New("other.example.test")
	v = w.verdict(t, w.signer.LoggedLegacy(unknown, []byte(simple(imageA))))
	want(t, v, verify.LogUnknown)
	if !strings.Contains(v.String(), hexID(unknown)) {
		t.Errorf("%q does not say which log it is in", v)
	}
}

// TestCheckpointsThatDoNotFit gives checkpoints that the log's key signed.
func TestCheckpointsThatDoNotFit(t *testing.T) {
	for name, test := range map[string]struct {
		note func(w *world, index int) (checkpoint string, hashes [][]byte)
		want verify.Reason
	}{
		"of a tree that ends before the entry": {note: func(w *world, index int) (string, [][]byte) { return w.log.Checkpoint(index), nil }, want: verify.InclusionProofInvalid},
		"of an empty tree":                     {note: func(w *world, _ int) (string, [][]byte) { return w.log.Checkpoint(0), nil }, want: verify.CheckpointInvalid},
		"of another host": {note: func(w *world, index int) (string, [][]byte) {
			l := w.log.Fork(index + 1)
			l.Hostname = "other.example.test"
			return l.Checkpoint(index + 1), l.Inclusion(index, index+1)
		}, want: verify.CheckpointInvalid},
		"of a fork of the log": {note: func(w *world, index int) (string, [][]byte) {
			l := w.log.Fork(5)
			l.Grow(index - 5)
			l.Append(w.log.Promise(index).Body)
			return l.Checkpoint(index + 1), l.Inclusion(index, index+1)
		}, want: verify.CheckpointInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, e := w.bundle()
			w.history.Seed(w.log.Origin(), w.log.Checkpoint(w.log.Size()))
			e.Inclusion.Checkpoint, e.Inclusion.Hashes = test.note(w, int(e.Inclusion.Index))
			entry := verifytest.EntryJSON(e)
			if entry["inclusionProof"].(map[string]any)["treeSize"] == "0" { // no form of a bundle
				entry["inclusionProof"].(map[string]any)["treeSize"] = "8"
			}
			want(t, w.verdict(t, b.Set([]any{entry}, "verificationMaterial", "tlogEntries").Verify()), test.want)
		})
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	s := w.legacy()
	t.Run("over before the first signature", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		want(t, w.authority.Verify(ctx, imageA, []verify.Signature{s}), verify.DeadlineExceeded)
	})
	t.Run("while the log stalls", func(t *testing.T) {
		gate := make(chan struct{})
		w.server.Intercept(func(http.ResponseWriter, *http.Request) bool { <-gate; return false })
		defer close(gate)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		want(t, w.authority.Verify(ctx, imageA, []verify.Signature{s}), verify.LogUnavailable)
		want(t, w.authority.Verify(ctx, imageA, []verify.Signature{s}), verify.DeadlineExceeded)
	})
}
