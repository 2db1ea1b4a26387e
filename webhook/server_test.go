// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"net/http"
	"testing"
)

func TestNothingIsDecidedBeforePoliciesAreLoaded(t *testing.T) {
	notLoaded := errors.New("policies are not loaded")
	h := WhenReady(func(*http.Request) error { return notLoaded }, newImages(verdicts()))
	if got := send(t, h, create("", "Pod", pod(bad))); got.Allowed || got.Result.Code != http.StatusServiceUnavailable || got.UID == "" {
		t.Errorf("allowed = %v with code %d, uid %q, want refused with 503", got.Allowed, got.Result.Code, got.UID)
	}
	h = WhenReady(func(*http.Request) error { return nil }, newImages(verdicts()))
	if got := send(t, h, create("", "Pod", pod(bad))); !got.Allowed {
		t.Errorf("refused once loaded: %+v", got.Result)
	}
}
