// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// refuses answers as Rekor does to what it cannot answer.
func refuses(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { tlogtest.Refuse(w, code) }
}

// TestOnlyALogSaysThatAnEntryIsAbsent: a gateway whose log is gone answers with 404,
// too, and that is an outage.
func TestOnlyALogSaysThatAnEntryIsAbsent(t *testing.T) {
	const noCache = "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"
	for name, test := range map[string]struct {
		status  int // 0: 404
		body    string
		headers map[string]string
		want    error
	}{
		"Rekor":                                  {headers: map[string]string{"Cache-Control": noCache}, want: tlog.ErrNotLogged},
		"Rekor, which does not serve that path":  {body: `{"code":404,"message":"path /x was not found"}`, headers: map[string]string{"Content-Type": "application/json", "Cache-Control": noCache}, want: tlog.ErrUnavailable},
		"Rekor, which does not understand":       {status: 400, body: `{"code":400,"message":"validation error"}`, headers: map[string]string{"Content-Type": "application/json"}, want: tlog.ErrUnavailable},
		"Rekor's headers with another status":    {status: 400, headers: map[string]string{"Cache-Control": noCache}, want: tlog.ErrUnavailable},
		"Rekor's headers with a body":            {body: "x", headers: map[string]string{"Cache-Control": noCache}, want: tlog.ErrUnavailable},
		"a cache before Rekor":                   {headers: map[string]string{"Cache-Control": "public, max-age=60"}, want: tlog.ErrUnavailable},
		"Envoy without a route":                  {headers: map[string]string{"Server": "envoy"}, want: tlog.ErrUnavailable},
		"Go's file server":                       {body: "404 page not found\n", headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"}, want: tlog.ErrUnavailable},
		"the default backend of an ingress":      {body: "default backend - 404", headers: map[string]string{"Content-Type": "text/plain"}, want: tlog.ErrUnavailable},
		"nginx":                                  {body: "<html><title>404 Not Found</title>", headers: map[string]string{"Content-Type": "text/html"}, want: tlog.ErrUnavailable},
		"an empty page that nobody may cache":    {headers: map[string]string{"Content-Type": "text/html", "Cache-Control": noCache}, want: tlog.ErrUnavailable},
		"a gateway that speaks JSON":             {body: `{"message":"no Route matched with those values"}`, headers: map[string]string{"Content-Type": "application/json", "Cache-Control": noCache}, want: tlog.ErrUnavailable},
		"an API server":                          {body: `{"kind":"Status","code":404,"message":"not found"}`, headers: map[string]string{"Content-Type": "application/json"}, want: tlog.ErrUnavailable},
		"a body that is longer than any refusal": {body: strings.Repeat(" ", 1<<20), headers: map[string]string{"Cache-Control": noCache}, want: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			l, claims := logged(t, 9)
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				for key, value := range test.headers {
					w.Header().Set(key, value)
				}
				if test.status == 0 {
					test.status = http.StatusNotFound
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
				return true
			})
			_, err := online(t, l, server, seeded(l, l.Size())).Prove(t.Context(), claims[4], l.Promise(4))
			wantErr(t, err, test.want)
			if errors.Is(err, tlog.ErrNotLogged) == errors.Is(err, tlog.ErrUnavailable) {
				t.Errorf("neither absent nor unavailable, or both: %v", err)
			}
		})
	}
}

// TestARefusalIsALogsOwn: what a log cannot show is held against it only if it was the
// log that said so.
func TestARefusalIsALogsOwn(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	for name, test := range map[string]struct {
		body    string
		headers map[string]string
		refused bool
	}{
		"Rekor's error":                    {`{"code":400,"message":"the tree size requested(9) was greater"}`, json, true},
		"Rekor's error, of its validation": {`{"code":609,"message":"firstSize in query should be at least 1"}`, json, true},
		"without a type":                   {`{"code":400,"message":"x"}`, nil, false},
		"without a body":                   {``, json, false},
		"without a code":                   {`{"message":"x"}`, json, false},
		"without a message":                {`{"code":400}`, json, false},
		"with a message that is null":      {`{"code":400,"message":null}`, json, false},
		"with a code that is text":         {`{"code":"400","message":"x"}`, json, false},
		"with more than that":              {`{"code":400,"message":"x","status":"Failure"}`, json, false},
		"nested a million deep":            {strings.Repeat(`{"code":`, 1<<20), json, false},
		"longer than any refusal":          {`{"code":400,"message":"` + strings.Repeat("x", 1<<20) + `"}`, json, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := logged(t, 9)
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				for key, value := range test.headers {
					w.Header().Set(key, value)
				}
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(test.body))
				return true
			})
			_, err := dial(t, server.URL).ConsistencyProof(t.Context(), l.TreeID, 1, 9)
			if got := errors.Is(err, tlog.ErrRefused); got != test.refused || errors.Is(err, tlog.ErrUnavailable) == test.refused {
				t.Errorf("refused: %t, want %t: %v", got, test.refused, err)
			}
		})
	}
}

// TestARefusalOfWhatEveryLogHas: every log has a checkpoint, so one that says that it has none
// is away.
func TestARefusalOfWhatEveryLogHas(t *testing.T) {
	for what, answer := range map[string]func(http.ResponseWriter){
		"not found":     refuses(http.StatusNotFound),
		"bad request":   refuses(http.StatusBadRequest),
		"absent":        tlogtest.Absent,
		"unprocessable": refuses(http.StatusUnprocessableEntity),
	} {
		l, claims := logged(t, 9)
		server := serve(t, l)
		server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true })
		prover := online(t, l, server, tlog.NewMemoryHistory())
		_, polled := prover.Poll(t.Context())
		_, met := prover.Prove(t.Context(), claims[4], l.Entry(4, 9))
		for _, err := range []error{polled, met} {
			if !errors.Is(err, tlog.ErrUnavailable) || errors.Is(err, tlog.ErrInconsistent) {
				t.Errorf("%s: got error %v, want an outage", what, err)
			}
		}
	}
}

// TestARefusalThatIsCutShort is none: what it goes on to say might be what no log says.
func TestARefusalThatIsCutShort(t *testing.T) {
	l, claims := logged(t, 9)
	server := serve(t, l)
	server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusNotFound)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := online(t, l, server, seeded(l, l.Size())).Prove(t.Context(), claims[4], l.Promise(4))
	if !errors.Is(err, tlog.ErrUnavailable) || errors.Is(err, tlog.ErrNotLogged) {
		t.Errorf("got error %v, want an outage", err)
	}
}
