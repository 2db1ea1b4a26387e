// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	rekormodels "github.com/sigstore/rekor/pkg/generated/models"
	rekorverify "github.com/sigstore/rekor/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func replay(t *testing.T) (*tlogtest.Replay, *tlog.Log) {
	t.Helper()
	recorded := tlogtest.NewReplay()
	t.Cleanup(recorded.Close)
	log, err := tlog.NewLog(tlog.Config{Name: "recorded", Version: tlog.RekorV1, Origin: recorded.Hostname, Key: recorded.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	return recorded, log
}

// TestEntriesOfARealLog proves every entry that a real Rekor v1 served, and has
// Rekor's own client agree.
func TestEntriesOfARealLog(t *testing.T) {
	recorded, log := replay(t)
	verifier, err := signature.LoadECDSAVerifier(recorded.PublicKey.(*ecdsa.PublicKey), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, recorded.URL)
	proven := 0
	for asked, answer := range recorded.Answers {
		if !strings.HasPrefix(asked, "/api/v1/log/entries/") || answer.Status != 200 {
			continue
		}
		var models map[string]rekormodels.LogEntryAnon
		if err := json.Unmarshal([]byte(answer.Body), &models); err != nil {
			t.Fatal(err)
		}
		for id, model := range models {
			if err := rekorverify.VerifyLogEntry(t.Context(), &model, verifier); err != nil {
				t.Fatal(err)
			}
			body, err := base64.StdEncoding.DecodeString(model.Body.(string))
			if err != nil {
				t.Fatal(err)
			}
			leaf := tlog.LeafHash(body)
			if !strings.HasSuffix(id, strings.TrimPrefix(asked, "/api/v1/log/entries/")) {
				t.Errorf("entry %s was asked for as %s", id, asked)
			}
			fetched, err := client.Entry(t.Context(), leaf)
			if err != nil {
				t.Fatal(err)
			}
			proof, err := tlog.NewProver(log, client, tlog.NewMemoryHistory()).Prove(t.Context(), tlog.ExactBody(body), fetched)
			if err != nil {
				t.Errorf("entry %s: %v", id, err)
			}
			if proof.Checkpoint().Size() != uint64(recorded.Size) {
				t.Errorf("entry %s is proven under %v", id, proof.Checkpoint())
			}
			proven++
		}
	}
	if proven != recorded.Size {
		t.Errorf("%d entries of %d were proven", proven, recorded.Size)
	}
}

func TestLatestCheckpointOfARealLog(t *testing.T) {
	recorded, log := replay(t)
	history := tlog.NewMemoryHistory()
	got, err := tlog.NewProver(log, dial(t, recorded.URL), history).Poll(t.Context())
	if err != nil || got.Size() != uint64(recorded.Size) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRefusalsOfARealLog(t *testing.T) {
	recorded, log := replay(t)
	client := dial(t, recorded.URL)
	latest, err := tlog.NewProver(log, client, tlog.NewMemoryHistory()).Poll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(latest.Origin(), " - ")
	treeID, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	size := latest.Size()
	for name, test := range map[string]struct {
		treeID      int64
		first, last uint64
		err         error
	}{
		"from 1":              {treeID: treeID, first: 1, last: size},
		"from before the end": {treeID: treeID, first: size - 1, last: size},
		"of another tree":     {treeID: 123456789, first: 1, last: size, err: tlog.ErrRefused},
		"from 0":              {treeID: treeID, first: 0, last: size, err: tlog.ErrRefused},
		"beyond the end":      {treeID: treeID, first: 1, last: size + 50, err: tlog.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.ConsistencyProof(t.Context(), test.treeID, test.first, test.last)
			wantErr(t, err, test.err)
		})
	}
	_, err = client.Entry(t.Context(), [32]byte{})
	wantErr(t, err, tlog.ErrNotLogged)
}
