// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// NewServer returns the HTTPS server for the handlers, which presents c. Package
// webhook bounds headers (1 MiB, 32 s) and idle connections (90 s).
func NewServer(host string, port int, c *Certificate) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Host: host,
		Port: port,
		TLSOpts: []func(*tls.Config){func(config *tls.Config) {
			config.MinVersion = tls.VersionTLS12
			config.GetCertificate = c.GetCertificate
		}},
	})
}

// Handler serves one admission handler over HTTP: it reads the review (up to
// 7 MiB) when there is room for it, keeps to a deadline inside the caller's, and
// turns a panic into a refusal. All handlers of a server share inFlight.
func Handler(h admission.Handler, inFlight *InFlight) http.Handler {
	return withDeadline(inFlight.bound(&admission.Webhook{Handler: h}))
}

// WhenReady refuses every request until check passes: before the policies are
// known, that none covers an image means nothing. check is given no request.
func WhenReady(check healthz.Checker, next admission.Handler) admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, req admission.Request) admission.Response {
		if err := check(nil); err != nil {
			return admission.Errored(http.StatusServiceUnavailable, fmt.Errorf("countersign cannot decide yet: %w", err))
		}
		return next.Handle(ctx, req)
	})
}
