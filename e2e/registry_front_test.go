// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// front is what people put before a registry: TLS with a private authority, and a
// password.
type front struct{ host, caFile string }

// newFallbackRegistry starts a distribution v3 of the scenario's own.
func newFallbackRegistry(t *testing.T) *stack.Registry {
	t.Helper()
	registry, err := S(t).StartFallbackRegistry(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	return registry
}

// behindPassword puts nginx, which asks for a password, before a registry.
func behindPassword(t *testing.T, registry *stack.Registry) front {
	t.Helper()
	nginx, err := S(t).StartNginx(t.Context(), newName(t), stack.NginxOptions{
		TLS: true, Upstreams: []string{registry.Host}, User: "robot", Password: "s3cret",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nginx.Stop)
	return front{host: nginx.Host, caFile: nginx.CAFile}
}

// configure tells Countersign how to reach it, with a password.
func (f front) configure(t *testing.T, password string) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"auths": map[string]any{
		f.host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("robot:" + password))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// Not in a directory of the test's: Countersign goes on to read it.
	file := filepath.Join(S(t).Dir(), newName(t)+".json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := S(t).ConfigureRegistry(map[string]any{"host": f.host, "caFile": f.caFile, "credentialsFile": file}); err != nil {
		t.Fatal(err)
	}
}

// TestEachRegistryBehindAPassword: four registries, behind TLS with an authority of
// their own.
func TestEachRegistryBehindAPassword(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	own := func(start func(context.Context, string) (*stack.Registry, error)) func(*testing.T) *stack.Registry {
		return func(t *testing.T) *stack.Registry {
			t.Helper()
			registry, err := start(t.Context(), newName(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(registry.Stop)
			return registry
		}
	}
	shared := func(t *testing.T) *stack.Registry { t.Helper(); return S(t).Registry }
	for what, start := range map[string]func(*testing.T) *stack.Registry{
		"a registry with the referrers API": shared,
		"distribution v3":                   newFallbackRegistry,
		"olareg, which has it, too":         own(S(t).StartOlareg),
		"Debian's docker-registry":          own(S(t).StartDebianRegistry),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			registry := start(t)
			right, wrong := behindPassword(t, registry), behindPassword(t, registry)
			legacy, bundle, unsigned := pushImage(t, registry), pushImage(t, registry), pushImage(t, registry)
			sign(t, legacy, stack.SignOptions{})
			sign(t, bundle, bundleByV3())
			// through names the image as it is seen from behind the front.
			through := func(f front, image stack.Image) stack.Image { image.Registry = f.host; return image }
			newPolicy(t, right.host+"/**", S(t).Key)
			newPolicy(t, wrong.host+"/**", S(t).Key)
			right.configure(t, "s3cret")
			wrong.configure(t, "another")
			eventually(t, "the configuration to be read", func() bool {
				return strings.Contains(runPod(t, namespace, newName(t), through(right, unsigned).Ref()).Stderr, "NoSignature") &&
					!strings.Contains(runPod(t, namespace, newName(t), through(wrong, unsigned).Ref()).Stderr, "RegistryUnavailable")
			})
			for _, image := range []stack.Image{legacy, bundle} {
				admitted(t, runPod(t, namespace, newName(t), through(right, image).Ref()))
				refused(t, runPod(t, namespace, newName(t), through(wrong, image).Ref()), "RegistryUnauthorized", wrong.host)
			}
			refused(t, runPod(t, namespace, newName(t), through(right, unsigned).Ref()), "NoSignature")
		})
	}
}

// TestARegistryThatLimitsTheRateIsWaitedFor: nginx takes a few requests a second, fewer
// than an image needs, and says when to come back.
func TestARegistryThatLimitsTheRateIsWaitedFor(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	nginx, err := S(t).StartNginx(t.Context(), newName(t), stack.NginxOptions{
		TLS: true, Upstreams: []string{S(t).Registry.Host}, RequestsPerSecond: 2, Burst: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nginx.Stop)
	signed, unsigned := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	sign(t, signed, stack.SignOptions{})
	signed.Registry, unsigned.Registry = nginx.Host, nginx.Host
	newPolicy(t, nginx.Host+"/**", S(t).Key)
	if err := S(t).ConfigureRegistry(map[string]any{"host": nginx.Host, "caFile": nginx.CAFile}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the unsigned image to be told from one of which nobody knows", func() bool {
		result := runPod(t, namespace, newName(t), unsigned.ByDigest())
		if result.Code == 0 {
			t.Fatal("an image that nobody signed was admitted")
		}
		return strings.Contains(result.Stderr, " NoSignature: ")
	})
	eventually(t, "the signed image to be admitted", func() bool {
		result := runPod(t, namespace, newName(t), signed.ByDigest())
		if result.Code != 0 && !strings.Contains(result.Stderr, " RegistryThrottled: ") && !strings.Contains(result.Stderr, " DeadlineExceeded: ") {
			t.Fatalf("refused for another reason than the rate: %s", result.Stderr)
		}
		return result.Code == 0
	})
	log, err := os.ReadFile(nginx.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	all, limited := strings.Count(string(log), "\n"), strings.Count(string(log), " 429 ")
	t.Logf("%d requests, %d of them beyond the limit", all, limited)
	if limited == 0 || limited > all/2 {
		t.Errorf("%d of %d requests were beyond the limit, want some and less than half:\n%s", limited, all, log)
	}
}
