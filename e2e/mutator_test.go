// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// newMutator installs a mutating webhook of somebody else's, that changes the Pods
// of one namespace after Countersign has, and that may be called again. It counts
// its calls.
func newMutator(t *testing.T, namespace string, change func(*corev1.Pod)) *atomic.Int32 {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &pod) != nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		change(&pod)
		changed, _ := json.Marshal(&pod)
		patch, _ := jsonpatch.CreatePatch(review.Request.Object.Raw, changed)
		text, _ := json.Marshal(patch)
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: text, PatchType: &kind}
		json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	name := "zz-" + newName(t) // they are called in the order of their names
	mustKubectl(t, manifestOf(t, object{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": object{"name": name},
		"webhooks": []any{object{
			"name": "mutator.example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "reinvocationPolicy": "IfNeeded",
			"clientConfig":      object{"url": server.URL, "caBundle": base64.StdEncoding.EncodeToString(ca)},
			"namespaceSelector": object{"matchLabels": object{"kubernetes.io/metadata.name": namespace}},
			"rules":             []any{object{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE", "UPDATE"}}},
		}},
	}), "create", "-f", "-")
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "mutatingwebhookconfiguration", name); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the other webhook to be called", func() bool {
		call{http.MethodPost, collection("Pod", namespace) + "?dryRun=All", "", workload(t, "Pod", namespace, "probe", "probe.example/x:v1")}.send(t)
		return calls.Load() > 0
	})
	return &calls
}

// TestWhatAnotherWebhookDoesAfterwardsIsPinnedAndJudged: a sidecar that is added
// late, a digest that is taken away again.
func TestWhatAnotherWebhookDoesAfterwardsIsPinnedAndJudged(t *testing.T) {
	t.Parallel()
	inject := func(image string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			if len(pod.Spec.InitContainers) == 0 {
				pod.Spec.InitContainers = []corev1.Container{{Name: "injected", Image: image}}
			}
		}
	}
	unpin := func(pod *corev1.Pod) {
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].Image, _, _ = strings.Cut(pod.Spec.Containers[i].Image, "@")
		}
	}
	for what, tc := range map[string]struct {
		change func(c covered) func(*corev1.Pod)
		reason string // "" when it is admitted, pinned
	}{
		"a good sidecar":             {func(c covered) func(*corev1.Pod) { return inject(c.good.Ref()) }, ""},
		"a bad sidecar":              {func(c covered) func(*corev1.Pod) { return inject(c.bad.Ref()) }, "NoSignature"},
		"a digest that is taken off": {func(covered) func(*corev1.Pod) { return unpin }, "DigestRequired"},
		"another digest": {func(c covered) func(*corev1.Pod) {
			return func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = c.bad.ByDigest() }
		}, "NoSignature"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := newCovered(t, S(t).Registry, S(t).Registry.Host)
			newMutator(t, c.namespace, tc.change(c))
			create := call{http.MethodPost, collection("Pod", c.namespace), "", workload(t, "Pod", c.namespace, "app", c.good.Ref())}
			if tc.reason != "" {
				create.refused(t, tc.reason)
				return
			}
			var pod corev1.Pod
			decodeInto(t, create.send(t).body, &pod)
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if container.Image != c.good.Pinned() {
					t.Errorf("container %s runs %q, want %q", container.Name, container.Image, c.good.Pinned())
				}
			}
			if len(pod.Spec.InitContainers) != 1 {
				t.Errorf("the Pod has %d init containers, want the one that was injected", len(pod.Spec.InitContainers))
			}
		})
	}
}

// TestAMutatingPolicyThatUnpinsHasNotTheLastWord: MutatingAdmissionPolicies run
// before webhooks, and again when those have changed something.
func TestAMutatingPolicyThatUnpinsHasNotTheLastWord(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	name := newName(t)
	for _, o := range []object{
		{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": object{"name": name},
			"spec": object{
				"matchConstraints": object{
					"namespaceSelector": object{"matchLabels": object{"kubernetes.io/metadata.name": c.namespace}},
					"resourceRules":     []any{object{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"}}},
				},
				"reinvocationPolicy": "IfNeeded",
				"mutations": []any{object{"patchType": "JSONPatch", "jsonPatch": object{
					"expression": `[JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "` + c.good.Ref() + `"}, JSONPatch{op: "add", path: "/metadata/labels", value: {"unpinned": "true"}}]`,
				}}},
			},
		},
		{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": object{"name": name},
			"spec": object{"policyName": name},
		},
	} {
		appliedObject(t, strings.ToLower(o["kind"].(string))+"/"+name, manifestOf(t, o))
	}
	eventually(t, "the policy to be in force", func() bool {
		result := call{http.MethodPost, collection("Pod", c.namespace) + "?dryRun=All", "", workload(t, "Pod", c.namespace, "probe", c.good.Ref())}.send(t)
		return strings.Contains(string(result.body), `"unpinned":"true"`)
	})
	var pod corev1.Pod
	decodeInto(t, call{http.MethodPost, collection("Pod", c.namespace), "", workload(t, "Pod", c.namespace, "app", c.good.Ref())}.send(t).body, &pod)
	if got := pod.Spec.Containers[0].Image; got != c.good.Pinned() {
		t.Errorf("the Pod runs %q, want %q", got, c.good.Pinned())
	}
}
