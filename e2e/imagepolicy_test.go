// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// ownerOf is a user with the role edit in a namespace, and nothing else.
func ownerOf(t *testing.T, namespace string) string {
	t.Helper()
	user := newName(t)
	mustKubectl(t, "", "create", "rolebinding", "owner", "-n", namespace, "--clusterrole=edit", "--user="+user)
	eventually(t, "the role to be bound", func() bool {
		return strings.TrimSpace(kubectl(t, "", "auth", "can-i", "create", "pods", "-n", namespace, "--as="+user).Stdout) == "yes"
	})
	return user
}

// ownPolicy is an ImagePolicy for all images, with these authorities.
func ownPolicy(t *testing.T, namespace, name string, spec object, authorities ...any) string {
	t.Helper()
	all := object{"images": []any{object{"glob": "**"}}, "authorities": authorities}
	maps.Copy(all, spec)
	return manifestOf(t, object{
		"apiVersion": "policy.countersign.dev/v1alpha1", "kind": "ImagePolicy",
		"metadata": object{"name": name, "namespace": namespace}, "spec": all,
	})
}

// keyedBy is an authority with a public key, for the default log.
func keyedBy(key stack.KeyPair) object {
	return object{"name": "release", "key": object{"data": string(key.PublicPEM)}}
}

// TestTheOwnerOfANamespaceCanDemandMoreAndNotLess: the owner of a namespace writes a
// policy for it, which denials name, and which is no concern of others. Nothing that he
// can write lets an image in that the cluster's policy refuses.
func TestTheOwnerOfANamespaceCanDemandMoreAndNotLess(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	elsewhere := newNamespace(t)
	owner := ownerOf(t, c.namespace)
	other, err := S(t).GenerateKey(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	apply := func(name string, spec object, authorities ...any) stack.Result {
		return kubectl(t, ownPolicy(t, c.namespace, name, spec, authorities...), "apply", "--as="+owner, "-f", "-")
	}
	ready := func(name string) {
		t.Helper()
		mustKubectl(t, "", "wait", "--for=condition=Ready", "--timeout=30s", "-n", c.namespace, "imagepolicy/"+name)
	}

	admitted(t, apply("more", nil, keyedBy(other)))
	ready("more")
	result := runPod(t, c.namespace, "app", c.good.Ref())
	if result.Code == 0 || !strings.Contains(result.Stderr, `denied by ImagePolicy "`+c.namespace+`/more"`) || !strings.Contains(result.Stderr, "KeyMismatch") {
		t.Errorf("exit status %d, want a refusal by the namespace's policy:\n%s", result.Code, result.Stderr)
	}
	admitted(t, runPod(t, elsewhere, "app", c.good.Ref()))
	mustKubectl(t, "", "delete", "imagepolicy", "more", "-n", c.namespace, "--as="+owner)
	eventually(t, "the policy to be gone", func() bool { return runPod(t, c.namespace, "again", c.good.Ref()).Code == 0 })

	admitted(t, apply("lax", object{"mode": "audit"}, object{"name": "any", "key": keyedBy(S(t).Key)["key"], "ctlog": object{"insecureIgnoreTlog": true}}))
	admitted(t, apply("none", object{"excludeImages": []any{object{"glob": "**"}}}, keyedBy(S(t).Key)))
	ready("lax")
	ready("none")
	refused(t, runPod(t, c.namespace, "bad", c.bad.Ref()), "NoSignature", c.policy)
	if got := kubectl(t, "", "get", "imagepolicies", "-n", c.namespace, "--as="+owner).Stdout; !strings.Contains(got, "lax") || !strings.Contains(got, "audit") {
		t.Errorf("kubectl get imagepolicies: %s", got)
	}
}

// TestAnImagePolicyIsNoWayToCountersignsRights: what would have Countersign read, or ask,
// on behalf of a namespace's owner is refused by the API server.
func TestAnImagePolicyIsNoWayToCountersignsRights(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	owner := ownerOf(t, namespace)
	key := keyedBy(S(t).Key)["key"]
	for what, authority := range map[string]object{
		"a Secret of Countersign's":   {"name": "k", "key": object{"secretRef": object{"name": "countersign-webhook-cert", "key": "tls.key"}}},
		"a key in a service":          {"name": "k", "key": object{"kms": "hashivault://release"}},
		"a registry of one's own":     {"name": "k", "key": key, "source": []any{object{"oci": "evil.example/x"}}},
		"an authority that says yes":  {"name": "k", "static": object{"action": "pass"}},
		"a field that does not exist": {"name": "k", "key": key, "skip": true},
	} {
		t.Run(what, func(t *testing.T) {
			result := kubectl(t, ownPolicy(t, namespace, "p", nil, authority), "apply", "--validate=false", "--as="+owner, "-f", "-")
			if result.Code == 0 || !strings.Contains(result.Stderr, "spec.authorities") {
				t.Errorf("exit status %d:\n%s", result.Code, result.Stderr)
			}
		})
	}
	for what, args := range map[string]string{
		"a policy of the cluster":   "create clusterimagepolicies.policy.countersign.dev",
		"a policy of another place": "create imagepolicies.policy.countersign.dev -n=default",
		"the status of his own":     "patch imagepolicies.policy.countersign.dev --subresource=status -n=" + namespace,
	} {
		full := append([]string{"auth", "can-i", "--as=" + owner}, strings.Fields(args)...)
		if got := strings.TrimSpace(kubectl(t, "", full...).Stdout); got != "no" {
			t.Errorf("may the owner write %s: %s", what, got)
		}
	}
}
