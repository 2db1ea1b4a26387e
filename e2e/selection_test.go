// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"testing"
)

// refusingWhere applies a policy that refuses an image where it selects.
func refusingWhere(t *testing.T, glob string, selection object) string {
	t.Helper()
	name := newName(t)
	spec := object{
		"images":      []any{object{"glob": glob}},
		"authorities": []any{object{"name": "nobody", "static": object{"action": "fail"}}},
	}
	maps.Copy(spec, selection)
	applied(t, "clusterimagepolicy/"+name, manifest(t, "ClusterImagePolicy", name, spec))
	return name
}

// TestNoLabelMovesANamespaceOutOfAPolicyThatNamesIt: the name is the one label that
// nobody can change, whoever may update the namespace.
func TestNoLabelMovesANamespaceOutOfAPolicyThatNamesIt(t *testing.T) {
	t.Parallel()
	namespace, elsewhere := newNamespace(t), newNamespace(t)
	image := pushImage(t, S(t).Registry)
	policy := refusingWhere(t, image.Registry+"/"+image.Repository, object{
		"namespaceSelector": object{"matchLabels": object{"kubernetes.io/metadata.name": namespace}},
	})
	admitted(t, runPod(t, elsewhere, "app", image.Ref()))
	refused(t, runPod(t, namespace, "app", image.Ref()), "StaticDenied", policy)
	for what, patch := range map[string]string{
		"another name":  `{"metadata":{"labels":{"kubernetes.io/metadata.name":"` + elsewhere + `"}}}`,
		"no name":       `{"metadata":{"labels":{"kubernetes.io/metadata.name":null}}}`,
		"other labels":  `{"metadata":{"labels":{"policy.countersign.dev/exclude":"true","name":"kube-system"}}}`,
		"an annotation": `{"metadata":{"annotations":{"kubernetes.io/metadata.name":"` + elsewhere + `"}}}`,
	} {
		kubectl(t, "", "patch", "namespace", namespace, "--type=merge", "-p", patch)
		if got := mustKubectl(t, "", "get", "namespace", namespace, `-o=jsonpath={.metadata.labels.kubernetes\.io/metadata\.name}`); got != namespace {
			t.Errorf("%s: the name is now %q", what, got)
		}
		refused(t, runPod(t, namespace, "app", image.Ref()), "StaticDenied", policy)
	}
	// Nor does it move another one in.
	kubectl(t, "", "patch", "namespace", elsewhere, "--type=merge", "-p", `{"metadata":{"labels":{"kubernetes.io/metadata.name":"`+namespace+`"}}}`)
	admitted(t, runPod(t, elsewhere, "again", image.Ref()))
}

// TestALabelOfANamespaceCountsWhereAPolicyAsksForIt: then its owner decides, which the
// policy's author is warned of. A namespace that has just been made is known at once.
func TestALabelOfANamespaceCountsWhereAPolicyAsksForIt(t *testing.T) {
	t.Parallel()
	image := pushImage(t, S(t).Registry)
	label := newName(t)
	policy := newName(t)
	result := kubectl(t, manifest(t, "ClusterImagePolicy", policy, object{
		"images":            []any{object{"glob": image.Registry + "/" + image.Repository}},
		"namespaceSelector": object{"matchExpressions": []any{object{"key": label, "operator": "DoesNotExist"}}},
		"authorities":       []any{object{"name": "nobody", "static": object{"action": "fail"}}},
	}), "apply", "-f", "-")
	t.Cleanup(func() { kubectlAfter(t, "delete", "clusterimagepolicy/"+policy, "--wait=false") })
	if result.Code != 0 || !strings.Contains(result.Stderr, "whoever may update a namespace can change its label") {
		t.Errorf("exit status %d, want a warning:\n%s", result.Code, result.Stderr)
	}
	mustKubectl(t, "", "wait", "--for=condition=Ready", "--timeout=30s", "clusterimagepolicy/"+policy)

	namespace := newNamespace(t)
	refused(t, runPod(t, namespace, "app", image.Ref()), "StaticDenied", policy)
	mustKubectl(t, "", "label", "namespace", namespace, label+"=")
	eventually(t, "the label to be seen", func() bool { return runPod(t, namespace, "app", image.Ref()).Code == 0 })
	mustKubectl(t, "", "label", "namespace", namespace, label+"-")
	eventually(t, "the label to be gone", func() bool {
		return strings.Contains(kubectl(t, "", "run", "later", "-n", namespace, "--image="+image.Ref(), "--dry-run=server").Stderr, "StaticDenied")
	})
}

// TestLabelsOfObjectsAreThoseOfTheirPods: a Deployment is judged by the labels of its
// template, as its Pods are by theirs, whatever it carries itself.
func TestLabelsOfObjectsAreThoseOfTheirPods(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	shop := object{"matchLabels": object{"app": "shop"}}
	policy := refusingWhere(t, image.Registry+"/"+image.Repository, object{"match": []any{
		object{"resource": "pods", "selector": shop},
		object{"group": "apps", "version": "v1", "resource": "deployments", "selector": shop},
	}})
	deployment := func(name, own, template string) string {
		return manifestOf(t, object{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": object{"name": name, "namespace": namespace, "labels": object{"app": own}},
			"spec": object{"replicas": 0, "selector": object{"matchLabels": object{"app": template}}, "template": object{
				"metadata": object{"labels": object{"app": template}},
				"spec":     object{"containers": []any{container("app", image.Ref())}},
			}},
		})
	}
	refused(t, kubectl(t, deployment("a", "web", "shop"), "create", "-f", "-"), "StaticDenied", policy)
	admitted(t, kubectl(t, deployment("b", "shop", "web"), "create", "-f", "-"))
	refused(t, kubectl(t, "", "run", "a", "-n", namespace, "--image="+image.Ref(), "--labels=app=shop"), "StaticDenied", policy)
	admitted(t, kubectl(t, "", "run", "b", "-n", namespace, "--image="+image.Ref(), "--labels=app=web"))
}
