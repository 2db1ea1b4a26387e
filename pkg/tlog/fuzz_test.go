// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// The seeds of all targets are signed by a real log, whose private key nobody here
// has. So whatever is accepted must say what a seed says.

// recordedEntries are the entries of the recorded log.
func recordedEntries(f *testing.F) (*tlog.Log, []recordedEntry) {
	f.Helper()
	recorded := tlogtest.NewReplay()
	recorded.Close()
	log, err := tlog.NewLog(tlog.Config{Name: "recorded", Version: tlog.RekorV1, Origin: recorded.Hostname, Key: recorded.PublicKey})
	if err != nil {
		f.Fatal(err)
	}
	var entries []recordedEntry
	for asked, answer := range recorded.Answers {
		if !strings.HasPrefix(asked, "/api/v1/log/entries/") || answer.Status != http.StatusOK {
			continue
		}
		var decoded map[string]struct {
			Body                     string
			IntegratedTime, LogIndex int64
			Verification             struct {
				SignedEntryTimestamp []byte
				InclusionProof       struct{ Checkpoint string }
			}
		}
		if err := json.Unmarshal([]byte(answer.Body), &decoded); err != nil {
			f.Fatal(err)
		}
		for _, d := range decoded {
			body, err := base64.StdEncoding.DecodeString(d.Body)
			if err != nil {
				f.Fatal(err)
			}
			entries = append(entries, recordedEntry{
				answer: answer.Body, body: body, time: d.IntegratedTime, index: d.LogIndex,
				promise: d.Verification.SignedEntryTimestamp, checkpoint: d.Verification.InclusionProof.Checkpoint,
			})
		}
	}
	return log, entries
}

type recordedEntry struct {
	answer, checkpoint string
	body, promise      []byte
	time, index        int64
}

func FuzzCheckpoint(f *testing.F) {
	log, entries := recordedEntries(f)
	signed := map[string]bool{}
	for _, e := range entries {
		text, _, _ := strings.Cut(e.checkpoint, "\n\n")
		signed[text] = true
		f.Add([]byte(e.checkpoint))
		f.Add([]byte(strings.Replace(e.checkpoint, "\n\n", "\nextension\n\n", 1)))
		f.Add([]byte(e.checkpoint + "— witness AAAAAAA=\n"))
	}
	f.Fuzz(func(t *testing.T, note []byte) {
		checkpoint, err := log.VerifyCheckpoint(note)
		if err != nil {
			return
		}
		if text, _, _ := strings.Cut(string(note), "\n\n"); !signed[text] {
			t.Errorf("%v is accepted, and nobody signed it: %q", checkpoint, note)
		}
	})
}

func FuzzSignedEntryTimestamp(f *testing.F) {
	log, entries := recordedEntries(f)
	for _, e := range entries {
		f.Add(e.body, e.time, e.index, e.promise)
	}
	f.Fuzz(func(t *testing.T, body []byte, time, index int64, promise []byte) {
		entry := &tlog.Entry{Body: body, IntegratedTime: time, LogIndex: index, SignedEntryTimestamp: promise}
		if len(promise) == 0 || entry.CheckSignedEntryTimestamp(log) != nil {
			return
		}
		for _, e := range entries {
			if bytes.Equal(e.body, body) && e.time == time && e.index == index {
				return
			}
		}
		t.Errorf("accepted, and nobody signed it: %q at %d, index %d", body, time, index)
	})
}

func FuzzEntryAnswer(f *testing.F) {
	log, entries := recordedEntries(f)
	for _, e := range entries {
		f.Add([]byte(e.answer))
	}
	f.Add([]byte(`{"` + strings.Repeat("0", 80) + `":{"verification":{"inclusionProof":{"logIndex":-1}}}}`))
	var answer []byte
	transport := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer))}, nil
	})
	client := dialAt(f, &http.Client{Transport: transport}, &url.URL{Scheme: "https", Host: hostname})
	f.Fuzz(func(t *testing.T, text []byte) {
		answer = text
		for _, e := range entries {
			leaf := tlog.LeafHash(e.body)
			if !bytes.Contains(text, []byte(`"`)) {
				continue
			}
			// The inner function, because shared work recovers from a panic.
			if _, err := client.Entry(context.Background(), leaf); err != nil {
				continue
			}
			proof, err := tlog.NewProver(log, client, tlog.NewMemoryHistory()).Prove(context.Background(), tlog.ExactBody(e.body), nil)
			if err == nil && (proof.Leaf() != leaf || proof.Index() != e.index) {
				t.Errorf("entry %d is proven at index %d by %q", e.index, proof.Index(), text)
			}
		}
	})
}

// determined is what an entry's body says, less the hash of an envelope's JSON, which
// no signature determines. It is nil for what is no JSON.
func determined(body []byte) map[string]any {
	var entry map[string]any
	if json.Unmarshal(body, &entry) != nil {
		return nil
	}
	spec, _ := entry["spec"].(map[string]any)
	if content, ok := spec["content"].(map[string]any); ok { // intoto
		delete(content, "hash")
	}
	delete(spec, "envelopeHash") // dsse
	return entry
}

// FuzzClaim looks for a body that a claim accepts besides the one that it means.
func FuzzClaim(f *testing.F) {
	for _, sample := range sampleClaims(f) {
		f.Add(sample.body)
	}
	samples := sampleClaims(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, sample := range samples {
			if sample.claim.Check(body) != nil {
				continue
			}
			accepted, meant := determined(body), determined(sample.body)
			if accepted == nil || meant == nil {
				t.Fatalf("%s: a body that is not JSON is accepted: %q", name, body)
			}
			a, _ := json.Marshal(accepted)
			b, _ := json.Marshal(meant)
			if !bytes.Equal(a, b) {
				t.Errorf("%s: accepted %q", name, body)
			}
		}
	})
}
