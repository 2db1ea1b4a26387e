// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestProveWithWhatCame(t *testing.T) {
	l, claims := logged(t, 12)
	l.FirstIndex = 100
	stranger := claimOf(t, "something that was never logged")
	unlogged := &tlog.Entry{LogID: l.ID(), Body: bodyOf(t, stranger), LogIndex: 103, IntegratedTime: tlogtest.IntegratedTime}
	unlogged.SignedEntryTimestamp = l.SignEntry(unlogged)
	bare := l.Promise(3)
	bare.SignedEntryTimestamp = nil
	proofOnly := l.Entry(3, 12)
	proofOnly.SignedEntryTimestamp, proofOnly.LogIndex, proofOnly.IntegratedTime = nil, 0, 0
	for name, test := range map[string]struct {
		claim    tlog.Claim
		entry    *tlog.Entry
		offline  error // with no log to ask
		online   error
		requests int64
		timed    bool // that the proof says when
	}{
		"promise and proof":                 {claim: claims[3], entry: l.Entry(3, 12), timed: true},
		"proof only":                        {claim: claims[3], entry: proofOnly},
		"promise only":                      {claim: claims[3], entry: l.Promise(3), offline: tlog.ErrUnavailable, requests: 1, timed: true},
		"neither":                           {claim: claims[3], entry: bare, offline: tlog.ErrUnavailable, requests: 1, timed: true},
		"nothing":                           {claim: claims[3], offline: tlog.ErrUnavailable, requests: 1, timed: true},
		"nothing, and it is not in the log": {claim: stranger, offline: tlog.ErrUnavailable, online: tlog.ErrNotLogged, requests: 1},
		"a promise that was never kept":     {claim: stranger, entry: unlogged, offline: tlog.ErrUnavailable, online: tlog.ErrNotLogged, requests: 1},
		"nothing, and the entry cannot be derived": {claim: tlog.DSSE(artifact, []byte("s"), []byte("k")), offline: tlog.ErrNotLogged, online: tlog.ErrNotLogged},
		"nothing, and nothing is claimed":          {offline: tlog.ErrNotLogged, online: tlog.ErrNotLogged},
		"the entry of something else":              {claim: claims[3], entry: l.Entry(4, 12), offline: tlog.ErrEntryMismatch, online: tlog.ErrEntryMismatch},
		"the promise of something else":            {claim: claims[3], entry: l.Promise(4), offline: tlog.ErrEntryMismatch, online: tlog.ErrEntryMismatch},
		"an empty entry":                           {claim: claims[3], entry: &tlog.Entry{}, offline: tlog.ErrUnknownLog, online: tlog.ErrUnknownLog},
		"an empty proof":                           {claim: claims[3], entry: &tlog.Entry{LogID: l.ID(), Body: bodyOf(t, claims[3]), Inclusion: &tlog.Inclusion{}}, offline: tlog.ErrCheckpoint, online: tlog.ErrCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlog.NewProver(configured(t, l), nil, seeded(l, 12)).Prove(t.Context(), test.claim, test.entry)
			wantErr(t, err, test.offline)

			server := serve(t, l)
			proof, err := online(t, l, server, seeded(l, 12)).Prove(t.Context(), test.claim, test.entry)
			wantErr(t, err, test.online)
			if got := server.Requests.Load(); got != test.requests {
				t.Errorf("%d requests, want %d", got, test.requests)
			}
			if (proof == tlog.Proof{}) != (err != nil) {
				t.Fatalf("got %v and error %v: one of the two must be zero", proof, err)
			}
			if err != nil {
				return
			}
			when, ok := proof.IntegratedTime()
			if want := time.Unix(tlogtest.IntegratedTime, 0).UTC(); ok != test.timed || (ok && !when.Equal(want)) {
				t.Errorf("integrated at %v, %v", when, ok)
			}
			if proof.Index() != 3 || proof.Log() != "corp" || proof.LogID() != configured(t, l).ID() ||
				proof.Leaf() != tlog.LeafHash(bodyOf(t, test.claim)) || proof.Checkpoint().Size() != 12 {
				t.Errorf("got proof %v", proof)
			}
		})
	}
}

// TestEntriesThatAnybodyCanWriteCostNoRequest: the hash of a DSSE envelope is free,
// so there is no end of entries that fit a signature.
func TestEntriesThatAnybodyCanWriteCostNoRequest(t *testing.T) {
	sample := sampleClaims(t)["dsse"]
	l, _ := logged(t, 3)
	l.Append(sample.body)
	server := serve(t, l)
	prover := online(t, l, server, tlog.NewMemoryHistory())
	_, err := prover.Prove(t.Context(), sample.claim, &tlog.Entry{LogID: l.ID(), Body: sample.body})
	wantErr(t, err, tlog.ErrInclusionProof)
	if got := server.Requests.Load(); got != 0 {
		t.Errorf("%d requests", got)
	}
	if _, err := prover.Prove(t.Context(), sample.claim, l.Promise(3)); err != nil {
		t.Error(err)
	}
}

// TestTimeIsOnlyWhatTheLogSigned: a time that came without a promise counts only
// if the log's answer signs it. Whoever sits at the log's address does not.
func TestTimeIsOnlyWhatTheLogSigned(t *testing.T) {
	l, claims := logged(t, 3)
	entry := l.Promise(1)
	entry.SignedEntryTimestamp = nil
	entry.IntegratedTime = 7
	server := serve(t, l)
	server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		a := answerOf(l, 1, 3)
		a.entry["integratedTime"] = 7
		a.write(w)
		return true
	})
	_, err := online(t, l, server, tlog.NewMemoryHistory()).Prove(t.Context(), claims[1], entry)
	wantErr(t, err, tlog.ErrSignedEntryTimestamp)
}

func TestProofAsJSON(t *testing.T) {
	l, claims := logged(t, 3)
	proof, err := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory()).Prove(t.Context(), claims[2], l.Entry(2, 3))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(proof)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	leaf := proof.Leaf()
	want := map[string]any{
		"log": "corp", "origin": l.Origin(), "index": 2.0, "treeSize": 3.0,
		"rootHash": hex.EncodeToString(l.Root(3)), "leafHash": hex.EncodeToString(leaf[:]),
		"integratedTime": time.Unix(tlogtest.IntegratedTime, 0).UTC().Format(time.RFC3339),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proof (-want +got):\n%s", diff)
	}
	none, err := json.Marshal(tlog.Proof{})
	if err != nil || json.Unmarshal(none, &got) != nil {
		t.Errorf("the zero proof: %s, %v", none, err)
	}
	if _, ok := (tlog.Proof{}).IntegratedTime(); ok {
		t.Error("the zero proof says when")
	}
}

func TestMemoryHistory(t *testing.T) {
	l, _ := logged(t, 9)
	history := tlog.NewMemoryHistory()
	_, version, err := history.Latest(t.Context(), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, history.Advance(t.Context(), checkpointOf(t, l, 4), version), nil)
	wantErr(t, history.Advance(t.Context(), checkpointOf(t, l, 9), version), tlog.ErrConflict)
	if got := storedSize(t, l, history); got != 4 {
		t.Errorf("stored size is %d, want 4", got)
	}
	history.Seed(l.Origin(), l.Checkpoint(5))
	wantErr(t, history.Advance(t.Context(), checkpointOf(t, l, 9), version), tlog.ErrConflict)
}

func TestErrorsTellTheKindsApart(t *testing.T) {
	kinds := []error{
		tlog.ErrNotLogged, tlog.ErrUnknownLog, tlog.ErrEntryMismatch, tlog.ErrInclusionProof, tlog.ErrCheckpoint,
		tlog.ErrInconsistent, tlog.ErrSignedEntryTimestamp, tlog.ErrUnavailable, tlog.ErrLimit, tlog.ErrConflict,
	}
	for i, a := range kinds {
		for j, b := range kinds {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("%v is %v", a, b)
			}
		}
	}
	if err := error(&tlog.InconsistencyError{}); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("%v is not ErrInconsistent", err)
	}
}

func TestProverSaysHowFarTheLogIsKnown(t *testing.T) {
	l, claims := logged(t, 9)
	prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
	if got, want := prover.String(), `log "corp" (origin rekor.example.test)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, step := range []struct {
		size int
		err  error
		want string
	}{
		{size: 5, want: `log "corp" (origin rekor.example.test, size 5)`},
		{size: 4, err: tlog.ErrUnavailable, want: `log "corp" (origin rekor.example.test, size 5)`},
		{size: 9, err: tlog.ErrUnavailable, want: `log "corp" (origin rekor.example.test, size 5)`}, // nobody showed it
	} {
		_, err := prover.Prove(t.Context(), claims[0], l.Entry(0, step.size))
		wantErr(t, err, step.err)
		if got := prover.String(); got != step.want {
			t.Errorf("after size %d: got %s, want %s", step.size, got, step.want)
		}
	}
}
