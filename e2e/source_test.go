// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// newSignatures is the name of a repository of its own for signatures.
func newSignatures(t *testing.T, registry *stack.Registry) string {
	t.Helper()
	return registry.Host + "/" + newName(t) + "/signatures"
}

// sourcePolicy is the manifest of an enforcing policy for image, with one key
// authority that looks for evidence in the given sources.
func sourcePolicy(t *testing.T, image stack.Image, sources []any, attestations ...any) (name, policy string) {
	t.Helper()
	authority := object{"name": "release-key", "key": object{"data": string(S(t).Key.PublicPEM)}}
	if len(sources) > 0 {
		authority["source"] = sources
	}
	if len(attestations) > 0 {
		authority["attestations"] = attestations
	}
	name = newName(t)
	return name, manifest(t, "ClusterImagePolicy", name, object{
		"images":      []any{object{"glob": image.Registry + "/" + image.Repository}},
		"authorities": []any{authority},
	})
}

func newSourcePolicy(t *testing.T, image stack.Image, sources []any, attestations ...any) {
	t.Helper()
	name, policy := sourcePolicy(t, image, sources, attestations...)
	applied(t, "clusterimagepolicy/"+name, policy)
}

// TestTheGateFindsSignaturesApartFromTheImage signs with real cosign into a
// repository of signatures, which knows nothing of the image.
func TestTheGateFindsSignaturesApartFromTheImage(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for where, registry := range map[string]*stack.Registry{"with referrers": S(t).Registry, "without referrers": S(t).RegistryFallback} {
		for what, o := range map[string]stack.SignOptions{
			"a legacy signature by cosign v2":                {},
			"a legacy signature by cosign v3":                {Cosign: stack.CosignV3},
			"a bundle by cosign v3":                          {Cosign: stack.CosignV3, Format: stack.Bundle},
			"a legacy signature under a prefix by cosign v2": {TagPrefix: "release-"},
			"a legacy signature under a prefix by cosign v3": {Cosign: stack.CosignV3, TagPrefix: "release-"},
			"a bundle by cosign v3, which no prefix changes": {Cosign: stack.CosignV3, Format: stack.Bundle, TagPrefix: "release-"},
		} {
			t.Run(what+" in a registry "+where, func(t *testing.T) {
				t.Parallel()
				image, signatures := pushImage(t, S(t).Registry), newSignatures(t, registry)
				source := object{"oci": signatures}
				if o.TagPrefix != "" {
					source["tagPrefix"] = o.TagPrefix
				}
				newSourcePolicy(t, image, []any{source})
				sign(t, image, o) // beside the image
				refused(t, runPod(t, namespace, newName(t), image.Ref()), "NoSignature", "looked in "+signatures)
				apart := o
				apart.Repository = signatures
				sign(t, image, apart)
				admitted(t, runPod(t, namespace, newName(t), image.Ref()))
			})
		}
	}
}

// TestCosignV2LeavesBundlesBesideTheImage: what it stores apart from the image are
// legacy signatures alone, whatever COSIGN_REPOSITORY says.
func TestCosignV2LeavesBundlesBesideTheImage(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image, signatures := pushImage(t, S(t).Registry), newSignatures(t, S(t).Registry)
	newSourcePolicy(t, image, []any{object{"oci": signatures}, object{"oci": image.Registry + "/" + image.Repository}})
	refused(t, runPod(t, namespace, "before", image.Ref()), "NoSignature")
	sign(t, image, stack.SignOptions{Format: stack.Bundle, Repository: signatures})
	admitted(t, runPod(t, namespace, "beside", image.Ref()))
}

func TestTheGateFindsAttestationsApartFromTheImage(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, o := range map[string]stack.SignOptions{
		"an .att tag by cosign v2":                {},
		"an .att tag under a prefix by cosign v2": {TagPrefix: "release-"},
		"an .att tag by cosign v3":                {Cosign: stack.CosignV3},
		"bundles by cosign v3":                    {Cosign: stack.CosignV3, Format: stack.Bundle},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image, signatures := pushImage(t, S(t).Registry), newSignatures(t, S(t).RegistryFallback)
			source := object{"oci": signatures}
			if o.TagPrefix != "" {
				source["tagPrefix"] = o.TagPrefix
			}
			newSourcePolicy(t, image, []any{source}, object{"name": "scan", "predicateType": scanType})
			attest(t, image, scanType, scan, o) // beside the image
			apart := o
			apart.Repository = signatures
			sign(t, image, apart)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "AttestationMissing", "looked in "+signatures)
			attest(t, image, scanType, scan, apart)
			admitted(t, runPod(t, namespace, newName(t), image.Ref()))
		})
	}
}

func TestSeveralSourcesAreAlternatives(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	first, second := newSignatures(t, S(t).Registry), newSignatures(t, S(t).RegistryFallback)
	proxy := newRegistryProxy(t, S(t).RegistryFallback)
	seen := strings.Replace(second, S(t).RegistryFallback.Host, proxy.Host, 1)

	image, unsigned := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	for _, i := range []stack.Image{image, unsigned} {
		newSourcePolicy(t, i, []any{object{"oci": first}, object{"oci": seen}})
	}
	sign(t, image, stack.SignOptions{Repository: second})
	admitted(t, runPod(t, namespace, "in-the-second", image.Ref()))
	refused(t, runPod(t, namespace, "in-neither", unsigned.Ref()), "NoSignature", "looked in "+first+", and in "+seen)

	proxy.Down()
	refused(t, runPod(t, namespace, "one-is-down", unsigned.Ref()), "RegistryUnavailable", proxy.Host)
	sign(t, unsigned, stack.SignOptions{Repository: first})
	admitted(t, runPod(t, namespace, "the-other-is-up", unsigned.Ref()))
}

// TestASourceProvesNothing: whoever writes to the repository of signatures can lay a
// genuine signature of one image where that of another is looked for.
func TestASourceProvesNothing(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, o := range map[string]stack.SignOptions{
		"a legacy signature": {}, "a bundle": {Cosign: stack.CosignV3, Format: stack.Bundle},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			signed, evil := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
			forged := copyImage(t, evil, S(t).Registry) // so that a bundle can have it as its subject
			signatures := forged.Registry + "/" + forged.Repository
			newSourcePolicy(t, evil, []any{object{"oci": signatures}})
			apart := o
			apart.Repository = signatures
			sign(t, signed, apart)
			stored := signed
			stored.Repository = forged.Repository
			storedEvidence(t, stored, o.Format).layBeside(t, forged)
			refused(t, runPod(t, namespace, newName(t), evil.Ref()), "SignatureInvalid", "about another image")
		})
	}
}

// TestTheCommandLineLooksInTheSources, as admission does.
func TestTheCommandLineLooksInTheSources(t *testing.T) {
	t.Parallel()
	image, signatures := pushImage(t, S(t).Registry), newSignatures(t, S(t).RegistryFallback)
	_, policy := sourcePolicy(t, image, []any{object{"oci": signatures}})
	dir := t.TempDir()
	for name, content := range map[string]string{"policy.json": policy, "log.yaml": S(t).TransparencyLog(S(t).Rekor, "rekor", true)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(code int, says string) {
		t.Helper()
		result, err := S(t).Run(t.Context(), nil, S(t).Countersign.Binary, "verify", "image", image.Ref(),
			"--policy", filepath.Join(dir, "policy.json"), "--trust", filepath.Join(dir, "log.yaml"),
			"--insecure-registry", S(t).Registry.Host, "--insecure-registry", S(t).RegistryFallback.Host)
		if err != nil {
			t.Fatal(err)
		}
		if result.Code != code || !strings.Contains(result.Stdout, says) {
			t.Errorf("exit status %d; want %d, and to read %q:\n%s%s", result.Code, code, says, result.Stdout, result.Stderr)
		}
	}
	verify(1, "looked in "+signatures)
	sign(t, image, stack.SignOptions{Repository: signatures})
	verify(0, fmt.Sprintf("image %s verified", shown(image)))
}
