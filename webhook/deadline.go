// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"time"
)

const (
	// defaultTimeout is what the API server waits when it does not say.
	defaultTimeout = 10 * time.Second
	// maxTimeout is the longest timeout that Kubernetes allows a webhook.
	maxTimeout = 30 * time.Second
	// margin is kept for the way back, so that a refusal with a reason arrives
	// before the API server gives up on us.
	margin = time.Second
)

// withDeadline gives each request a deadline inside the API server's own, which
// that sends as the query parameter "timeout".
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), budget(r.URL.Query().Get("timeout")))
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// budget is the time for an answer when the caller waits for timeout, a Go
// duration: one second less, or half of it when that would leave too little.
// It is always positive.
func budget(timeout string) time.Duration {
	total, err := time.ParseDuration(timeout)
	if err != nil || total <= 0 {
		total = defaultTimeout
	}
	total = min(total, maxTimeout)
	return max(total-margin, total/2)
}
