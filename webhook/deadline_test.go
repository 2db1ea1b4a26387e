// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheBudgetIsInsideTheCallersTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout string
		want    time.Duration
	}{
		"the usual":             {"10s", 9 * time.Second},
		"nothing said":          {"", 9 * time.Second},
		"nonsense":              {"soon", 9 * time.Second},
		"negative":              {"-5s", 9 * time.Second},
		"zero":                  {"0s", 9 * time.Second},
		"one second":            {"1s", 500 * time.Millisecond},
		"shorter than a second": {"100ms", 50 * time.Millisecond},
		"the longest":           {"30s", 29 * time.Second},
		"longer than allowed":   {"9999h", 29 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := budget(tt.timeout); got != tt.want {
				t.Errorf("budget(%q) = %s, want %s", tt.timeout, got, tt.want)
			}
		})
	}
}

func TestARequestEndsBeforeTheCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := withDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if err := context.Cause(r.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cause = %v", err)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/validate/images?timeout=5s", nil))
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %s, want 4s", took)
		}
	})
}
