// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/tls"
	"net/http"
)

// trustAny is a transport for readiness probes of servers that make their own
// certificates; nothing that it fetches is believed.
func trustAny() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true,
	}}
}
