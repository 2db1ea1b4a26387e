// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// These scenarios are about the components alone: when one of them fails, the
// stack is what is broken.

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

func TestControlPlaneTurnsADeploymentIntoAPod(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	mustKubectl(t, "", "create", "deployment", "web", "-n", namespace, "--image=registry.example/none:1")
	eventually(t, "the Deployment's Pod", func() bool {
		return strings.Contains(mustKubectl(t, "", "get", "pods", "-n", namespace, "-o", "name"), "pod/web-")
	})
}

func TestRegistriesDifferInTheReferrersAPI(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		registry *stack.Registry
		status   int
	}{
		"the registry with the referrers API answers it":            {S(t).Registry, http.StatusOK},
		"the registry without the referrers API says that it is so": {S(t).RegistryFallback, http.StatusNotFound},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, tc.registry)
			url := tc.registry.URL() + "/v2/" + image.Repository + "/referrers/" + image.Digest
			if status, body := get(t, url); status != tc.status {
				t.Errorf("GET %s: status %d, want %d: %s", url, status, tc.status, body)
			}
		})
	}
}

func TestCosignStoresSignaturesInEveryFormat(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		registry *stack.Registry
		sign     stack.SignOptions
		tag      string // "", or the suffix of the tag that holds the signature
		logged   string // what the evidence contains; "" for none
	}{
		"cosign v2 writes a legacy signature with a SET": {
			S(t).Registry, stack.SignOptions{}, ".sig", "SignedEntryTimestamp",
		},
		"cosign v2 without upload writes a legacy signature alone": {
			S(t).RegistryFallback, stack.SignOptions{NoUpload: true}, ".sig", "",
		},
		"cosign v2 writes a bundle": {
			S(t).Registry, stack.SignOptions{Format: stack.Bundle}, "", "inclusionProof",
		},
		"cosign v3 writes a legacy signature with a SET": {
			S(t).Registry, stack.SignOptions{Cosign: stack.CosignV3}, ".sig", "SignedEntryTimestamp",
		},
		"cosign v3 writes a bundle that refers to the image": {
			S(t).Registry, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle}, "", "inclusionProof",
		},
		"cosign v3 writes a bundle under the fallback tag": {
			S(t).RegistryFallback, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle}, "", "inclusionProof",
		},
		"cosign v3 without upload writes a bundle without an entry": {
			S(t).Registry, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, NoUpload: true}, "", "",
		},
		"cosign v3 writes a bundle about Rekor v2": {
			S(t).Registry, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, Log: S(t).RekorV2}, "", "inclusionProof",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, tc.registry)
			sign(t, image, tc.sign)
			evidence := signatureTag(t, image)
			if tc.tag == "" {
				evidence = onlyBundle(t, image)
			}
			for _, word := range []string{"SignedEntryTimestamp", "inclusionProof"} {
				if got, want := strings.Contains(evidence, word), word == tc.logged; got != want {
					t.Errorf("the evidence has %s: %t, want %t:\n%s", word, got, want, evidence)
				}
			}
		})
	}
}

func TestRekorV1GrowsWithEachSignature(t *testing.T) {
	t.Parallel()
	rekor, err := S(t).StartRekor(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	for _, want := range []int{1, 2} {
		sign(t, pushImage(t, S(t).Registry), stack.SignOptions{Log: rekor})
		var log struct {
			TreeSize       int    `json:"treeSize"`
			SignedTreeHead string `json:"signedTreeHead"`
		}
		_, body := get(t, rekor.URL+"/api/v1/log")
		if err := json.Unmarshal([]byte(body), &log); err != nil {
			t.Fatal(err)
		}
		if log.TreeSize != want {
			t.Errorf("tree size %d, want %d", log.TreeSize, want)
		}
		if origin := rekor.Hostname + " - " + rekor.TreeID + "\n"; !strings.HasPrefix(log.SignedTreeHead, origin) {
			t.Errorf("the checkpoint begins otherwise than with %q: %q", origin, log.SignedTreeHead)
		}
	}
}

func TestRekorV1AnswersAgainAfterARestart(t *testing.T) {
	t.Parallel()
	rekor, err := S(t).StartRekor(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	sign(t, pushImage(t, S(t).Registry), stack.SignOptions{Log: rekor})
	rekor.Kill()
	if _, err := http.Get(rekor.URL + "/api/v1/log"); err == nil {
		t.Error("a killed Rekor still answers")
	}
	if err := rekor.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, rekor.URL+"/api/v1/log"); !strings.Contains(body, `"treeSize":1`) {
		t.Errorf("the entry is gone: %s", body)
	}
}

func TestRekorV2ServesACheckpointUnderItsName(t *testing.T) {
	t.Parallel()
	_, body := get(t, S(t).RekorV2.ReadURL+"/checkpoint")
	if want := S(t).RekorV2.Hostname + "\n"; !strings.HasPrefix(body, want) {
		t.Errorf("the checkpoint begins otherwise than with %q: %q", want, body)
	}
}

func TestProxyCountsChangesAndGoesDown(t *testing.T) {
	t.Parallel()
	image := pushImage(t, S(t).Registry)
	proxy, err := S(t).ProxyRegistry(t.Context(), S(t).Registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Down)
	url := proxy.URL + "/v2/" + image.Repository + "/tags/list"
	if _, body := get(t, url); !strings.Contains(body, "v1") {
		t.Errorf("the proxy does not pass on: %s", body)
	}
	proxy.SetHook(stack.RewriteBody(func(body []byte) []byte { return []byte(strings.ReplaceAll(string(body), "v1", "v2")) }))
	if _, body := get(t, url); !strings.Contains(body, "v2") {
		t.Errorf("the hook does not change the answer: %s", body)
	}
	if got := len(proxy.Requests()); got != 2 {
		t.Errorf("the proxy counts %d requests, want 2", got)
	}
	proxy.Down()
	if _, err := http.Get(url); err == nil {
		t.Error("a proxy that is down answers")
	}
	if err := proxy.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	get(t, url)
}

// get fetches a URL and returns status and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// signatureTag is the manifest under an image's .sig tag, or "" if there is none.
func signatureTag(t *testing.T, image stack.Image) string {
	t.Helper()
	tag := strings.Replace(image.Digest, ":", "-", 1) + ".sig"
	manifest, err := remote.Get(reference(t, image.Registry+"/"+image.Repository+":"+tag), remote.WithContext(t.Context()))
	if err != nil {
		return ""
	}
	return string(manifest.Manifest)
}

// onlyBundle is the bundle that refers to an image, of which there must be one.
func onlyBundle(t *testing.T, image stack.Image) string {
	t.Helper()
	digest, err := name.NewDigest(image.ByDigest(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(digest, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	referrers, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(referrers.Manifests) != 1 || referrers.Manifests[0].ArtifactType != bundleType {
		t.Fatalf("referrers of %s: %+v, want one bundle", image.ByDigest(), referrers.Manifests)
	}
	manifest, err := remote.Image(digest.Context().Digest(referrers.Manifests[0].Digest.String()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := manifest.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, want 1 (%v)", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	bundle, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(bundle)
}

func reference(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
