// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// pushSecurely pushes a new random image to a registry behind TLS.
func pushSecurely(t *testing.T, registry *stack.SecureRegistry) stack.Image {
	t.Helper()
	return pushAs(t, registry, registry.Login, newName(t)+"/app")
}

// pushAs does it as a user.
func pushAs(t *testing.T, registry *stack.SecureRegistry, user stack.Login, repository string) stack.Image {
	t.Helper()
	content, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}
	image := stack.Image{Registry: registry.Host, Repository: repository, Tag: "v1", Digest: digest.String()}
	ref, err := name.NewTag(image.Ref(), name.StrictValidation)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, content, remote.WithContext(t.Context()), remote.WithTransport(registry.Transport), remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: user.User, Password: user.Password}))); err != nil {
		t.Fatal(err)
	}
	return image
}

// entryOf is what an administrator writes about a registry behind TLS.
func entryOf(registry *stack.SecureRegistry) map[string]any {
	entry := map[string]any{"host": registry.Host, "caFile": registry.CAFile}
	if registry.ClientCertFile != "" {
		entry["clientCertificate"] = map[string]any{"certFile": registry.ClientCertFile, "keyFile": registry.ClientKeyFile}
	}
	return entry
}

// TestARegistryBehindTLSIsReachedOnceItIsConfigured: Countersign runs on while its
// configuration changes, and takes nothing else for the registry before.
func TestARegistryBehindTLSIsReachedOnceItIsConfigured(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, mutual := range map[string]bool{"with a private authority": false, "with certificates of clients": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			registry, err := S(t).StartSecureRegistry(t.Context(), newName(t), mutual)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(registry.Stop)
			for _, o := range []stack.SignOptions{{}, {Cosign: stack.CosignV3, Format: stack.Bundle}} {
				o.Through = registry
				image, unsigned := pushSecurely(t, registry), pushSecurely(t, registry)
				newPolicy(t, registry.Host+"/"+image.Repository, S(t).Key)
				newPolicy(t, registry.Host+"/"+unsigned.Repository, S(t).Key)
				sign(t, image, o)
				if o.Format != stack.Bundle {
					refused(t, runPod(t, namespace, newName(t), image.Ref()), "RegistryUnavailable", registry.Host)
					if err := S(t).ConfigureRegistry(entryOf(registry)); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "the configuration to be read", func() bool {
					return !strings.Contains(runPod(t, namespace, newName(t), unsigned.Ref()).Stderr, "RegistryUnavailable")
				})
				pod := newName(t)
				admitted(t, runPod(t, namespace, pod, image.Ref()))
				if got := imageOf(t, namespace, pod); got != image.Pinned() {
					t.Errorf("the Pod runs %q, want %q", got, image.Pinned())
				}
				refused(t, runPod(t, namespace, newName(t), unsigned.Ref()), "NoSignature")
			}
		})
	}
}

// TestImagesOfAMirroredRegistryKeepTheirName: the registry does not exist here, as in
// a cluster without a way out. Policies, Pods and messages name it all the same.
func TestImagesOfAMirroredRegistryKeepTheirName(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	upstream, below := newName(t)+".example", newName(t)
	if len(upstream) > 60 {
		upstream = upstream[len(upstream)-60:]
	}
	upstream = strings.Trim(upstream, "-")
	mirror := S(t).RegistryFallback
	pushed := func() (image, copied stack.Image) {
		copied, err := stack.PushImage(t.Context(), mirror.Host, below+"/team/"+newName(t), "v1")
		if err != nil {
			t.Fatal(err)
		}
		image = copied
		image.Registry, image.Repository = upstream, strings.TrimPrefix(copied.Repository, below+"/")
		return image, copied
	}
	image, copied := pushed()
	unsigned, _ := pushed()
	policy := newPolicy(t, upstream+"/**", S(t).Key)
	sign(t, copied, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle})
	refused(t, runPod(t, namespace, "before", image.ByDigest()), "RegistryUnavailable", upstream, policy)
	if err := S(t).ConfigureRegistry(map[string]any{"host": upstream, "mirrors": []any{mirror.Host + "/" + below}, "mirrorsOnly": true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the configuration to be read", func() bool {
		return !strings.Contains(runPod(t, namespace, newName(t), unsigned.ByDigest()).Stderr, "RegistryUnavailable")
	})
	admitted(t, runPod(t, namespace, "signed", image.Ref()))
	if got := imageOf(t, namespace, "signed"); got != image.Pinned() {
		t.Errorf("the Pod runs %q, want %q", got, image.Pinned())
	}
	refused(t, runPod(t, namespace, "unsigned", unsigned.Ref()), "NoSignature", shown(unsigned), policy)
}

// TestTheCommandLineReachesRegistriesAsAdmissionDoes, and shows how.
func TestTheCommandLineReachesRegistriesAsAdmissionDoes(t *testing.T) {
	t.Parallel()
	registry, err := S(t).StartSecureRegistry(t.Context(), newName(t), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	image := pushSecurely(t, registry)
	sign(t, image, stack.SignOptions{Cosign: stack.CosignV3, Through: registry})
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "apiVersion: config.countersign.dev/v1alpha1\nkind: RegistryConfig\nregistries:\n- host: "
	certificate := "  clientCertificate: {certFile: " + registry.ClientCertFile + ", keyFile: " + registry.ClientKeyFile + "}\n"
	for what, tc := range map[string]struct {
		config string
		code   int
		says   string
	}{
		"with its authority and a certificate": {head + registry.Host + "\n  caFile: " + registry.CAFile + "\n" + certificate, 0, "verified by"},
		"without a certificate":                {head + registry.Host + "\n  caFile: " + registry.CAFile + "\n", 3, "RegistryUnavailable: registry " + registry.Host + " cannot be reached: "}, // TLS 1.3: whether its alert is read before its RST is chance
		"without its authority":                {head + registry.Host + "\n" + certificate, 3, "its certificate is not trusted"},
		"as one that nobody named":             {strings.TrimSuffix(head, "registries:\n- host: "), 3, "only a registry that the configuration names"},
	} {
		t.Run(what, func(t *testing.T) {
			result, err := S(t).Run(t.Context(), nil, S(t).Countersign.Binary, "verify", "image", image.Ref(), "-v",
				"--policy", write("policy.yaml", stack.KeyPolicy("cli", registry.Host+"/**", S(t).Key)),
				"--trust", write("log.yaml", S(t).TransparencyLog(S(t).Rekor, "rekor", true)),
				"--registry-config", write("registries.yaml", tc.config))
			if err != nil {
				t.Fatal(err)
			}
			if result.Code != tc.code || !strings.Contains(result.Stdout, tc.says) {
				t.Errorf("exit status %d; want %d, and to read %q:\n%s%s", result.Code, tc.code, tc.says, result.Stdout, result.Stderr)
			}
			if want := " ms  GET  https://" + registry.Host + "/v2/  → "; !strings.Contains(result.Stderr, want) {
				t.Errorf("it does not show %q:\n%s", want, result.Stderr)
			}
		})
	}
}
