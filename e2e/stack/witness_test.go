// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// addRequest is the body of an add-checkpoint request for a log of entries.
func addRequest(log *tlogtest.Log, old, size int) string {
	body := fmt.Sprintf("old %d\n", old)
	if old > 0 && old < size {
		for _, hash := range log.Consistency(old, size) {
			body += base64.StdEncoding.EncodeToString(hash) + "\n"
		}
	}
	return body + "\n" + log.Checkpoint(size)
}

// TestWitnessKeepsToTheProtocol: what the specification says a witness must answer
// (https://c2sp.org/tlog-witness).
func TestWitnessKeepsToTheProtocol(t *testing.T) {
	log := tlogtest.New("rekor.example")
	log.Grow(10)
	identity, err := tlog.NewLog(tlog.Config{Name: "log", Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	fork := log.Fork(3)
	fork.Grow(20)
	stranger := tlogtest.New("other.example")
	stranger.Grow(5)
	impostor := tlogtest.New("rekor.example")
	impostor.Grow(9)
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"a larger checkpoint":                   {body: addRequest(log, 5, 9)},
		"the same checkpoint":                   {body: addRequest(log, 5, 5)},
		"a larger one, with a wrong old size":   {addRequest(log, 4, 9), http.StatusConflict, "5\n"},
		"a larger one, as if it were the first": {addRequest(log, 0, 9), http.StatusConflict, "5\n"},
		"a smaller one":                         {addRequest(log, 3, 4), http.StatusConflict, "5\n"},
		"an old size above the new one":         {strings.Replace(addRequest(log, 4, 4), "old 4", "old 6", 1), http.StatusBadRequest, "larger"},
		"a larger fork":                         {addRequest(fork, 5, 9), http.StatusUnprocessableEntity, "proof"},
		"a fork of the same size":               {addRequest(fork, 5, 5), http.StatusConflict, "5\n"},
		"a larger one without a proof":          {"old 5\n\n" + log.Checkpoint(9), http.StatusUnprocessableEntity, "proof"},
		"an unknown log":                        {addRequest(stranger, 0, 5), http.StatusNotFound, "unknown"},
		"a log with another key":                {addRequest(impostor, 5, 9), http.StatusForbidden, ""},
		"no old size":                           {log.Checkpoint(9), http.StatusBadRequest, ""},
		"an old size with a leading zero":       {strings.Replace(addRequest(log, 5, 9), "old 5", "old 05", 1), http.StatusBadRequest, ""},
		"nothing":                               {"", http.StatusBadRequest, ""},
		"a proof that is not base64":            {"old 5\n****\n\n" + log.Checkpoint(9), http.StatusBadRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			key, public, err := note.GenerateKey(rand.Reader, "witness.example")
			if err != nil {
				t.Fatal(err)
			}
			signer, err := cosignature.NewSignerForCosignatureV1(key)
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := cosignature.NewVerifierForCosignatureV1(public)
			if err != nil {
				t.Fatal(err)
			}
			w := &Witness{signer: signer, cosigned: map[string]tlog.Checkpoint{}}
			w.Know(identity)
			if _, err := w.add(addRequest(log, 0, 5)); err != nil {
				t.Fatal(err)
			}
			line, err := w.add(test.body)
			if test.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				_, signed, _ := strings.Cut(test.body, "\n\n")
				if n, err := note.Open([]byte(signed+line), note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
					t.Errorf("%q is no cosignature: %v", line, err)
				} else if at, err := cosignature.CoSigV1Timestamp(n.Sigs[0]); err != nil || time.Since(at).Abs() > time.Minute {
					t.Errorf("cosigned at %v, %v", at, err)
				}
				return
			}
			var refused *refusal
			if !errors.As(err, &refused) || refused.status != test.status || !strings.Contains(refused.body, test.says) {
				t.Errorf("got %q and error %v; want status %d and %q", line, err, test.status, test.says)
			}
		})
	}
}
