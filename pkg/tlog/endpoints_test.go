// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// replicas returns a client that asks servers in this order.
func replicas(t *testing.T, servers ...*tlogtest.Server) *tlog.RekorV1Client {
	t.Helper()
	bases := make([]*url.URL, len(servers))
	for i, server := range servers {
		base, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		bases[i] = base
	}
	return dialAt(t, nil, bases...)
}

// TestReplicasAreAskedInTurn has three replicas, of which the first two do
// something, and asks for an entry that the third one holds.
func TestReplicasAreAskedInTurn(t *testing.T) {
	t.Parallel() // it waits more than it works
	l, claims := logged(t, 9)
	says := func(code int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(text))
			return true
		}
	}
	lags := func(w http.ResponseWriter, _ *http.Request) bool { tlogtest.Absent(w); return true }
	refuse := func(w http.ResponseWriter, _ *http.Request) bool {
		tlogtest.Refuse(w, http.StatusBadRequest)
		return true
	}
	noLog := says(404, "404 page not found")
	honest := func(http.ResponseWriter, *http.Request) bool { return false }
	for name, test := range map[string]struct {
		first, second, third func(http.ResponseWriter, *http.Request) bool
		err                  error
	}{
		"all answer":                              {first: honest, second: honest, third: honest},
		"two are down":                            {first: says(503, ""), second: says(500, ""), third: honest},
		"two lag":                                 {first: lags, second: lags, third: honest},
		"two want a password":                     {first: says(401, ""), second: says(403, ""), third: honest},
		"two show a page of HTML":                 {first: says(200, "<html>"), second: says(200, "<html>"), third: honest},
		"two show nothing":                        {first: says(200, "{}"), second: says(200, ""), third: honest},
		"two cut the connection":                  {first: func(w http.ResponseWriter, _ *http.Request) bool { cut(w); return true }, second: says(502, ""), third: honest},
		"one lags and one is down":                {first: lags, second: says(503, ""), third: honest},
		"all lag":                                 {first: lags, second: lags, third: lags, err: tlog.ErrNotLogged},
		"two lag and one is down":                 {first: lags, second: lags, third: says(503, ""), err: tlog.ErrNotLogged},
		"one lags and two are no logs":            {first: noLog, second: lags, third: noLog, err: tlog.ErrNotLogged},
		"one is down and two are no logs":         {first: noLog, second: says(503, ""), third: noLog, err: tlog.ErrUnavailable},
		"none is a log":                           {first: noLog, second: noLog, third: noLog, err: tlog.ErrUnavailable},
		"all are down":                            {first: says(503, ""), second: says(503, ""), third: says(503, ""), err: tlog.ErrUnavailable},
		"none understands":                        {first: refuse, second: refuse, third: refuse, err: tlog.ErrUnavailable},
		"the last answers with half of an answer": {first: says(503, ""), second: says(503, ""), third: says(200, `{"`), err: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, c := serve(t, l), serve(t, l), serve(t, l)
			a.Intercept(test.first)
			b.Intercept(test.second)
			c.Intercept(test.third)
			_, err := tlog.NewProver(configured(t, l), replicas(t, a, b, c), seeded(l, l.Size())).Prove(t.Context(), claims[4], l.Promise(4))
			wantErr(t, err, test.err)
		})
	}
}

// TestConsistencyIsNotDeniedByWhoLags: a replica that does not know a size yet
// says so with 400, as does one that never will. Only when all that there are say
// so is the log inconsistent.
func TestConsistencyIsNotDeniedByWhoLags(t *testing.T) {
	t.Parallel() // it waits more than it works
	l, _ := logged(t, 9)
	for name, test := range map[string]struct {
		up  func(http.ResponseWriter, *http.Request) bool
		err error
	}{
		"the other replica knows": {up: func(http.ResponseWriter, *http.Request) bool { return false }},
		"the other replica is down": {up: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}, err: tlog.ErrUnavailable},
		"the other replica does not know": {up: func(w http.ResponseWriter, _ *http.Request) bool {
			tlogtest.Refuse(w, http.StatusBadRequest)
			return true
		}, err: tlog.ErrInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lags, other := serve(t, l), serve(t, l)
			lags.Show(l, 5)
			other.Intercept(test.up)
			prover := tlog.NewProver(configured(t, l), replicas(t, lags, other), seeded(l, 5))
			body, _ := claimOf(t, "entry 7").Body()
			_, err := prover.Prove(t.Context(), tlog.ExactBody(body), l.Entry(7, 9))
			wantErr(t, err, test.err)
		})
	}
}
