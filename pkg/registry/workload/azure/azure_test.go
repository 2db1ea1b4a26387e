// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/registry/workload"
)

func TestPlaces(t *testing.T) {
	for host, want := range map[string]bool{
		"corp.azurecr.io": true, "corp.azurecr.cn": true, "corp.azurecr.us": true, "corp.westeurope.data.azurecr.io": true,
		"azurecr.io": false, "corpazurecr.io": false, "corp.azurecr.io.evil.test": false, "corp.azurecr.io:5000": false,
	} {
		place, ok := New().Place(host)
		if ok != want || (ok && place != host) {
			t.Errorf("%s: %q, %t", host, place, ok)
		}
	}
}

func TestToken(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		good   bool
	}{
		"a token": {`{"refresh_token":"refresh"}`, true},
		"none":    {`{}`, false},
		"a page":  {`<html>hunter2`, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/oauth2/exchange" || r.PostFormValue("grant_type") != "access_token" || r.PostFormValue("service") != r.Host || r.PostFormValue("access_token") != "aad" {
					w.WriteHeader(http.StatusBadRequest)
				}
				_, _ = w.Write([]byte(tc.answer))
			}))
			defer server.Close()
			p := &Provider{http: workload.NewHTTPClient(), scheme: "http", token: func(context.Context) (string, error) { return "aad", nil }}
			got, err := p.Token(t.Context(), strings.TrimPrefix(server.URL, "http://"))
			if (err == nil) != tc.good || (err != nil && strings.Contains(err.Error(), "hunter2")) {
				t.Fatal(err)
			}
			if tc.good && (got.Auth.Username != user || got.Auth.IdentityToken != "refresh" || got.Auth.Password != "" || time.Until(got.Until) > lifetime) {
				t.Errorf("%v until %v", got.Auth.Username, got.Until)
			}
		})
	}
	cause := errors.New("no identity")
	p := &Provider{token: func(context.Context) (string, error) { return "", cause }}
	if _, err := p.Token(t.Context(), "corp.azurecr.io"); !errors.Is(err, cause) {
		t.Error(err)
	}
}
