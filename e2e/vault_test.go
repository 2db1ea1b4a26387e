// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// newVaultKey makes a key in the Vault that all scenarios share.
func newVaultKey(t *testing.T, kind string) (name string, key stack.KeyPair) {
	t.Helper()
	name = newName(t)
	key, err := S(t).Vault.GenerateKey(t.Context(), name, kind)
	if err != nil {
		t.Fatal(err)
	}
	return name, key
}

// vaultPolicy is a policy for an image with one key of the Vault.
func vaultPolicy(t *testing.T, image stack.Image, key stack.KeyPair) (name, policy string) {
	t.Helper()
	name = newName(t)
	return name, manifest(t, "ClusterImagePolicy", name, object{
		"images":      []any{object{"glob": image.Registry + "/" + image.Repository}},
		"authorities": []any{object{"name": "release-key", "key": object{"kms": key.Private}}},
	})
}

// newVaultPolicy applies vaultPolicy, and returns its resource when it is in force.
func newVaultPolicy(t *testing.T, image stack.Image, key stack.KeyPair) string {
	t.Helper()
	name, policy := vaultPolicy(t, image, key)
	applied(t, "clusterimagepolicy/"+name, policy)
	return "clusterimagepolicy/" + name
}

// keysResolved waits until a policy says of its keys what is wanted: a status and a reason.
func keysResolved(t *testing.T, policy, want string) {
	t.Helper()
	const path = `jsonpath={.status.conditions[?(@.type=="KeysResolved")]['status','reason']}`
	var got string
	deadline := time.Now().Add(40 * time.Second) // a service that failed is asked again after 30 s at the latest
	for got != want {
		if time.Now().After(deadline) {
			t.Fatalf("KeysResolved is %q, want %q", got, want)
		}
		got = mustKubectl(t, "", "get", policy, "-o", path)
	}
}

// TestKeysInVault signs by keys that never leave a real Vault.
func TestKeysInVault(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for _, kind := range []string{"ecdsa-p256", "rsa-2048", "rsa-4096"} {
		for what, o := range map[string]stack.SignOptions{
			"a legacy signature by cosign v2": {},
			"a legacy signature by cosign v3": {Cosign: stack.CosignV3},
			"a bundle by cosign v3":           {Cosign: stack.CosignV3, Format: stack.Bundle},
		} {
			t.Run(kind+", "+what, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, S(t).Registry)
				_, key := newVaultKey(t, kind)
				_, other := newVaultKey(t, kind)
				newVaultPolicy(t, image, key)

				o.Key = other
				sign(t, image, o)
				refused(t, runPod(t, namespace, newName(t), image.Ref()), "KeyMismatch")
				o.Key = key
				sign(t, image, o)
				admitted(t, runPod(t, namespace, newName(t), image.Ref()))
			})
		}
	}
}

// TestWhatCosignDoesNotSignWithVault: when this fails, docs/keys.md has a kind of key
// too few. (Ed25519 by cosign v2 is signed, and Rekor refuses it.)
func TestWhatCosignDoesNotSignWithVault(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa-p384", "ecdsa-p521"} {
		_, key := newVaultKey(t, kind)
		for what, o := range map[string]stack.SignOptions{
			"a legacy signature by cosign v2":    {Key: key},
			"a legacy signature by cosign v3":    {Key: key, Cosign: stack.CosignV3},
			"a bundle by cosign v3":              {Key: key, Cosign: stack.CosignV3, Format: stack.Bundle},
			"a bundle by cosign v3, in Rekor v2": {Key: key, Cosign: stack.CosignV3, Format: stack.Bundle, Log: S(t).RekorV2},
		} {
			t.Run(kind+", "+what, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, S(t).Registry)
				err := S(t).Sign(t.Context(), image.ByDigest(), o)
				if err == nil || !strings.Contains(err.Error(), "signing") {
					t.Errorf("it signs: %v", err)
				}
			})
		}
	}
}

// TestARotatedKeyOfVault: the old version goes on verifying, the new one does after the
// next refresh, and one that the Vault retires counts no more.
func TestARotatedKeyOfVault(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	name, key := newVaultKey(t, "ecdsa-p256")
	before, after := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	for _, image := range []stack.Image{before, after} {
		newVaultPolicy(t, image, key)
	}
	sign(t, before, stack.SignOptions{Key: key})
	if _, err := S(t).Vault.Rotate(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	sign(t, after, stack.SignOptions{Key: key, Cosign: stack.CosignV3, Format: stack.Bundle})
	eventually(t, "the new version to count", func() bool { return runPod(t, namespace, newName(t), after.Ref()).Code == 0 })
	admitted(t, runPod(t, namespace, newName(t), before.Ref()))

	if err := S(t).Vault.Retire(t.Context(), name, 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old version to be retired", func() bool { return runPod(t, namespace, newName(t), before.Ref()).Code != 0 })
	refused(t, runPod(t, namespace, newName(t), before.Ref()), "KeyMismatch")
	admitted(t, runPod(t, namespace, newName(t), after.Ref()))
}

// TestAVaultThatRefusesUsOrIsGone: what it said before goes on counting, and what it never
// said does not. A Countersign that starts meanwhile knows nothing.
//
// It expels and restarts the Countersign that all scenarios share, and stops their
// Vault, and so runs before those that are parallel.
func TestAVaultThatRefusesUsOrIsGone(t *testing.T) {
	namespace := newNamespace(t)
	known, unknown := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	_, key := newVaultKey(t, "ecdsa-p256")
	_, other := newVaultKey(t, "ecdsa-p256")
	sign(t, known, stack.SignOptions{Key: key})
	sign(t, unknown, stack.SignOptions{Key: other})
	before := newVaultPolicy(t, known, key)
	admitted(t, runPod(t, namespace, "before", known.Ref()))

	if err := S(t).Vault.Expel(t.Context()); err != nil {
		t.Fatal(err)
	}
	name, policy := vaultPolicy(t, unknown, other)
	late := "clusterimagepolicy/" + name
	appliedObject(t, late, policy)
	keysResolved(t, late, "False KMSAccessDenied")
	refused(t, runPod(t, namespace, "expelled-unknown", unknown.Ref()), "PolicyNotReady", "hashivault://")
	keysResolved(t, before, "True Stale")
	admitted(t, runPod(t, namespace, "expelled-known", known.Ref()))

	t.Cleanup(func() { restartVault(t) })
	S(t).Vault.Stop()
	keysResolved(t, late, "False Unavailable")
	refused(t, runPod(t, namespace, "gone-unknown", unknown.Ref()), "KMSUnavailable", "hashivault://")
	keysResolved(t, before, "True Stale")
	admitted(t, runPod(t, namespace, "gone-known", known.Ref()))

	if err := S(t).Countersign.RestartWith(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, runPod(t, namespace, "fresh", known.Ref()), "KMSUnavailable", "hashivault://")
	keysResolved(t, before, "False Unavailable")

	// It comes back without its keys: that is its word, and counts.
	restartVault(t)
	keysResolved(t, before, "False KeyNotFound")
	refused(t, runPod(t, namespace, "lost", known.Ref()), "PolicyNotReady", "hashivault://")
}

// restartVault starts the Vault that all scenarios share, as it was at first, if it does not run.
func restartVault(t *testing.T) {
	t.Helper()
	if S(t).Vault.Running() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // not t.Context, which is done when the scenario ends
	defer cancel()
	if err := S(t).Vault.Start(ctx); err != nil {
		t.Error(err)
	}
}
