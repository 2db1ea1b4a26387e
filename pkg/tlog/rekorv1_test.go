// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func dialThrough(t *testing.T, transport http.RoundTripper) *tlog.RekorV1Client {
	t.Helper()
	return dialAt(t, &http.Client{Transport: transport}, &url.URL{Scheme: "https", Host: hostname})
}

func TestNewEndpoints(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://rekor.example":      true,
		"http://127.0.0.1:3000/":     true,
		"https://rekor.example/path": true,
		"ftp://rekor.example":        false,
		"rekor.example":              false,
		"//rekor.example":            false,
		"https:///path":              false,
		"file:///etc/passwd":         false,
		"":                           false,
	} {
		base, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}}); (err == nil) != ok {
			t.Errorf("%q: got error %v", address, err)
		}
	}
	base, _ := url.Parse("ftp://user:secret@rekor.example")
	if _, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows a password: %v", err)
	}
	base, _ = url.Parse("https://rekor.example")
	for n, ok := range map[int]bool{0: false, 1: true, 8: true, 9: false} {
		if _, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: slices.Repeat([]*url.URL{base}, n)}); (err == nil) != ok {
			t.Errorf("%d addresses: got error %v", n, err)
		}
	}
}

// TestAnswersOfALog gives a prover every answer that a log, or whoever sits at its
// address, can give to a question for an entry.
func TestAnswersOfALog(t *testing.T) {
	l, claims := logged(t, 9)
	other := tlogtest.New("other.example.test")
	for i := range 9 {
		other.Append(bodyOf(t, claims[i]))
	}
	const index = 4
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(code); _, _ = w.Write([]byte(`{"code":1}`)) }
	}
	text := func(answer string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(answer)) }
	}
	// says is the log's own answer after a change.
	says := func(change func(*answer)) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			a := answerOf(l, index, 9)
			change(a)
			a.write(w)
		}
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		err    error
		// connected is set for what only a connection can show.
		connected bool
	}{
		"what the log holds":                     {answer: says(func(*answer) {})},
		"the entry under its bare leaf hash":     {answer: says(func(a *answer) { a.id = a.id[16:] })},
		"the entry and an unknown field":         {answer: says(func(a *answer) { a.entry["attestation"] = map[string]any{"data": "x"} })},
		"another size and root beside the proof": {answer: says(func(a *answer) { a.proof["treeSize"], a.proof["rootHash"] = 1, "00" })},
		"a promise that is absent":               {answer: says(func(a *answer) { a.verification["signedEntryTimestamp"] = nil })},
		"not found":                              {answer: tlogtest.Absent, err: tlog.ErrNotLogged},
		"bad request":                            {answer: refuses(http.StatusBadRequest), err: tlog.ErrUnavailable},
		"unprocessable":                          {answer: refuses(http.StatusUnprocessableEntity), err: tlog.ErrUnavailable},
		"unauthorized":                           {answer: status(http.StatusUnauthorized), err: tlog.ErrUnavailable},
		"forbidden":                              {answer: status(http.StatusForbidden), err: tlog.ErrUnavailable},
		"gone":                                   {answer: status(http.StatusGone), err: tlog.ErrUnavailable},
		"too many requests":                      {answer: status(http.StatusTooManyRequests), err: tlog.ErrUnavailable},
		"internal error":                         {answer: status(http.StatusInternalServerError), err: tlog.ErrUnavailable},
		"unavailable":                            {answer: status(http.StatusServiceUnavailable), err: tlog.ErrUnavailable},
		"no content":                             {answer: status(http.StatusNoContent), err: tlog.ErrUnavailable},
		"nothing":                                {answer: text(""), err: tlog.ErrUnavailable},
		"a page of HTML":                         {answer: text("<html>"), err: tlog.ErrUnavailable},
		"half of the answer":                     {answer: text(`{"` + strings.Repeat("a", 80) + `":{"body":"`), err: tlog.ErrUnavailable},
		"two JSON documents":                     {answer: text(`{}{}`), err: tlog.ErrUnavailable},
		"a list":                                 {answer: text(`[]`), err: tlog.ErrUnavailable},
		"JSON nested a million deep":             {answer: text(strings.Repeat("[", 1<<20)), err: tlog.ErrUnavailable},
		"JSON nested a million deep inside an entry": {answer: text(`{"a":{"x":` + strings.Repeat(`{"x":`, 1<<19)), err: tlog.ErrUnavailable},
		"more than four megabytes":                   {answer: text(`"` + strings.Repeat("a", tlog.MaxResponseBytes) + `"`), err: tlog.ErrLimit},
		"more than four megabytes in a small gzip":   {answer: gzipped(strings.Repeat(" ", tlog.MaxResponseBytes+1)), err: tlog.ErrLimit, connected: true},
		"null":                                {answer: text(`null`), err: tlog.ErrEntryMismatch},
		"no entry":                            {answer: text(`{}`), err: tlog.ErrEntryMismatch},
		"null for the entry":                  {answer: says(func(a *answer) { a.entry = nil }), err: tlog.ErrInclusionProof},
		"two entries":                         {answer: says(func(a *answer) { a.more = map[string]any{strings.Repeat("0", 80): a.entry} }), err: tlog.ErrEntryMismatch},
		"the entry under another ID":          {answer: says(func(a *answer) { a.id = strings.Repeat("0", 80) }), err: tlog.ErrEntryMismatch},
		"the entry under an empty ID":         {answer: says(func(a *answer) { a.id = "" }), err: tlog.ErrEntryMismatch},
		"another body":                        {answer: says(func(a *answer) { a.entry["body"] = base64.StdEncoding.EncodeToString([]byte("{}")) }), err: tlog.ErrEntryMismatch},
		"the body of the next entry":          {answer: says(func(a *answer) { a.entry = answerOf(l, index+1, 9).entry }), err: tlog.ErrEntryMismatch},
		"a body that is not base64":           {answer: says(func(a *answer) { a.entry["body"] = "%" }), err: tlog.ErrEntryMismatch},
		"a body that is an object":            {answer: says(func(a *answer) { a.entry["body"] = map[string]any{} }), err: tlog.ErrUnavailable},
		"no body":                             {answer: says(func(a *answer) { delete(a.entry, "body") }), err: tlog.ErrEntryMismatch},
		"another log's ID":                    {answer: says(func(a *answer) { a.entry["logID"] = hex.EncodeToString(other.ID()) }), err: tlog.ErrUnknownLog},
		"a log ID that is not hexadecimal":    {answer: says(func(a *answer) { a.entry["logID"] = "zz" }), err: tlog.ErrEntryMismatch},
		"no log ID":                           {answer: says(func(a *answer) { delete(a.entry, "logID") }), err: tlog.ErrUnknownLog},
		"another index":                       {answer: says(func(a *answer) { a.entry["logIndex"] = 77 }), err: tlog.ErrEntryMismatch},
		"another time":                        {answer: says(func(a *answer) { a.entry["integratedTime"] = 77 }), err: tlog.ErrEntryMismatch},
		"a time that is no integer":           {answer: says(func(a *answer) { a.entry["integratedTime"] = 1.5 }), err: tlog.ErrUnavailable},
		"a promise that another log signed":   {answer: says(func(a *answer) { a.verification["signedEntryTimestamp"] = other.Promise(index).SignedEntryTimestamp }), err: tlog.ErrSignedEntryTimestamp},
		"a promise that is not base64":        {answer: says(func(a *answer) { a.verification["signedEntryTimestamp"] = "%" }), err: tlog.ErrUnavailable},
		"no verification":                     {answer: says(func(a *answer) { delete(a.entry, "verification") }), err: tlog.ErrInclusionProof},
		"no inclusion proof":                  {answer: says(func(a *answer) { delete(a.verification, "inclusionProof") }), err: tlog.ErrInclusionProof},
		"a proof with no hashes":              {answer: says(func(a *answer) { delete(a.proof, "hashes") }), err: tlog.ErrInclusionProof},
		"a proof with a hash that is not hex": {answer: says(func(a *answer) { a.proof["hashes"] = []string{"zz"} }), err: tlog.ErrInclusionProof},
		"a proof with a short hash":           {answer: says(func(a *answer) { a.proof["hashes"] = []string{"00"} }), err: tlog.ErrInclusionProof},
		"a proof with 64 hashes":              {answer: says(func(a *answer) { a.proof["hashes"] = make([]string, 64) }), err: tlog.ErrInclusionProof},
		"a proof with another index":          {answer: says(func(a *answer) { a.proof["logIndex"] = index + 1 }), err: tlog.ErrInclusionProof},
		"a proof with a negative index":       {answer: says(func(a *answer) { a.proof["logIndex"] = -1 }), err: tlog.ErrInclusionProof},
		"a checkpoint of another log":         {answer: says(func(a *answer) { a.proof["checkpoint"] = other.Checkpoint(9) }), err: tlog.ErrCheckpoint},
		"no checkpoint":                       {answer: says(func(a *answer) { delete(a.proof, "checkpoint") }), err: tlog.ErrCheckpoint},
		"the connection cut in the body":      {answer: cut, err: tlog.ErrUnavailable, connected: true},
		"the connection cut at once":          {answer: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, err: tlog.ErrUnavailable, connected: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { test.answer(w); return true })
			var proof tlog.Proof
			var err error
			prove := func(t *testing.T, p *tlog.Prover) { proof, err = p.Prove(t.Context(), claims[index], l.Promise(index)) }
			if test.connected {
				prove(t, online(t, l, server, seeded(l, l.Size())))
			} else {
				synctest.Test(t, func(t *testing.T) { prove(t, timeless(t, l, server, seeded(l, l.Size()))) })
			}
			wantErr(t, err, test.err)
			if test.err != nil && (proof != tlog.Proof{}) {
				t.Errorf("an error comes with a proof: %v", proof)
			}
			if errors.Is(test.err, tlog.ErrUnavailable) && errors.Is(err, tlog.ErrNotLogged) {
				t.Errorf("an outage is told as absence: %v", err)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error quotes %d bytes", len(err.Error()))
			}
		})
	}
}

// answer is a log's answer to a question for one entry, as JSON objects that a
// test can change.
type answer struct {
	id                         string
	entry, verification, proof map[string]any
	more                       map[string]any
}

func answerOf(l *tlogtest.Log, index, size int) *answer {
	e := l.Entry(index, size)
	hashes := make([]string, len(e.Inclusion.Hashes))
	for i, h := range e.Inclusion.Hashes {
		hashes[i] = hex.EncodeToString(h)
	}
	a := &answer{proof: map[string]any{"checkpoint": e.Inclusion.Checkpoint, "hashes": hashes, "logIndex": e.Inclusion.Index}}
	a.verification = map[string]any{"inclusionProof": a.proof, "signedEntryTimestamp": e.SignedEntryTimestamp}
	a.entry = map[string]any{
		"body": e.Body, "integratedTime": e.IntegratedTime, "logID": hex.EncodeToString(e.LogID), "logIndex": e.LogIndex, "verification": a.verification,
	}
	leaf := tlog.LeafHash(e.Body)
	a.id = fmt.Sprintf("%016x%x", l.TreeID, leaf)
	return a
}

func (a *answer) write(w http.ResponseWriter) {
	all := map[string]any{a.id: a.entry}
	maps.Copy(all, a.more)
	_ = json.NewEncoder(w).Encode(all)
}

func gzipped(text string) func(http.ResponseWriter) {
	var buffer bytes.Buffer
	zip := gzip.NewWriter(&buffer)
	_, _ = zip.Write([]byte(text))
	_ = zip.Close()
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(buffer.Bytes())
	}
}

func cut(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"`))
	panic(http.ErrAbortHandler)
}

// TestEndlessAnswers: a log that never ends its answer costs a bounded time and
// memory.
func TestEndlessAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		chunk []byte
		pause time.Duration
		err   error
	}{
		"a body without end":            {chunk: bytes.Repeat([]byte(" "), 1<<20), err: tlog.ErrLimit},
		"one byte every 5 milliseconds": {chunk: []byte(" "), pause: 5 * time.Millisecond, err: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(test.chunk); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush()
					time.Sleep(test.pause)
				}
			}))
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			if test.pause > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			_, err := dial(t, server.URL).Latest(ctx)
			wantErr(t, err, test.err)
		})
	}
}

func TestRedirects(t *testing.T) {
	l, claims := logged(t, 3)
	server, elsewhere := serve(t, l), serve(t, l)
	for name, test := range map[string]struct {
		to       func(*http.Request) string
		err      error
		requests int64
	}{
		"to another host":            {to: func(r *http.Request) string { return elsewhere.URL + r.URL.Path }, err: tlog.ErrUnavailable},
		"to another scheme":          {to: func(r *http.Request) string { return "https://" + r.Host + r.URL.Path }, err: tlog.ErrUnavailable},
		"to a file":                  {to: func(*http.Request) string { return "file:///etc/passwd" }, err: tlog.ErrUnavailable},
		"round and round":            {to: func(r *http.Request) string { return r.URL.Path }, err: tlog.ErrUnavailable},
		"to itself with a new query": {to: func(r *http.Request) string { return r.URL.Path + "?again=1" }},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				asked.Add(1)
				if r.FormValue("again") != "" {
					return false
				}
				http.Redirect(w, r, test.to(r), http.StatusFound)
				return true
			})
			before := elsewhere.Requests.Load()
			_, err := online(t, l, server, tlog.NewMemoryHistory()).Prove(t.Context(), claims[0], l.Promise(0))
			wantErr(t, err, test.err)
			if elsewhere.Requests.Load() != before {
				t.Error("the other host was asked")
			}
			if asked.Load() > 4 {
				t.Errorf("%d requests", asked.Load())
			}
		})
	}
}

func TestPollAnswers(t *testing.T) {
	l, _ := logged(t, 4)
	for name, test := range map[string]struct {
		answer string
		status int
		err    error
	}{
		"no checkpoint":             {answer: `{}`, err: tlog.ErrCheckpoint},
		"null":                      {answer: `null`, err: tlog.ErrCheckpoint},
		"a number for checkpoint":   {answer: `{"signedTreeHead":1}`, err: tlog.ErrUnavailable},
		"a checkpoint of nobody":    {answer: `{"signedTreeHead":"x\n"}`, err: tlog.ErrCheckpoint},
		"a checkpoint that is long": {answer: `{"signedTreeHead":"` + strings.Repeat("x", tlog.MaxNoteBytes+1) + `"}`, err: tlog.ErrLimit},
		"not found":                 {status: http.StatusNotFound, err: tlog.ErrUnavailable},
		"bad request":               {status: http.StatusBadRequest, err: tlog.ErrUnavailable},
		"bad gateway":               {status: http.StatusBadGateway, err: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = w.Write([]byte(test.answer))
				return true
			})
			synctest.Test(t, func(t *testing.T) {
				_, err := timeless(t, l, server, tlog.NewMemoryHistory()).Poll(t.Context())
				wantErr(t, err, test.err)
			})
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		server := serve(t, l)
		server.Close()
		_, err := online(t, l, server, tlog.NewMemoryHistory()).Poll(t.Context())
		wantErr(t, err, tlog.ErrUnavailable)
	})
	t.Run("offline", func(t *testing.T) {
		_, err := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory()).Poll(t.Context())
		wantErr(t, err, tlog.ErrUnavailable)
	})
}
