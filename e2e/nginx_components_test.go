// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// This scenario, too, is about a component alone.

func TestNginxServesWhomItIsToldToServe(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	if err := os.WriteFile(files+"/checkpoint", []byte("a checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := S(t).Registry.Host
	for what, tc := range map[string]struct {
		o     stack.NginxOptions
		paths []string // asked for one after the other, with the password from the second on
		want  []string // of the access log
	}{
		"files": {
			stack.NginxOptions{Root: files},
			[]string{"/checkpoint", "/other"}, []string{"GET /checkpoint 200 - -", "GET /other 404 - -"},
		},
		"files to who has a certificate and the password": {
			stack.NginxOptions{Root: files, TLS: true, Mutual: true, User: "countersign", Password: "secret"},
			[]string{"/checkpoint", "/checkpoint"}, []string{"GET /checkpoint 401 - -", "GET /checkpoint 200 - countersign"},
		},
		"no more than it has been told to": {
			stack.NginxOptions{Root: files, RequestsPerSecond: 1},
			[]string{"/checkpoint", "/checkpoint"}, []string{"GET /checkpoint 200 - -", "GET /checkpoint 429 - -"},
		},
		"what another server answers, with more directives": {
			stack.NginxOptions{Upstreams: []string{registry}, TLS: true, Directives: []string{"rewrite ^/registry/ /v2/ break"}},
			[]string{"/registry/?n=1"}, []string{"GET /registry/?n=1 200 " + registry + " -"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			nginx, err := S(t).StartNginx(t.Context(), newName(t), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nginx.Stop)
			client := &http.Client{Transport: nginx.Transport}
			for i, path := range tc.paths {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nginx.URL+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if i > 0 && tc.o.User != "" {
					request.SetBasicAuth(tc.o.User, tc.o.Password)
				}
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				if limited := response.StatusCode == http.StatusTooManyRequests; limited != (response.Header.Get("Retry-After") != "") {
					t.Errorf("%s with Retry-After %q", response.Status, response.Header.Get("Retry-After"))
				}
				_ = response.Body.Close()
			}
			var lines []string
			eventually(t, "the access log", func() bool {
				content, err := os.ReadFile(nginx.AccessLog)
				lines = strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
				return err == nil && strings.Count(string(content), "\n") == len(tc.want)
			})
			if diff := cmp.Diff(tc.want, lines); diff != "" {
				t.Errorf("the access log (-want +got):\n%s", diff)
			}
			nginx.Stop()
			if response, err := client.Get(nginx.URL); err == nil {
				t.Errorf("stopped, it answers %s", response.Status)
			}
			if err := nginx.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
