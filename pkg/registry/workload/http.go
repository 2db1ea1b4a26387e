// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what a provider answers, in bytes: a token has some thousand.
const maxAnswer = 64 << 10

// NewHTTPClient returns a client that takes no redirect, since it sends secrets.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAnswer,
			TLSHandshakeTimeout: patience, IdleConnTimeout: patience, MaxIdleConnsPerHost: 1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Ask sends a request, and decodes the JSON that it is answered with status 200. An
// error says nothing of what is sent or answered but the status.
func Ask(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req) //nolint:gosec // G704: each provider checks the host first
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", req.URL.Host, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	if len(body) > maxAnswer || json.Unmarshal(body, into) != nil {
		return fmt.Errorf("%s did not answer with a token", req.URL.Host)
	}
	return nil
}
