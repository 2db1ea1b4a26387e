// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// workloadKinds are all kinds of the Kubernetes API that hold images.
var workloadKinds = []string{
	"Pod", "PodTemplate", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob",
}

// TestWhileNobodyAnswersOnlyNewImagesAreRefused: every replica is gone, and the
// control plane has just started, as after a power cut. What brings in no image goes on, without asking; what does is refused,
// and none gets by; what Countersign itself needs to come back is not in its hands.
//
// It stops the Countersign that all scenarios share, and so runs before those that
// are parallel.
func TestWhileNobodyAnswersOnlyNewImagesAreRefused(t *testing.T) {
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	doomed := newNamespace(t)
	for _, kind := range workloadKinds {
		mustKubectl(t, workload(t, kind, c.namespace, "app", c.good.Ref()), "create", "-f", "-")
	}
	mustKubectl(t, workload(t, "Pod", doomed, "app", c.good.Ref()), "create", "-f", "-")
	leaving := collection("Pod", c.namespace) + "/leaving"
	mustKubectl(t, workload(t, "Pod", c.namespace, "leaving", c.good.Ref()), "create", "-f", "-")
	call{http.MethodPatch, leaving, mergePatch, `{"metadata":{"finalizers":["example.com/hold"]}}`}.must(t)
	call{http.MethodDelete, leaving, "", ""}.must(t)

	restoreCountersign(t)
	S(t).Countersign.Kill()
	restartControlPlane(t)
	for what, request := range withoutNewImages(t, c) {
		t.Run("goes on: "+what, func(t *testing.T) { request.must(t) })
	}
	for what, request := range withNewImages(t, c) {
		t.Run("is refused: "+what, func(t *testing.T) {
			a := request.send(t)
			if a.code != http.StatusInternalServerError || !strings.Contains(a.status.Message, "failed calling webhook") {
				t.Errorf("%d %s", a.code, a.body)
			}
		})
	}
	call{http.MethodPatch, leaving, mergePatch, `{"metadata":{"finalizers":null}}`}.must(t)
	eventually(t, "a Pod without finalizers to be gone", func() bool { return call{http.MethodGet, leaving, "", ""}.send(t).code == http.StatusNotFound })
	mustKubectl(t, "", "delete", "namespace", doomed, "--wait=false")
	eventually(t, "a namespace to be gone", func() bool { return kubectl(t, "", "get", "namespace", doomed).Code != 0 })
	for _, exempt := range []string{"kube-system", stack.Namespace} {
		name := newName(t)
		mustKubectl(t, exemptDeployment(t, exempt, name, c.bad.Ref()), "create", "-f", "-")
		eventually(t, "a Pod in "+exempt, func() bool {
			return mustKubectl(t, "", "get", "pods", "-n", exempt, "-l", "app="+name, "-o", "name") != ""
		})
		mustKubectl(t, "", "delete", "deployment", name, "-n", exempt, "--cascade=foreground", "--wait=false")
	}

	mustKubectl(t, "", "scale", "deployment/app", "-n", c.namespace, "--replicas=3")
	if err := S(t).Countersign.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, runPod(t, c.namespace, "bad", c.bad.Ref()), "NoSignature")
	admitted(t, runPod(t, c.namespace, "good", c.good.Ref()))
	eventually(t, "the Pods that were refused meanwhile", func() bool {
		return len(strings.Fields(mustKubectl(t, "", "get", "pods", "-n", c.namespace, "-l", "app=app", "-o", "jsonpath={.items[*].metadata.name}"))) >= 3
	})
}

// restoreCountersign starts the Countersign that all scenarios share anew when the
// scenario ends, as it was at first.
func restoreCountersign(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := S(t).Countersign.RestartWith(ctx); err != nil {
			t.Error(err)
		}
	})
}

// restartControlPlane ends the API server and the controllers, and starts them anew.
func restartControlPlane(t *testing.T) {
	t.Helper()
	controlPlane := S(t).ControlPlane
	controlPlane.ControllerManager.Kill()
	controlPlane.APIServer.Kill()
	for _, process := range []*stack.Process{controlPlane.APIServer, controlPlane.ControllerManager} {
		if err := process.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// exemptDeployment is a Deployment as the pod security standard of Countersign's own
// namespace wants it.
func exemptDeployment(t *testing.T, namespace, name, image string) string {
	t.Helper()
	c := container("app", image)
	c["securityContext"] = object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []any{"ALL"}}}
	return manifestOf(t, object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": name, "namespace": namespace},
		"spec": object{"selector": object{"matchLabels": object{"app": name}}, "template": object{
			"metadata": object{"labels": object{"app": name}},
			"spec": object{
				"securityContext": object{"runAsNonRoot": true, "seccompProfile": object{"type": "RuntimeDefault"}},
				"containers":      []any{c},
			},
		}},
	})
}

// withoutNewImages are requests that bring in no image: nobody need be asked.
func withoutNewImages(t *testing.T, c covered) map[string]call {
	t.Helper()
	const dry = "?dryRun=All"
	requests := map[string]call{}
	for _, kind := range workloadKinds {
		at := collection(kind, c.namespace) + "/app"
		for what, patch := range map[string]string{
			"a label of a ":       `{"metadata":{"labels":{"seen":"true"}}}`,
			"an annotation of a ": `{"metadata":{"annotations":{"seen":"true"}}}`,
			"a finalizer of a ":   `{"metadata":{"finalizers":["example.com/hold"]}}`,
			"the owner of a ":     `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"x","uid":"00000000-0000-0000-0000-000000000000"}]}}`,
		} {
			requests[what+kind] = call{http.MethodPatch, at + dry, mergePatch, patch}
		}
		requests["the deletion of a "+kind] = call{http.MethodDelete, at + dry, "", ""}
	}
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"} {
		at := collection(kind, c.namespace) + "/app"
		requests["scaling a "+kind] = call{http.MethodPatch, at + "/scale" + dry, mergePatch, `{"spec":{"replicas":5}}`}
		requests["the number of replicas in a "+kind] = call{http.MethodPatch, at + dry, mergePatch, `{"spec":{"replicas":5}}`}
	}
	for _, kind := range []string{"Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"} {
		requests["the status of a "+kind] = call{
			http.MethodPatch, collection(kind, c.namespace) + "/app/status" + dry, mergePatch,
			`{"status":{"conditions":[{"type":"example.com/seen","status":"True"}]}}`,
		}
	}
	pod, deployment := collection("Pod", c.namespace)+"/app", collection("Deployment", c.namespace)+"/app"
	requests["pausing a Deployment"] = call{http.MethodPatch, deployment + dry, mergePatch, `{"spec":{"paused":true}}`}
	requests["restarting a Deployment"] = call{
		http.MethodPatch, deployment + dry, strategicPatch,
		`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2030-01-01T00:00:00Z"}}}}}`,
	}
	requests["suspending a CronJob"] = call{http.MethodPatch, collection("CronJob", c.namespace) + "/app" + dry, mergePatch, `{"spec":{"suspend":true}}`}
	requests["suspending a Job"] = call{http.MethodPatch, collection("Job", c.namespace) + "/app" + dry, mergePatch, `{"spec":{"suspend":true}}`}
	requests["a deadline of a Pod"] = call{http.MethodPatch, pod + dry, mergePatch, `{"spec":{"activeDeadlineSeconds":600}}`}
	requests["a toleration of a Pod"] = call{http.MethodPatch, pod + dry, jsonPatch, `[{"op":"add","path":"/spec/tolerations/-","value":{"key":"x","operator":"Exists"}}]`}
	requests["the eviction of a Pod"] = call{
		http.MethodPost, pod + "/eviction" + dry, "",
		`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"app","namespace":"` + c.namespace + `"}}`,
	}
	requests["the binding of a Pod to a node"] = call{
		http.MethodPost, pod + "/binding" + dry, "",
		`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"app"},"target":{"kind":"Node","name":"node"}}`,
	}
	requests["a label of a Pod that is being deleted"] = call{
		http.MethodPatch, collection("Pod", c.namespace) + "/leaving" + dry, mergePatch, `{"metadata":{"labels":{"seen":"true"}}}`,
	}
	return requests
}

// withNewImages are requests that bring in an image, in as many ways as there are.
func withNewImages(t *testing.T, c covered) map[string]call {
	t.Helper()
	const dry = "?dryRun=All"
	requests := map[string]call{}
	changed := manifestOf(t, object{"containers": []any{container("app", c.bad.Ref())}})
	for _, kind := range workloadKinds {
		at := collection(kind, c.namespace)
		requests["a new "+kind] = call{http.MethodPost, at + dry, "", workload(t, kind, c.namespace, "new", c.bad.Ref())}
		if kind == "Job" {
			continue // its template cannot be changed
		}
		requests["another image in a "+kind] = call{
			http.MethodPatch, at + "/app" + dry, strategicPatch, manifestOf(t, podSpecOf(kind, object{"containers": []any{container("app", c.bad.Ref())}})),
		}
		requests["another image in a "+kind+" by server-side apply"] = call{
			http.MethodPatch, at + "/app" + dry + "&force=true&fieldManager=e2e", applyPatch, workload(t, kind, c.namespace, "app", c.bad.Ref()),
		}
	}
	deployment := collection("Deployment", c.namespace) + "/app" + dry
	requests["another image and no replicas"] = call{
		http.MethodPatch, deployment, strategicPatch,
		`{"spec":{"replicas":0,"template":{"spec":` + changed + `}}}`,
	}
	requests["another image and a label"] = call{
		http.MethodPatch, deployment, strategicPatch, `{"metadata":{"labels":{"a":"b"}},"spec":{"template":{"spec":` + changed + `}}}`,
	}
	requests["an init container more"] = call{
		http.MethodPatch, deployment, strategicPatch,
		manifestOf(t, podSpecOf("Deployment", object{"initContainers": []any{container("init", c.bad.Ref())}})),
	}
	requests["an image volume more"] = call{
		http.MethodPatch, deployment, strategicPatch,
		manifestOf(t, podSpecOf("Deployment", object{"volumes": []any{object{"name": "v", "image": object{"reference": c.bad.Ref()}}}})),
	}
	requests["the image in another list"] = call{
		http.MethodPatch, deployment, jsonPatch,
		`[{"op":"add","path":"/spec/template/spec/initContainers","value":[{"name":"init","image":"` + c.good.Ref() + `"}]}]`,
	}
	requests["a debug container"] = call{
		http.MethodPatch, collection("Pod", c.namespace) + "/app/ephemeralcontainers" + dry, strategicPatch,
		manifestOf(t, podSpecOf("Pod", object{"ephemeralContainers": []any{container("debug", c.bad.Ref())}})),
	}
	requests["another image in a Pod that is being deleted"] = call{
		http.MethodPatch, collection("Pod", c.namespace) + "/leaving" + dry, strategicPatch, `{"spec":` + changed + `}`,
	}
	return requests
}
