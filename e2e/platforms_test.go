// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// pushPlatforms pushes an image for two platforms, with an attestation as BuildKit lists
// them. It returns the index, and the manifests of the platforms.
func pushPlatforms(t *testing.T, registry *stack.Registry) (index stack.Image, platforms []stack.Image) {
	t.Helper()
	index = stack.Image{Registry: registry.Host, Repository: newName(t) + "/app", Tag: "v1"}
	content := v1.ImageIndex(empty.Index)
	for _, platform := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "unknown", Architecture: "unknown"}} {
		image, err := random.Image(256, 1)
		if err != nil {
			t.Fatal(err)
		}
		content = mutate.AppendManifests(content, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
		if digest, err := image.Digest(); err != nil {
			t.Fatal(err)
		} else if platform.OS != "unknown" {
			of := index
			of.Digest = digest.String()
			platforms = append(platforms, of)
		}
	}
	digest, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}
	index.Digest = digest.String()
	ref, err := name.NewTag(index.Ref(), name.StrictValidation, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, content, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return index, platforms
}

// newPlatformPolicy is newPolicy for each platform by itself.
func newPlatformPolicy(t *testing.T, image stack.Image) {
	t.Helper()
	name := newName(t)
	whole := stack.KeyPolicy(name, image.Registry+"/"+image.Repository, S(t).Key)
	each := strings.Replace(whole, "\nspec:\n", "\nspec:\n  platforms: all\n", 1)
	if each == whole {
		t.Fatal("the manifest has no spec to change")
	}
	applied(t, "clusterimagepolicy/"+name, each)
}

// TestAnImageForSeveralPlatforms, in a registry with the referrers API and in one without.
func TestAnImageForSeveralPlatforms(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, registry := range map[string]*stack.Registry{"referrers API": S(t).Registry, "fallback tag": S(t).RegistryFallback} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			index, _ := pushPlatforms(t, registry)
			newPolicy(t, index.Registry+"/"+index.Repository, S(t).Key)
			refused(t, runPod(t, namespace, newName(t), index.Ref()), "NoSignature")
			sign(t, index, stack.SignOptions{})
			admitted(t, runPod(t, namespace, newName(t), index.Ref()))

			index, platforms := pushPlatforms(t, registry)
			newPlatformPolicy(t, index)
			sign(t, index, stack.SignOptions{})
			refused(t, runPod(t, namespace, newName(t), index.Ref()), "NoSignature", "linux/amd64", platforms[0].Digest)
			sign(t, platforms[0], stack.SignOptions{})
			refused(t, runPod(t, namespace, newName(t), index.Ref()), "NoSignature", "linux/arm64", platforms[1].Digest)
			sign(t, platforms[1], bundleByV3())
			pod := newName(t)
			admitted(t, runPod(t, namespace, pod, index.Ref()))
			if got := imageOf(t, namespace, pod); got != index.Pinned() {
				t.Errorf("the Pod runs %q, want %q", got, index.Pinned())
			}
			admitted(t, runPod(t, namespace, newName(t), platforms[0].ByDigest()))
		})
	}
}
