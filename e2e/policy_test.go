// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestTheAPIServerRefusesWhatCannotWork: what no schema can say, the policy webhook
// says, with the field that is wrong. The objects are applied, not only offered.
func TestTheAPIServerRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	private, err := os.ReadFile(S(t).Key.Private)
	if err != nil {
		t.Fatal(err)
	}
	setKey := func(data string) func(spec, authority object) {
		return func(_, a object) { a["key"] = object{"data": data} }
	}
	key := string(S(t).Key.PublicPEM)
	for what, tc := range map[string]struct {
		manifest    string
		field, says string
	}{
		"a key with a byte missing":     {policyManifest(t, setKey(strings.Replace(key, "A", "", 1))), "spec.authorities[0].key.data", ""},
		"a key that is no PEM":          {policyManifest(t, setKey("ssh-ed25519 AAAA")), "spec.authorities[0].key.data", "not a PEM block"},
		"a private key":                 {policyManifest(t, setKey(string(private))), "spec.authorities[0].key.data", "private key"},
		"two keys in one":               {policyManifest(t, setKey(key+key)), "spec.authorities[0].key.data", "more than one PEM block"},
		"a glob that means nothing":     {policyManifest(t, func(s, _ object) { s["images"] = []any{object{"glob": "a//b"}} }), "spec.images[0].glob", ""},
		"a log whose key does not work": {logManifest(t, newName(t), func(s object) { s["publicKey"] = object{"data": "none"} }), "spec.publicKey.data", "not PEM"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			result := kubectl(t, tc.manifest, "apply", "-f", "-")
			if result.Code == 0 || !strings.Contains(result.Stderr, tc.field+": ") || !strings.Contains(result.Stderr, tc.says) {
				t.Errorf("exit status %d, want a refusal of %s that says %q:\n%s%s", result.Code, tc.field, tc.says, result.Stdout, result.Stderr)
			}
			if strings.Contains(result.Stderr, "BEGIN") {
				t.Errorf("the refusal repeats the key:\n%s", result.Stderr)
			}
		})
	}
}

// TestAPolicyWhoseKeyIsMissingRefusesUntilItIsThere: the policy is accepted, since
// its Secret may come later, and covers its images from the first moment on.
func TestAPolicyWhoseKeyIsMissingRefusesUntilItIsThere(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	sign(t, image, stack.SignOptions{})
	secret, policy := newName(t), newName(t)
	mustKubectl(t, manifest(t, "ClusterImagePolicy", policy, object{
		"images":      []any{object{"glob": image.Registry + "/" + image.Repository}},
		"authorities": []any{object{"name": "release-key", "key": object{"secretRef": object{"name": secret}}}},
	}), "apply", "-f", "-")
	t.Cleanup(func() {
		for _, object := range []string{"clusterimagepolicy/" + policy, "secret/" + secret} {
			args := []string{"delete", object, "-n", stack.Namespace, "--wait=false", "--ignore-not-found"}
			if _, err := S(t).Kubectl(context.Background(), "", args...); err != nil {
				t.Error(err)
			}
		}
	})
	mustKubectl(t, "", "wait", "--for=condition=KeysResolved=false", "--timeout=30s", "clusterimagepolicy/"+policy)
	refused(t, runPod(t, namespace, "early", image.Ref()), "PolicyNotReady", secret)

	mustKubectl(t, "", "create", "secret", "generic", secret, "-n", stack.Namespace, "--from-file=cosign.pub="+S(t).Key.Public)
	mustKubectl(t, "", "wait", "--for=condition=Ready", "--timeout=30s", "clusterimagepolicy/"+policy)
	admitted(t, runPod(t, namespace, "in-time", image.Ref()))

	mustKubectl(t, "", "delete", "secret", secret, "-n", stack.Namespace)
	mustKubectl(t, "", "wait", "--for=condition=KeysResolved=false", "--timeout=30s", "clusterimagepolicy/"+policy)
	refused(t, runPod(t, namespace, "late", image.Ref()), "PolicyNotReady", secret)
}

// TestPoliciesThatCoverAnImageMustAllAcceptIt: to add a policy never weakens another.
func TestPoliciesThatCoverAnImageMustAllAcceptIt(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	other, err := S(t).GenerateKey(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	admitted(t, runPod(t, c.namespace, "one-policy", c.good.Ref()))
	second := newPolicy(t, c.good.Registry+"/"+c.good.Repository, other)
	result := runPod(t, c.namespace, "two-policies", c.good.Ref())
	refused(t, result, "KeyMismatch", second)
	if strings.Contains(result.Stderr, `"`+c.policy+`"`) {
		t.Errorf("the policy that accepts the image is named, too:\n%s", result.Stderr)
	}
	sign(t, stack.Image{Registry: S(t).Registry.Host, Repository: c.good.Repository, Digest: c.good.Digest}, stack.SignOptions{Key: other})
	admitted(t, runPod(t, c.namespace, "both-keys", c.good.Ref()))
}
