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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// The list of these tricks, with why each fails, is docs/design/bypasses.md.

// podWith is a Pod of one image, changed by edit.
func podWith(t *testing.T, image string, edit func(pod, metadata, spec object)) string {
	t.Helper()
	metadata, spec := object{"name": newName(t)}, object{"containers": []any{container("app", image)}}
	pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
	if edit != nil {
		edit(pod, metadata, spec)
	}
	return manifestOf(t, pod)
}

// TestWhatAPodSaysOfItselfChangesNothing: labels, annotations and owners are
// anybody's to write.
func TestWhatAPodSaysOfItselfChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for what, edit := range map[string]func(pod, metadata, spec object){
		"labels that switch other controllers off": func(_, m, _ object) {
			m["labels"] = object{
				"countersign.dev/exempt": "true", "policy.countersign.dev/exclude": "true", "policy.sigstore.dev/include": "false",
				"kubernetes.io/metadata.name": "kube-system", "app.kubernetes.io/name": "countersign", "control-plane": "countersign",
			}
		},
		"annotations that say it was verified": func(_, m, _ object) {
			m["annotations"] = object{
				"countersign.dev/verified": "true", "countersign.dev/digest": c.bad.Digest, "images.countersign.dev/decision": "allow",
				"kubernetes.io/psp": "privileged", "admission.countersign.dev/skip": "true",
			}
		},
		"an annotation that makes it a mirror of a static Pod": func(_, m, s object) {
			s["nodeName"], s["automountServiceAccountToken"] = "node", false
			m["annotations"] = object{"kubernetes.io/config.mirror": "0123456789abcdef", "kubernetes.io/config.source": "file"}
		},
		"an owner that was verified": func(_, m, _ object) {
			m["ownerReferences"] = []any{object{
				"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "verified", "uid": "00000000-0000-0000-0000-000000000000", "controller": true,
			}}
		},
		"a generated name": func(_, m, _ object) { delete(m, "name"); m["generateName"] = "app-" },
		"a finalizer":      func(_, m, _ object) { m["finalizers"] = []any{"example.com/hold"} },
		"that it is gone": func(_, m, _ object) {
			m["deletionTimestamp"] = time.Now().Format(time.RFC3339)
			m["deletionGracePeriodSeconds"] = 0
		},
		"managed fields": func(_, m, _ object) {
			m["managedFields"] = []any{object{"manager": "countersign", "operation": "Apply", "apiVersion": "v1"}}
		},
		"a node":              func(_, _, s object) { s["nodeName"] = "node" },
		"a critical class":    func(_, _, s object) { s["priorityClassName"] = "system-node-critical" },
		"that it never pulls": func(_, _, s object) { asList(s["containers"])[0].(object)["imagePullPolicy"] = "Never" },
		"a gate":              func(_, _, s object) { s["schedulingGates"] = []any{object{"name": "example.com/gate"}} },
		"a status that it ran": func(p, _, _ object) {
			p["status"] = object{"phase": "Running", "containerStatuses": []any{object{"name": "app", "image": c.good.Ref(), "imageID": c.good.Digest, "ready": true, "restartCount": 0}}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			call{http.MethodPost, collection("Pod", c.namespace), "", podWith(t, c.bad.Ref(), edit)}.refused(t, "NoSignature")
		})
	}
}

// TestEveryWayToWriteAnImageIsJudged: all patch types, with and without dry run,
// on a Pod and on a workload.
func TestEveryWayToWriteAnImageIsJudged(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for _, kind := range []string{"Pod", "Deployment"} {
		mustKubectl(t, workload(t, kind, c.namespace, "app", c.good.Ref()), "create", "-f", "-")
		at := collection(kind, c.namespace) + "/app"
		stored := func() object {
			var o object
			decodeInto(t, call{http.MethodGet, at, "", ""}.send(t).body, &o)
			return o
		}
		replaced := stored()
		delete(replaced["metadata"].(object), "resourceVersion")
		spec := replaced["spec"].(object)
		pointer := "/spec/containers/0/image"
		if kind != "Pod" {
			spec = spec["template"].(object)["spec"].(object)
			pointer = "/spec/template/spec/containers/0/image"
		}
		before := asList(spec["containers"])[0].(object)["image"]
		asList(spec["containers"])[0].(object)["image"] = c.bad.Ref()
		change := podSpecOf(kind, object{"containers": []any{container("app", c.bad.Ref())}})
		for _, dry := range []string{"", "dryRun=All&"} {
			for what, request := range map[string]call{
				"a strategic merge patch": {http.MethodPatch, at + "?" + dry, strategicPatch, manifestOf(t, change)},
				"a JSON merge patch":      {http.MethodPatch, at + "?" + dry, mergePatch, manifestOf(t, podSpecOf(kind, spec))},
				"a JSON patch":            {http.MethodPatch, at + "?" + dry, jsonPatch, `[{"op":"replace","path":"` + pointer + `","value":"` + c.bad.Ref() + `"}]`},
				"server-side apply":       {http.MethodPatch, at + "?" + dry + "fieldManager=e2e&force=true", applyPatch, workload(t, kind, c.namespace, "app", c.bad.Ref())},
				"a replacement":           {http.MethodPut, at + "?" + dry, "", manifestOf(t, replaced)},
				"another validation of fields": {
					http.MethodPatch, at + "?" + dry + "fieldValidation=Ignore", strategicPatch, manifestOf(t, change),
				},
			} {
				t.Run(kind+" by "+what+" "+dry, func(t *testing.T) { request.refused(t, "NoSignature") })
			}
		}
		got := stored()["spec"].(object)
		if kind != "Pod" {
			got = got["template"].(object)["spec"].(object)
		}
		if now := asList(got["containers"])[0].(object)["image"]; now != before {
			t.Errorf("the %s has image %q, want %q", kind, now, before)
		}
	}
	at := collection("Pod", c.namespace) + "/applied?fieldManager=e2e"
	call{http.MethodPatch, at, applyPatch, workload(t, "Pod", c.namespace, "applied", c.bad.Ref())}.refused(t, "NoSignature") // creates it
}

// TestNoSubresourceTakesAnImage: what is not asked about cannot change one.
func TestNoSubresourceTakesAnImage(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for _, kind := range []string{"Pod", "Deployment"} {
		mustKubectl(t, workload(t, kind, c.namespace, "app", c.good.Ref()), "create", "-f", "-")
	}
	pod, deployment := collection("Pod", c.namespace)+"/app", collection("Deployment", c.namespace)+"/app"
	images := func() string {
		return mustKubectl(t, "", "get", "pod/app", "-n", c.namespace, "-o", "jsonpath={.spec.containers[*].image} {.spec.initContainers[*].image}") +
			mustKubectl(t, "", "get", "deployment/app", "-n", c.namespace, "-o", "jsonpath={.spec.template.spec.containers[*].image}")
	}
	before := images()
	bad := manifestOf(t, podSpecOf("Pod", object{"containers": []any{container("app", c.bad.Ref())}}))
	badTemplate := manifestOf(t, podSpecOf("Deployment", object{"containers": []any{container("app", c.bad.Ref())}}))
	for what, request := range map[string]call{
		"the status of a Pod":          {http.MethodPatch, pod + "/status", strategicPatch, bad},
		"the size of a Pod":            {http.MethodPatch, pod + "/resize", strategicPatch, bad},
		"the debug containers":         {http.MethodPatch, pod + "/ephemeralcontainers", strategicPatch, bad},
		"the binding of a Pod":         {http.MethodPost, pod + "/binding", "", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"app","annotations":{"image":"` + c.bad.Ref() + `"}},"target":{"kind":"Node","name":"node"},"spec":{"containers":[{"name":"app","image":"` + c.bad.Ref() + `"}]}}`},
		"the eviction of a Pod":        {http.MethodPost, pod + "/eviction?dryRun=All", "", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"app"},"spec":{"containers":[{"name":"app","image":"` + c.bad.Ref() + `"}]}}`},
		"the status of a Deployment":   {http.MethodPatch, deployment + "/status", strategicPatch, badTemplate},
		"the replicas of a Deployment": {http.MethodPatch, deployment + "/scale", mergePatch, badTemplate},
	} {
		t.Run(what, func(t *testing.T) {
			request.send(t) // whether it is an error or ignored
			if now := images(); now != before {
				t.Errorf("the images are %q, were %q", now, before)
			}
		})
	}
}

// TestTheWireFormatChangesNothing: whatever a client sends, what is judged is what
// is stored.
func TestTheWireFormatChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	pods := collection("Pod", c.namespace)
	twice := func(first, second string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + newName(t) + `"},"spec":{"containers":[{"name":"app","image":"` + first + `","image":"` + second + `"}]}}`
	}
	call{http.MethodPost, pods, "", twice(c.good.Ref(), c.bad.Ref())}.refused(t, "NoSignature")
	call{http.MethodPost, pods, "", podWith(t, c.bad.Ref(), func(_, _, s object) {
		asList(s["containers"])[0].(object)["Image"] = c.good.Ref()
		s["Containers"] = []any{container("app", c.good.Ref())}
	})}.refused(t, "NoSignature")
	call{http.MethodPost, pods, "application/yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: yaml}\nspec:\n  containers:\n  - {name: app, image: '" + c.bad.Ref() + "'}\n"}.refused(t, "NoSignature")

	config := rest.CopyConfig(S(t).ControlPlane.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods(c.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "protobuf"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: c.bad.Ref()}}},
	}, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "NoSignature") {
		t.Errorf("as protobuf: %v", err)
	}
	for _, old := range []string{"/apis/extensions/v1beta1", "/apis/apps/v1beta1", "/apis/apps/v1beta2", "/apis/batch/v1beta1", "/apis/batch/v2alpha1"} {
		resource, kind := "deployments", "Deployment"
		if strings.Contains(old, "batch") {
			resource, kind = "cronjobs", "CronJob"
		}
		manifest := workload(t, kind, c.namespace, "old", c.bad.Ref())
		if a := (call{http.MethodPost, old + "/namespaces/" + c.namespace + "/" + resource, "", manifest}).send(t); a.code != http.StatusNotFound {
			t.Errorf("%s: %d %s", old, a.code, a.body)
		}
	}
}

// TestAnObjectOfAnySizeIsJudged: near the API server's own limit, and beyond ours.
func TestAnObjectOfAnySizeIsJudged(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	large := func(image string) string {
		return podWith(t, image, func(_, m, s object) {
			m["name"] = "large"
			var env []any
			for range 1000 {
				env = append(env, object{"name": "X", "value": strings.Repeat("x", 900)})
			}
			asList(s["containers"])[0].(object)["env"] = env
		})
	}
	pods := collection("Pod", c.namespace)
	call{http.MethodPost, pods, "", large(c.bad.Ref())}.refused(t, "NoSignature")
	call{http.MethodPost, pods, "", large(c.good.Ref())}.must(t)
	call{http.MethodPatch, pods + "/large", mergePatch, `{"metadata":{"labels":{"a":"b"}}}`}.must(t)
	call{http.MethodPatch, pods + "/large", strategicPatch, manifestOf(t, podSpecOf("Pod", object{"containers": []any{container("app", c.bad.Ref())}}))}.refused(t, "NoSignature")

	many := podWith(t, c.good.Ref(), func(_, _, s object) {
		var containers []any
		for i := range 300 {
			containers = append(containers, container("c"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+string(rune('a'+i/26)), c.good.Ref()))
		}
		s["containers"] = containers
	})
	if a := (call{http.MethodPost, pods, "", many}).send(t); a.code != http.StatusBadRequest || !strings.Contains(a.status.Message, "more than 256 images") {
		t.Errorf("%d %.500s", a.code, a.body)
	}
}

// TestControllersBringInNoMoreThanPeople: a workload that was there before the
// policy, or while it did not enforce, gets no new Pods with a bad image.
func TestControllersBringInNoMoreThanPeople(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	mustKubectl(t, workload(t, "Deployment", namespace, "web", image.Ref()), "create", "-f", "-")
	pods := func() []string {
		return strings.Fields(mustKubectl(t, "", "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"))
	}
	eventually(t, "a Pod while nothing covers it", func() bool { return len(pods()) == 1 })
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
	mustKubectl(t, "", "scale", "deployment/web", "-n", namespace, "--replicas=3")
	mustKubectl(t, "", "delete", "pod", pods()[0], "-n", namespace)
	eventually(t, "an Event of a Pod that was refused", func() bool {
		return strings.Contains(mustKubectl(t, "", "get", "events", "-n", namespace, "-o", "jsonpath={.items[*].message}"), "NoSignature")
	})
	if now := pods(); len(now) != 0 {
		t.Errorf("there are Pods: %v", now)
	}
	mustKubectl(t, "", "scale", "deployment/web", "-n", namespace, "--replicas=0")
	call{http.MethodPatch, collection("Deployment", namespace) + "/web", strategicPatch, `{"metadata":{"labels":{"a":"b"}},"spec":{"replicas":1}}`}.must(t)
}

// TestANamespaceThatIsBeingDeletedTakesNoImage, and goes although it has Pods that
// would be refused now.
func TestANamespaceThatIsBeingDeletedTakesNoImage(t *testing.T) {
	t.Parallel()
	image := pushImage(t, S(t).Registry)
	namespace := newName(t)
	mustKubectl(t, "", "create", "namespace", namespace)
	eventually(t, "the service account", func() bool { return kubectl(t, "", "get", "serviceaccount", "default", "-n", namespace).Code == 0 })
	pod := collection("Pod", namespace) + "/app"
	call{http.MethodPost, collection("Pod", namespace), "", podWith(t, image.Ref(), func(_, m, _ object) { m["name"] = "app"; m["finalizers"] = []any{"example.com/hold"} })}.must(t)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
	mustKubectl(t, "", "delete", "namespace", namespace, "--wait=false")
	if result := runPod(t, namespace, "late", image.Ref()); result.Code == 0 {
		t.Error("a namespace that is being deleted took a Pod")
	}
	eventually(t, "the Pod to be told to end", func() bool {
		return strings.Contains(string(call{http.MethodGet, pod, "", ""}.send(t).body), "deletionTimestamp")
	})
	call{http.MethodPatch, pod, strategicPatch, manifestOf(t, podSpecOf("Pod", object{"containers": []any{container("app", stack.Image{Registry: image.Registry, Repository: image.Repository, Tag: "other"}.Ref())}}))}.refused(t, "ImageNotFound")
	call{http.MethodPatch, pod, mergePatch, `{"metadata":{"finalizers":null}}`}.must(t)
	eventually(t, "the namespace to be gone", func() bool { return kubectl(t, "", "get", "namespace", namespace).Code != 0 })
}

// TestASpellingOfAnImageIsReadAsTheKubeletReadsItOrRefused.
func TestASpellingOfAnImageIsReadAsTheKubeletReadsItOrRefused(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	host, port, _ := strings.Cut(c.bad.Registry, ":")
	path := c.bad.Repository
	hex := strings.TrimPrefix(c.bad.Digest, "sha256:")
	for what, tc := range map[string]struct{ image, reason string }{
		"a tag":                              {c.bad.Ref(), "NoSignature"},
		"no tag":                             {host + ":" + port + "/" + path, "ImageNotFound"},
		"a digest":                           {c.bad.ByDigest(), "NoSignature"},
		"tag and digest":                     {c.bad.Pinned(), "NoSignature"},
		"a good tag and a bad digest":        {host + ":" + port + "/" + path + ":good@" + c.bad.Digest, "NoSignature"},
		"a good digest of another image":     {host + ":" + port + "/" + path + "@" + c.good.Digest, "NoSignature"},
		"a port with a zero before it":       {host + ":0" + port + "/" + path + ":v1", "ImageNotFound"},
		"a host with a dot after it":         {host + ".:" + port + "/" + path + ":v1", "ImageNotFound"},
		"an address in short":                {"127.1:" + port + "/" + path + ":v1", "ImageNotFound"},
		"an address as one number":           {"2130706433.:" + port + "/" + path + ":v1", "ImageNotFound"},
		"an address in hexadecimal":          {"0x7f.0.0.1:" + port + "/" + path + ":v1", "ImageNotFound"},
		"an address in octal":                {"0177.0.0.1:" + port + "/" + path + ":v1", "ImageNotFound"},
		"an address of the other kind":       {"[::ffff:127.0.0.1]:" + port + "/" + path + ":v1", "ImageNotFound"},
		"a user":                             {"x@" + c.bad.Ref(), "ImageNotFound"},
		"a scheme":                           {"http://" + c.bad.Ref(), "ImageNotFound"},
		"another transport":                  {"docker://" + c.bad.Ref(), "ImageNotFound"},
		"a host in upper case":               {"REGISTRY.example/x:v1", "ImageNotFound"},
		"a path in upper case":               {host + ":" + port + "/" + strings.ToUpper(path) + ":v1", "ImageNotFound"},
		"a path that goes up":                {host + ":" + port + "/x/../" + path + ":v1", "ImageNotFound"},
		"a slash twice":                      {host + ":" + port + "//" + path + ":v1", "ImageNotFound"},
		"a slash at the end":                 {host + ":" + port + "/" + path + "/", "ImageNotFound"},
		"an escape":                          {host + ":" + port + "/" + strings.Replace(path, "-", "%2d", 1) + ":v1", "ImageNotFound"},
		"an empty tag":                       {host + ":" + port + "/" + path + ":", "ImageNotFound"},
		"an empty digest":                    {host + ":" + port + "/" + path + ":v1@", "ImageNotFound"},
		"two digests":                        {c.bad.Pinned() + "@" + c.bad.Digest, "ImageNotFound"},
		"a digest of another algorithm":      {host + ":" + port + "/" + path + "@sha512:" + hex + hex, "ImageNotFound"},
		"a digest in upper case":             {host + ":" + port + "/" + path + "@sha256:" + strings.ToUpper(hex), "ImageNotFound"},
		"a digest that is too short":         {host + ":" + port + "/" + path + "@sha256:" + hex[:32], "ImageNotFound"},
		"the ID of a local image":            {hex, "ImageNotFound"},
		"the ID of a local image, as digest": {c.bad.Digest, "ImageNotFound"},
		"a letter that looks like another":   {host + ":" + port + "/" + strings.Replace(path, "a", "а", 1) + ":v1", "ImageNotFound"},
		"a letter that nobody sees":          {host + ":" + port + "/" + path + "\u200b:v1", "ImageNotFound"},
		"letters of full width":              {host + "：" + port + "/" + path + ":v1", "ImageNotFound"},
		"a space inside":                     {host + ":" + port + "/" + path + " :v1", "ImageNotFound"},
		"a line break inside":                {host + ":" + port + "/" + path + "\n:v1", "ImageNotFound"},
		"a zero byte":                        {host + ":" + port + "/" + path + "\x00:v1", "ImageNotFound"},
		"a name that does not end":           {host + ":" + port + "/" + strings.Repeat("a", 2000) + ":v1", "ImageNotFound"},
		"a tag that does not end":            {host + ":" + port + "/" + path + ":" + strings.Repeat("a", 200), "ImageNotFound"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"Pod", "Deployment"} {
				call{http.MethodPost, collection(kind, c.namespace) + "?dryRun=All", "", workload(t, kind, c.namespace, "app", tc.image)}.refused(t, tc.reason)
			}
		})
	}
}

// TestDockerHubHasOneName: a policy about an image of Docker Hub covers it under
// all names that runtimes know it by.
func TestDockerHubHasOneName(t *testing.T) {
	t.Parallel()
	namespace, name := newNamespace(t), newName(t)
	applied(t, "clusterimagepolicy/"+name, manifest(t, "ClusterImagePolicy", name, object{
		"images":      []any{object{"glob": name}},
		"authorities": []any{object{"name": "no", "static": object{"action": "fail", "message": "not this one"}}},
	}))
	for image, reason := range map[string]string{
		name:             "StaticDenied",
		name + ":latest": "StaticDenied",
		name + ":v1@sha256:" + strings.Repeat("a", 64): "StaticDenied",
		"library/" + name:                         "StaticDenied",
		"docker.io/" + name:                       "StaticDenied",
		"docker.io/library/" + name:               "StaticDenied",
		"index.docker.io/" + name:                 "StaticDenied",
		"index.docker.io/library/" + name:         "StaticDenied",
		"registry-1.docker.io/library/" + name:    "StaticDenied",
		"registry.hub.docker.com/library/" + name: "StaticDenied",
		"docker.io:443/library/" + name:           "ImageNotFound",
		"Docker.io/library/" + name:               "ImageNotFound",
		"docker.io./library/" + name:              "ImageNotFound",
		"registry-1.docker.io/" + name:            "ImageNotFound",
	} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			call{http.MethodPost, collection("Pod", namespace) + "?dryRun=All", "", workload(t, "Pod", namespace, "app", image)}.refused(t, reason)
		})
	}
}

func TestNamespacesWithNamesLikeThoseThatAreExemptAreNot(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	for _, name := range []string{"kube-system-" + newName(t), "x-kube-system-" + newName(t)[:8], stack.Namespace + "-" + newName(t)[:8]} {
		if len(name) > 63 {
			name = strings.TrimRight(name[:63], "-")
		}
		mustKubectl(t, manifestOf(t, object{
			"apiVersion": "v1", "kind": "Namespace",
			"metadata": object{"name": name, "labels": object{"kubernetes.io/metadata.name": "kube-system", "control-plane": "countersign"}},
		}), "create", "-f", "-")
		t.Cleanup(func() {
			if _, err := S(t).Kubectl(context.Background(), "", "delete", "namespace", name, "--wait=false"); err != nil {
				t.Error(err)
			}
		})
		call{http.MethodPost, collection("Deployment", name) + "?dryRun=All", "", workload(t, "Deployment", name, "app", c.bad.Ref())}.refused(t, "NoSignature")
	}
}
