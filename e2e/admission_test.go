// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// covered is an enforcing policy with two images under it: a good one, signed and
// logged, and a bad one, unsigned.
type covered struct {
	policy    string
	namespace string
	good, bad stack.Image
}

// newCovered makes a policy, its images and a namespace. Registry is where they
// are, seenAs where Pods and the policy say that they are: usually the same.
func newCovered(t *testing.T, registry *stack.Registry, seenAs string) covered {
	t.Helper()
	prefix := newName(t)
	c := covered{namespace: newNamespace(t)}
	for image, name := range map[*stack.Image]string{&c.good: "good", &c.bad: "bad"} {
		pushed, err := stack.PushImage(t.Context(), registry.Host, prefix+"/"+name, "v1")
		if err != nil {
			t.Fatal(err)
		}
		*image = pushed
	}
	sign(t, c.good, stack.SignOptions{})
	c.good.Registry, c.bad.Registry = seenAs, seenAs
	c.policy = newPolicy(t, seenAs+"/"+prefix+"/**", S(t).Key)
	return c
}

// container is one container of a Pod.
func container(name, image string) object { return object{"name": name, "image": image} }

// workload is a manifest of that kind whose Pods have the one image.
func workload(t *testing.T, kind, namespace, name, image string) string {
	t.Helper()
	labels := object{"app": name}
	podSpec := object{"containers": []any{container("app", image)}}
	template := object{"metadata": object{"labels": labels}, "spec": podSpec}
	selected := object{"selector": object{"matchLabels": labels}, "template": template}
	o := object{"kind": kind, "metadata": object{"name": name, "namespace": namespace}}
	switch kind {
	case "Pod":
		o["apiVersion"], o["spec"] = "v1", podSpec
	case "PodTemplate":
		o["apiVersion"], o["template"] = "v1", template
	case "ReplicationController":
		o["apiVersion"], o["spec"] = "v1", object{"selector": labels, "template": template}
	case "Deployment", "ReplicaSet", "DaemonSet":
		o["apiVersion"], o["spec"] = "apps/v1", selected
	case "StatefulSet":
		selected["serviceName"] = name
		o["apiVersion"], o["spec"] = "apps/v1", selected
	case "Job":
		podSpec["restartPolicy"] = "Never"
		o["apiVersion"], o["spec"] = "batch/v1", object{"template": template}
	case "CronJob":
		podSpec["restartPolicy"] = "Never"
		o["apiVersion"] = "batch/v1"
		o["spec"] = object{"schedule": "0 0 1 1 *", "jobTemplate": object{"spec": object{"template": template}}}
	default:
		t.Fatalf("kind %s is not known here", kind)
	}
	return manifestOf(t, o)
}

func manifestOf(t *testing.T, o object) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestABadImageIsRefusedAtTheWorkload: whoever deploys sees it, not only whoever
// looks why there are no Pods.
func TestABadImageIsRefusedAtTheWorkload(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for kind, path := range map[string]string{
		"Deployment":            "spec.template.spec.containers[0].image",
		"StatefulSet":           "spec.template.spec.containers[0].image",
		"DaemonSet":             "spec.template.spec.containers[0].image",
		"ReplicaSet":            "spec.template.spec.containers[0].image",
		"ReplicationController": "spec.template.spec.containers[0].image",
		"PodTemplate":           "template.spec.containers[0].image",
		"Job":                   "spec.template.spec.containers[0].image",
		"CronJob":               "spec.jobTemplate.spec.template.spec.containers[0].image",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bad, good := "bad-"+strings.ToLower(kind), "good-"+strings.ToLower(kind)
			refused(t, kubectl(t, workload(t, kind, c.namespace, bad, c.bad.Ref()), "create", "-f", "-"),
				"NoSignature", c.policy, `admission webhook "images.countersign.dev" denied the request`)
			if result := kubectl(t, "", "get", kind, bad, "-n", c.namespace); result.Code == 0 || !strings.Contains(result.Stderr, "NotFound") {
				t.Errorf("the refused %s exists: %s%s", kind, result.Stdout, result.Stderr)
			}
			admitted(t, kubectl(t, workload(t, kind, c.namespace, good, c.good.Ref()), "create", "-f", "-"))
			if got := mustKubectl(t, "", "get", kind, good, "-n", c.namespace, "-o", "jsonpath={."+path+"}"); got != c.good.Ref() {
				t.Errorf("the %s has image %q, want %q as it was written", kind, got, c.good.Ref())
			}
		})
	}
}

// TestABadImageIsRefusedWhereverAPodHasIt puts the bad image beside a good one.
func TestABadImageIsRefusedWhereverAPodHasIt(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for what, tc := range map[string]struct {
		place func(spec object, image string)
		path  string
	}{
		"the second container": {
			func(s object, image string) {
				s["containers"] = append(asList(s["containers"]), container("second", image))
			},
			"spec.containers[1].image",
		},
		"an init container": {
			func(s object, image string) { s["initContainers"] = []any{container("init", image)} },
			"spec.initContainers[0].image",
		},
		"a sidecar": {
			func(s object, image string) {
				sidecar := container("sidecar", image)
				sidecar["restartPolicy"] = "Always"
				s["initContainers"] = []any{sidecar}
			},
			"spec.initContainers[0].image",
		},
		"an image volume": {
			func(s object, image string) {
				s["volumes"] = []any{object{"name": "content", "image": object{"reference": image}}}
			},
			"spec.volumes[0].image.reference",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			pod := func(image string) object {
				spec := object{"containers": []any{container("app", c.good.Ref())}}
				tc.place(spec, image)
				return object{
					"apiVersion": "v1", "kind": "Pod", "spec": spec,
					"metadata": object{"name": newName(t), "namespace": c.namespace},
				}
			}
			refused(t, kubectl(t, manifestOf(t, pod(c.bad.Ref())), "create", "-f", "-"), "NoSignature", "image "+shown(c.bad)+" denied")
			result := kubectl(t, manifestOf(t, pod(c.good.Ref())), "create", "-f", "-", "-o", "jsonpath={."+tc.path+"}")
			admitted(t, result)
			if result.Stdout != c.good.Pinned() {
				t.Errorf("%s is %q, want %q", tc.path, result.Stdout, c.good.Pinned())
			}
		})
	}
}

// TestADebugContainerIsJudgedAsAnyOther: what is added to a running Pod comes in
// through a subresource.
func TestADebugContainerIsJudgedAsAnyOther(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	admitted(t, runPod(t, c.namespace, "app", c.good.Ref()))
	debug := func(name, image string) stack.Result {
		return kubectl(t, "", "debug", "app", "-n", c.namespace, "--container="+name, "--image="+image, "--attach=false", "--profile=general")
	}
	refused(t, debug("bad", c.bad.Ref()), "NoSignature", "image "+shown(c.bad)+" denied")
	admitted(t, debug("good", c.good.Ref()))
	got := mustKubectl(t, "", "get", "pod", "app", "-n", c.namespace, "-o", "jsonpath={.spec.ephemeralContainers[*].image}")
	if got != c.good.Pinned() {
		t.Errorf("the debug containers run %q, want %q alone", got, c.good.Pinned())
	}
}

// TestOnlyNewImagesOfAChangedObjectAreJudged: a Pod that runs can be labelled and
// deleted whatever has become of its registry, but not be given another image.
func TestOnlyNewImagesOfAChangedObjectAreJudged(t *testing.T) {
	t.Parallel()
	proxy := newRegistryProxy(t, S(t).Registry)
	c := newCovered(t, S(t).Registry, proxy.Host)
	admitted(t, runPod(t, c.namespace, "app", c.good.Ref()))
	admitted(t, kubectl(t, "", "create", "deployment", "web", "-n", c.namespace, "--image="+c.good.Ref(), "--replicas=0"))

	for _, what := range []string{"pod/app", "deployment/web"} {
		container := map[string]string{"pod/app": "app", "deployment/web": "good"}[what]
		refused(t, kubectl(t, "", "set", "image", what, "-n", c.namespace, container+"="+c.bad.Ref()), "NoSignature", c.policy)
	}
	if got := imageOf(t, c.namespace, "app"); got != c.good.Pinned() {
		t.Errorf("the Pod runs %q, want %q", got, c.good.Pinned())
	}

	proxy.Down()
	for _, what := range []string{"pod/app", "deployment/web"} {
		admitted(t, kubectl(t, "", "label", what, "-n", c.namespace, "seen=true"))
	}
	admitted(t, kubectl(t, "", "scale", "deployment/web", "-n", c.namespace, "--replicas=0"))
	refused(t, runPod(t, c.namespace, "fresh", c.good.Ref()), "RegistryUnavailable")
	admitted(t, kubectl(t, "", "delete", "pod/app", "-n", c.namespace, "--wait=false"))
}

// TestADryRunSaysWhatWouldHappen: a dry run passes through both webhooks, and
// stores nothing.
func TestADryRunSaysWhatWouldHappen(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for _, kind := range []string{"Pod", "Deployment"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name := strings.ToLower(kind)
			refused(t, dryRun(t, workload(t, kind, c.namespace, name, c.bad.Ref())), "NoSignature")
			good := dryRun(t, workload(t, kind, c.namespace, name, c.good.Ref()))
			admitted(t, good)
			if !strings.Contains(good.Stdout, name+" created (server dry run)") {
				t.Errorf("kubectl says: %s", good.Stdout)
			}
			if result := kubectl(t, "", "get", kind, name, "-n", c.namespace); !strings.Contains(result.Stderr, "NotFound") {
				t.Errorf("the dry run left a %s: %s%s", kind, result.Stdout, result.Stderr)
			}
		})
	}
	pinned := kubectl(t, workload(t, "Pod", c.namespace, "pinned", c.good.Ref()),
		"apply", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec.containers[0].image}")
	if pinned.Stdout != c.good.Pinned() {
		t.Errorf("the dry run shows image %q, want %q", pinned.Stdout, c.good.Pinned())
	}
}

// TestNamespacesAreExemptByTheNameThatNobodyCanChange: a label that a namespace's
// owner writes changes nothing.
func TestNamespacesAreExemptByTheNameThatNobodyCanChange(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for _, exempt := range []string{"kube-system", "kube-public", "kube-node-lease", stack.Namespace} {
		pod := workload(t, "Deployment", exempt, newName(t), c.bad.Ref())
		admitted(t, dryRun(t, pod))
	}
	// The API server puts the label back, or refuses to change it.
	kubectl(t, "", "label", "namespace", c.namespace, "--overwrite", "kubernetes.io/metadata.name=kube-system")
	for _, label := range []string{"policy.countersign.dev/exclude=true", "countersign.dev/exempt=true", "policy.sigstore.dev/exclude=true"} {
		mustKubectl(t, "", "label", "namespace", c.namespace, label)
	}
	refused(t, dryRun(t, workload(t, "Deployment", c.namespace, "web", c.bad.Ref())), "NoSignature", c.policy)
	refused(t, runPod(t, c.namespace, "app", c.bad.Ref()), "NoSignature", c.policy)
}
