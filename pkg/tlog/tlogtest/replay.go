// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlogtest

import (
	"crypto"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// recording holds answers of a real rekor-server v1.5.4, byte for byte, and the
// public key of its log. The log had 11 entries, made by cosign v2.6.5 and
// v3.1.3; the signatures that they are about are in package verify's testdata.
//
//go:embed testdata/rekor1.json
var recording []byte

// Answer is one recorded HTTP answer.
type Answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// Replay is a server that gives the recorded answers of a real Rekor v1.
type Replay struct {
	*httptest.Server
	Hostname  string
	PublicKey crypto.PublicKey
	Size      int
	// Answers are the recorded answers by path and query.
	Answers map[string]Answer
}

// NewReplay starts a server of the recorded answers; Close ends it. What was not
// recorded is not in the log.
func NewReplay() *Replay {
	var recorded struct {
		Origin    string            `json:"origin"`
		PublicKey string            `json:"publicKey"`
		Size      int               `json:"size"`
		Answers   map[string]Answer `json:"answers"`
	}
	if err := json.Unmarshal(recording, &recorded); err != nil {
		panic(err)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(recorded.PublicKey))
	if err != nil {
		panic(err)
	}
	replay := &Replay{Hostname: recorded.Origin, PublicKey: key, Size: recorded.Size, Answers: recorded.Answers}
	replay.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.Path
		if r.URL.RawQuery != "" {
			asked += "?" + r.URL.RawQuery
		}
		answer, ok := recorded.Answers[asked]
		if !ok || answer.Status == http.StatusNotFound {
			Absent(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Status)
		_, _ = io.WriteString(w, answer.Body)
	}))
	return replay
}
