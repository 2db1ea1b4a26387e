// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// newCustomKind makes a kind of custom resource, without a schema.
func newCustomKind(t *testing.T, group, version, kind string) {
	t.Helper()
	plural := strings.ToLower(kind) + "s"
	mustKubectl(t, manifestOf(t, object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": object{"name": plural + "." + group},
		"spec": object{
			"group": group, "scope": "Namespaced", "names": object{"kind": kind, "plural": plural, "singular": strings.ToLower(kind)},
			"versions": []any{object{
				"name": version, "served": true, "storage": true, "subresources": object{"status": object{}},
				"schema": object{"openAPIV3Schema": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}), "apply", "-f", "-")
	mustKubectl(t, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/"+plural+"."+group)
}

// TestTheImagesOfCustomResourcesAreJudged: of one that is known, and of one that an
// administrator said how to read (widgetExtractor).
func TestTheImagesOfCustomResourcesAreJudged(t *testing.T) {
	t.Parallel()
	newCustomKind(t, "argoproj.io", "v1alpha1", "Rollout")
	newCustomKind(t, "e2e.example", "v1", "Widget")
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	rollouts, widgets := collection("Rollout", c.namespace), "/apis/e2e.example/v1/namespaces/"+c.namespace+"/widgets"
	rollout := func(name, image string) string {
		return manifestOf(t, object{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": object{"name": name},
			"spec": object{"replicas": 1, "template": object{"spec": object{"containers": []any{container("app", image)}}}},
		})
	}
	widget := func(name string, spec any) string {
		return manifestOf(t, object{"apiVersion": "e2e.example/v1", "kind": "Widget", "metadata": object{"name": name}, "spec": spec})
	}

	call{http.MethodPost, rollouts, "", rollout("good", c.good.Ref())}.must(t)
	call{http.MethodPost, rollouts, "", rollout("bad", c.bad.Ref())}.refused(t, "NoSignature")
	call{http.MethodPatch, rollouts + "/good", mergePatch, `{"spec":{"replicas":2},"metadata":{"labels":{"a":"b"}}}`}.must(t)
	call{http.MethodPatch, rollouts + "/good", mergePatch, `{"spec":{"replicas":0,"template":{"spec":{"containers":[{"name":"app","image":"` + c.bad.Ref() + `"}]}}}}`}.refused(t, "NoSignature")
	if got := mustKubectl(t, "", "get", "rollout/good", "-n", c.namespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}"); got != c.good.Ref() {
		t.Errorf("the Rollout has image %q, want %q as it was written", got, c.good.Ref())
	}

	call{http.MethodPost, widgets, "", widget("good", object{"parts": []any{object{"image": c.good.Ref()}}})}.must(t)
	call{http.MethodPost, widgets, "", widget("none", object{"size": 3})}.must(t)
	call{http.MethodPost, widgets, "", widget("bad", object{"parts": []any{object{}, object{"image": c.bad.Ref()}}})}.refused(t, "NoSignature")
	call{http.MethodPatch, widgets + "/good/status", mergePatch, `{"status":{"image":"` + c.bad.Ref() + `"}}`}.must(t)
	call{http.MethodPatch, widgets + "/good", mergePatch, `{"spec":{"parts":[{"image":"` + c.bad.Ref() + `"}]}}`}.refused(t, "NoSignature")
	call{http.MethodPatch, widgets + "/none", jsonPatch, `[{"op":"replace","path":"/spec","value":{"parts":[{"image":"` + c.bad.Ref() + `"}]}}]`}.refused(t, "NoSignature")
	for what, spec := range map[string]any{
		"an object where a list should be":    object{"parts": object{"image": c.good.Ref()}},
		"a number where an image should be":   object{"parts": []any{object{"image": 7}}},
		"a list where an image should be":     object{"parts": []any{object{"image": []any{c.good.Ref()}}}},
		"a text where the spec should be":     "x",
		"a text where an element should be":   object{"parts": []any{c.good.Ref()}},
		"more elements than anybody ought to": object{"parts": make([]object, 1025)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := call{http.MethodPost, widgets, "", widget("odd", spec)}.send(t)
			if a.code != http.StatusBadRequest || !strings.Contains(a.status.Message, "reading the images of the Widget") {
				t.Errorf("%d %.500s", a.code, a.body)
			}
		})
	}
}
