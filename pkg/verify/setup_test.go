// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const repository = "registry.example.test/payments/api"

// imageA and imageB are digests of two images.
var (
	imageA = "sha256:" + strings.Repeat("0a", 32)
	imageB = "sha256:" + strings.Repeat("0b", 32)
)

// world is one signer, one log that is served, and the authority that trusts them.
type world struct {
	signer    *verifytest.Signer
	log       *tlogtest.Log
	server    *tlogtest.Server
	history   *tlog.MemoryHistory
	authority *verify.Authority
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOf(t, verifytest.NewSigner(), "")
}

// worldOf is a world whose signer's key has the given hash algorithm. Its log has
// entries of other people.
func worldOf(t testing.TB, signer *verifytest.Signer, hashAlgorithm string) *world {
	t.Helper()
	w := &world{signer: signer, log: tlogtest.New("rekor.example.test"), history: tlog.NewMemoryHistory()}
	w.log.FirstIndex = 1000
	w.log.Grow(7)
	w.server = tlogtest.NewServer(w.log)
	t.Cleanup(w.server.Close)
	w.authority = &verify.Authority{
		Name: "release-key",
		Keys: []verify.Key{keyOf(t, signer, hashAlgorithm)},
		Logs: []*tlog.Prover{proverFor(t, "corp", w.log, w.server, w.history)},
	}
	return w
}

func keyOf(t testing.TB, signer *verifytest.Signer, hashAlgorithm string) verify.Key {
	t.Helper()
	key, err := verify.ParseKey(signer.PEM(), hashAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// proverFor returns a prover for l; a nil server makes one that works offline.
func proverFor(t testing.TB, name string, l *tlogtest.Log, server *tlogtest.Server, history tlog.History) *tlog.Prover {
	t.Helper()
	log, err := tlog.NewLog(tlog.Config{Name: name, Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	if server == nil {
		return tlog.NewProver(log, nil, history)
	}
	return tlog.NewProver(log, dial(t, server.URL), history)
}

func dial(t testing.TB, address string) *tlog.RekorV1Client {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}})
	if err != nil {
		t.Fatal(err)
	}
	return tlog.NewRekorV1Client(endpoints)
}

// legacy is a logged legacy signature of imageA.
func (w *world) legacy() verify.LegacySignature {
	return w.signer.LoggedLegacy(w.log, verifytest.SimpleSigning(repository, imageA))
}

// bundle is a logged bundle of imageA that a test can change, and its one entry.
func (w *world) bundle() (verifytest.BundleJSON, *tlog.Entry) {
	return w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA)))
}

// bundleOf logs an envelope.
func (w *world) bundleOf(envelope verifytest.Envelope) (verifytest.BundleJSON, *tlog.Entry) {
	entry := w.log.Entry(w.log.Append(w.signer.DSSE(envelope)), w.log.Size())
	return w.signer.Bundle(envelope, entry), entry
}

// verdict is the verdict on imageA.
func (w *world) verdict(t testing.TB, signatures ...verify.Signature) verify.Verdict {
	t.Helper()
	return w.authority.Verify(t.Context(), imageA, signatures)
}

// verified is what tests want of a good signature, beside a Reason of others.
const verified verify.Reason = "Verified"

// reasonOf is the reason or cause of a verdict, or "Verified".
func reasonOf(v verify.Verdict) verify.Reason {
	switch v := v.(type) {
	case verify.Verified:
		return verified
	case verify.Rejected:
		if v.Reason.Unavailable() {
			return "Rejected with the cause of an outage: " + v.Reason
		}
		return v.Reason
	case verify.Unavailable:
		if !v.Cause.Unavailable() {
			return "Unavailable with the reason of a rejection: " + v.Cause
		}
		return v.Cause
	default:
		return "no verdict"
	}
}

// want checks the verdict's reason, and that its text is fit to be shown.
func want(t testing.TB, v verify.Verdict, reason verify.Reason) {
	t.Helper()
	if got := reasonOf(v); got != reason {
		t.Errorf("got %v, want %s", v, reason)
		return
	}
	text := v.String()
	if len(text) > verify.MaxDetailBytes+100 || strings.ContainsAny(text, "\n\r\t\x1b\x00") {
		t.Errorf("the text is not fit to be shown: %q", text)
	}
}

// proofsOf are the proofs of a Verified verdict.
func proofsOf(t testing.TB, v verify.Verdict) []tlog.Proof {
	t.Helper()
	got, ok := v.(verify.Verified)
	if !ok {
		t.Fatalf("got %v, want Verified", v)
	}
	return got.Evidence.Proofs
}

var errTest = errors.New("a failure of the test's")

func digestOf(message []byte) []byte {
	digest := sha256.Sum256(message)
	return digest[:]
}

func hexID(l *tlogtest.Log) string { return hex.EncodeToString(l.ID()) }
