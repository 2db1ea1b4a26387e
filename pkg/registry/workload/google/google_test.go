// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package google

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func TestPlaces(t *testing.T) {
	for host, want := range map[string]bool{
		"gcr.io": true, "eu.gcr.io": true, "europe-west1-docker.pkg.dev": true,
		"pkg.dev": false, "evilgcr.io": false, "gcr.io.evil.test": false, "x.pkg.dev.evil.test": false, "x-pkg.dev": false, "eu.gcr.io:5000": false, "storage.google.com": false,
	} {
		if place, ok := New().Place(host); place != "" || ok != want {
			t.Errorf("%s: %q, %t", host, place, ok)
		}
	}
}

func TestToken(t *testing.T) {
	until := time.Now().Add(time.Hour)
	p := &Provider{token: func(context.Context) (*oauth2.Token, error) {
		return &oauth2.Token{AccessToken: "ya29", Expiry: until}, nil
	}}
	got, err := p.Token(t.Context(), "")
	if err != nil || got.Auth.Username != "oauth2accesstoken" || got.Auth.Password != "ya29" || !got.Until.Equal(until) {
		t.Errorf("%v, %v", got, err)
	}
	cause := errors.New("no identity")
	p.token = func(context.Context) (*oauth2.Token, error) { return nil, cause }
	if _, err := p.Token(t.Context(), ""); !errors.Is(err, cause) {
		t.Error(err)
	}
}
