// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// watchedHistory is that of a log that was verified a minute ago.
type watchedHistory struct {
	*tlog.MemoryHistory
	doubted bool
}

func (h *watchedHistory) Freshness(ctx context.Context) (tlog.Freshness, error) {
	_, err := h.MemoryHistory.Freshness(ctx)
	return tlog.Freshness{VerifiedAt: time.Now().Add(-time.Minute), Limit: time.Hour, Doubted: h.doubted}, err
}

// outage is a world whose log was seen, has grown since, and is away.
type outage struct {
	*world
	seen    *watchedHistory
	larger  verify.Signature // under a checkpoint that was not seen
	stored  verify.Signature // under the one that was
	promise verify.Signature
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	w := newWorld(t)
	o := &outage{world: w, seen: &watchedHistory{MemoryHistory: w.history}}
	stored, _ := w.bundle()
	o.stored = stored.Verify()
	w.history.Seed(w.log.Origin(), w.log.Checkpoint(w.log.Size()))
	larger, _ := w.bundle()
	o.larger, o.promise = larger.Verify(), w.legacy()
	o.authority.Logs = []*tlog.Prover{proverFor(t, "corp", w.log, w.server, o.seen)}
	o.authority.AcceptUnasked = true
	away(w.server)
	return o
}

func away(server *tlogtest.Server) {
	server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
}

// forged is a bundle under a checkpoint of the stored size that the log's key signed, of
// another tree.
func (o *outage) forged(t *testing.T) verify.Signature {
	t.Helper()
	fork := o.log.Fork(2)
	fork.Grow(5)
	envelope := o.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	index := fork.Append(o.signer.DSSE(envelope))
	return o.signer.Bundle(envelope, fork.Entry(index, fork.Size())).Verify()
}

func TestProofsThatNobodyCouldBeAskedAbout(t *testing.T) {
	t.Parallel() // it waits more than it works
	stranger := verifytest.NewSigner()
	for name, test := range map[string]struct {
		signatures func(o *outage) []verify.Signature
		edit       func(o *outage)
		want       verify.Reason
		unasked    bool
	}{
		"a proof, where they do not count": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.larger} },
			func(o *outage) { o.authority.AcceptUnasked = false }, verify.LogUnavailable, false,
		},
		"a proof, where they do":    {func(o *outage) []verify.Signature { return []verify.Signature{o.larger} }, nil, verified, true},
		"a promise without one":     {func(o *outage) []verify.Signature { return []verify.Signature{o.promise} }, nil, verify.LogUnavailable, false},
		"a proof that needs no log": {func(o *outage) []verify.Signature { return []verify.Signature{o.stored} }, nil, verified, false},
		"one that does, and one that does not": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.larger, o.stored} }, nil, verified, false,
		},
		"a signature by somebody else": {func(o *outage) []verify.Signature {
			envelope := stranger.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
			return []verify.Signature{stranger.Bundle(envelope, o.log.Entry(o.log.Append(stranger.DSSE(envelope)), o.log.Size())).Verify()}
		}, nil, verify.KeyMismatch, false},
		"a log whose last answer was bad": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.larger} },
			func(o *outage) { o.seen.doubted = true }, verify.LogUnavailable, false,
		},
		"a forged checkpoint": {func(o *outage) []verify.Signature { return []verify.Signature{o.forged(t)} }, nil, verify.CheckpointInconsistent, false},
		"a proof, and a forged checkpoint after it": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.larger, o.forged(t)} }, nil, verify.CheckpointInconsistent, false,
		},
		"a proof, and a forged checkpoint before it": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.forged(t), o.larger} }, nil, verify.CheckpointInconsistent, false,
		},
		"an image that needs an attestation, too, and has none": {
			func(o *outage) []verify.Signature { return []verify.Signature{o.larger} },
			func(o *outage) {
				o.authority.Attestations = []verify.AttestationRequirement{{Name: "sbom", PredicateType: "https://spdx.dev/Document"}}
			}, verify.AttestationMissing, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t)
			if test.edit != nil {
				test.edit(o)
			}
			verdict := o.verdict(t, test.signatures(o)...)
			want(t, verdict, test.want)
			if good, ok := verdict.(verify.Verified); ok && (good.Evidence.Unasked() != "") != test.unasked {
				t.Errorf("Unasked is %q, want some: %v", good.Evidence.Unasked(), test.unasked)
			}
		})
	}
}

// TestThresholdOfLogsInAnOutage: a log that is away counts once, after those that answer.
func TestThresholdOfLogsInAnOutage(t *testing.T) {
	t.Parallel() // it waits more than it works
	o := newOutage(t)
	o.log.Grow(1)
	second := tlogtest.New("rekor2.example.test")
	second.Grow(3)
	secondServer := tlogtest.NewServer(second)
	t.Cleanup(secondServer.Close)
	first := o.authority.Logs[0]
	again := proverFor(t, "corp-again", o.log, o.server, o.seen)
	other := proverFor(t, "second", second, secondServer, tlog.NewMemoryHistory())
	unseen := proverFor(t, "third", tlogtest.New("rekor3.example.test"), nil, tlog.NewMemoryHistory())
	envelope := o.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
	body := o.signer.DSSE(envelope)
	both := o.signer.Bundle(envelope, o.log.Entry(o.log.Append(body), o.log.Size()), second.Entry(second.Append(body), second.Size())).Verify()
	for name, test := range map[string]struct {
		logs      []*tlog.Prover
		threshold int
		want      verify.Reason
		unasked   int
	}{
		"one of two, of which one answers":      {logs(first, other), 1, verified, 0},
		"two of two, of which one answers":      {logs(first, other), 2, verified, 1},
		"one of one, which is away":             {logs(first), 1, verified, 1},
		"two of one under two names and none":   {logs(first, again, unseen), 2, verify.LogUnavailable, 0},
		"two of one under two names and one up": {logs(first, again, other), 2, verified, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := &verify.Authority{Keys: o.authority.Keys, Logs: test.logs, LogThreshold: test.threshold, AcceptUnasked: true}
			verdict := a.Verify(t.Context(), imageA, []verify.Signature{both})
			want(t, verdict, test.want)
			if test.want != verified {
				return
			}
			proofs := proofsOf(t, verdict)
			lacking := slices.DeleteFunc(slices.Clone(proofs), func(p tlog.Proof) bool { return p.Unasked() == "" })
			if len(proofs) != test.threshold || len(lacking) != test.unasked {
				t.Errorf("got proofs %v, want %d, of which %d are unasked", proofs, test.threshold, test.unasked)
			}
		})
	}
}

func TestStanding(t *testing.T) {
	for name, test := range map[string]struct {
		since func(t *testing.T, o *outage)
		want  verify.Reason
	}{
		"nothing has happened":         {func(*testing.T, *outage) {}, ""},
		"the log's last answer is bad": {func(_ *testing.T, o *outage) { o.seen.doubted = true }, verify.CheckpointInconsistent},
		"the log was caught": {func(t *testing.T, o *outage) {
			t.Helper()
			o.verdict(t, o.forged(t))
		}, verify.CheckpointInconsistent},
		"the policy names another log": {func(t *testing.T, o *outage) {
			t.Helper()
			o.authority.Logs = []*tlog.Prover{proverFor(t, "other", tlogtest.New("other.test"), nil, tlog.NewMemoryHistory())}
		}, verify.LogUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t)
			good, ok := o.verdict(t, o.stored).(verify.Verified)
			if !ok {
				t.Fatal("the image does not verify")
			}
			test.since(t, o)
			limit, doubt := o.authority.Standing(t.Context(), good.Evidence)
			if test.want == "" && (doubt != nil || limit != time.Hour) {
				t.Errorf("Standing = %v, %v; want an hour and nothing", limit, doubt)
			}
			if test.want != "" {
				want(t, doubt, test.want)
			}
		})
	}
}
