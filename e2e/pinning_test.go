// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestWhatRunsIsWhatWasVerifiedThoughTheTagMoves: the registry's owner moves the
// tag as soon as the mutating webhook has resolved it, before the validating one
// looks.
func TestWhatRunsIsWhatWasVerifiedThoughTheTagMoves(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		signFirst, signSecond bool
		reason                string // "" when the first image is admitted
	}{
		"from a signed image to an unsigned one": {signFirst: true},
		"from an unsigned image to a signed one": {signSecond: true, reason: "NoSignature"},
		"from a signed image to a signed one":    {signFirst: true, signSecond: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy := newRegistryProxy(t, S(t).Registry)
			first := pushImage(t, S(t).Registry)
			second := first
			second.Tag = "next"
			second, err := stack.PushImage(t.Context(), second.Registry, second.Repository, second.Tag)
			if err != nil {
				t.Fatal(err)
			}
			if tc.signFirst {
				sign(t, first, stack.SignOptions{})
			}
			if tc.signSecond {
				sign(t, second, stack.SignOptions{})
			}
			seen := first
			seen.Registry = proxy.Host
			newPolicy(t, seen.Registry+"/"+seen.Repository, S(t).Key)
			moved := moveTag(t, proxy, first, second)

			pod := newName(t)
			result := runPod(t, namespace, pod, seen.Ref())
			if now := resolve(t, first); moved.Load() == 0 || now != second.Digest {
				t.Fatalf("the tag moved %d times and means %s, want %s", moved.Load(), now, second.Digest)
			}
			if tc.reason != "" {
				refused(t, result, tc.reason, shown(seen))
				return
			}
			admitted(t, result)
			if got := imageOf(t, namespace, pod); got != seen.Pinned() {
				t.Errorf("the Pod runs %q, want %q, which was verified", got, seen.Pinned())
			}
		})
	}
}

// moveTag makes the tag of first mean second right after the first answer to a
// question for it, and counts how often that was done.
func moveTag(t *testing.T, proxy *stack.Proxy, first, second stack.Image) *atomic.Int32 {
	t.Helper()
	content, err := remote.Get(reference(t, second.Ref()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	tag := reference(t, first.Ref()).Context().Tag(first.Tag)
	var asked, moved atomic.Int32
	proxy.SetHook(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if strings.HasSuffix(r.URL.Path, "/manifests/"+first.Tag) && asked.Add(1) == 1 {
			// The answer is complete only when this returns.
			if err := remote.Tag(tag, content, remote.WithContext(t.Context())); err != nil {
				t.Error(err)
			}
			moved.Add(1)
		}
	})
	return &moved
}

// resolve is the digest that an image's tag means now.
func resolve(t *testing.T, image stack.Image) string {
	t.Helper()
	head, err := remote.Head(reference(t, image.Ref()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return head.Digest.String()
}

// TestAnImageThatCouldNotBePinnedIsRefused: the registry fails when the mutating
// webhook asks, and answers when the validating one does. The image is good, but
// nothing would keep another one from running.
func TestAnImageThatCouldNotBePinnedIsRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	proxy := newRegistryProxy(t, S(t).Registry)
	image := pushImage(t, S(t).Registry)
	sign(t, image, stack.SignOptions{})
	image.Registry = proxy.Host
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)

	const tries = 3 // of one question
	var asked atomic.Int32
	proxy.SetHook(stack.When(
		func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/manifests/"+image.Tag) && asked.Add(1) <= tries
		},
		stack.Answer(http.StatusServiceUnavailable, "text/plain", "not now"),
	))
	refused(t, runPod(t, namespace, "unpinned", image.Ref()), "DigestRequired", "names no digest")
	if got := asked.Load(); got != tries+1 {
		t.Errorf("the tag was asked for %d times, want %d", got, tries+1)
	}
	admitted(t, runPod(t, namespace, "pinned", image.Ref()))
}

// TestADeploymentStaysAsItIsWrittenAndItsPodsArePinned: tools that compare what is
// in git with what is in the cluster see no difference.
func TestADeploymentStaysAsItIsWrittenAndItsPodsArePinned(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
	sign(t, image, bundleByV3())
	mustKubectl(t, "", "create", "deployment", "web", "-n", namespace, "--image="+image.Ref(), "--replicas=2")
	images := func(kind, path string) []string {
		return strings.Fields(mustKubectl(t, "", "get", kind, "-n", namespace, "-o", "jsonpath={range .items[*]}{"+path+"} {end}"))
	}
	eventually(t, "two Pods", func() bool { return len(images("pods", ".spec.containers[0].image")) == 2 })
	for _, got := range images("pods", ".spec.containers[0].image") {
		if got != image.Pinned() {
			t.Errorf("a Pod runs %q, want %q", got, image.Pinned())
		}
	}
	for _, kind := range []string{"deployments", "replicasets"} {
		got := images(kind, ".spec.template.spec.containers[0].image")
		if len(got) != 1 || got[0] != image.Ref() {
			t.Errorf("%s have %q, want %q as it was written", kind, got, image.Ref())
		}
	}
}

// TestEveryImageOfAPodIsPinnedAndStaysSo: in all lists; what is pinned already is
// left alone, whoever looks again.
func TestEveryImageOfAPodIsPinnedAndStaysSo(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	pods := collection("Pod", c.namespace)
	var pod corev1.Pod
	decodeInto(t, call{http.MethodPost, pods, "", podWith(t, c.good.Ref(), func(_, m, s object) {
		m["name"] = "app"
		s["initContainers"] = []any{container("init", c.good.Ref()), container("pinned", c.good.Pinned()), container("digest", c.good.ByDigest())}
		s["volumes"] = []any{object{"name": "v", "image": object{"reference": c.good.Ref()}}}
	})}.send(t).body, &pod)
	decodeInto(t, call{
		http.MethodPatch, pods + "/app/ephemeralcontainers", strategicPatch,
		manifestOf(t, podSpecOf("Pod", object{"ephemeralContainers": []any{container("debug", c.good.Ref())}})),
	}.send(t).body, &pod)
	images := func() []string {
		var all []string
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			all = append(all, container.Image)
		}
		return append(all, pod.Spec.EphemeralContainers[0].Image, pod.Spec.Volumes[0].Image.Reference)
	}
	if len(pod.Spec.EphemeralContainers) != 1 || len(pod.Spec.Volumes) == 0 || pod.Spec.Volumes[0].Image == nil {
		t.Fatalf("the Pod is %+v", pod.Spec)
	}
	want := []string{c.good.Pinned(), c.good.Pinned(), c.good.ByDigest(), c.good.Pinned(), c.good.Pinned(), c.good.Pinned()}
	if diff := cmp.Diff(want, images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	decodeInto(t, call{http.MethodPatch, pods + "/app", strategicPatch, manifestOf(t, podSpecOf("Pod", object{"containers": []any{container("app", c.good.ByDigest())}}))}.send(t).body, &pod)
	want[3] = c.good.ByDigest()
	if diff := cmp.Diff(want, images()); diff != "" {
		t.Errorf("images after an update of one (-want +got):\n%s", diff)
	}
}

// TestAPolicyThatWantsDigestsRefusesTagsOfWorkloads: a Pod is pinned, and so has one.
func TestAPolicyThatWantsDigestsRefusesTagsOfWorkloads(t *testing.T) {
	t.Parallel()
	namespace, image := newNamespace(t), pushImage(t, S(t).Registry)
	sign(t, image, stack.SignOptions{})
	wantDigests(t, image)
	deployments := collection("Deployment", namespace)
	call{http.MethodPost, deployments, "", workload(t, "Deployment", namespace, "tag", image.Ref())}.refused(t, "DigestRequired")
	call{http.MethodPost, deployments, "", workload(t, "Deployment", namespace, "digest", image.Pinned())}.must(t)
	admitted(t, runPod(t, namespace, "app", image.Ref()))
	if got := imageOf(t, namespace, "app"); got != image.Pinned() {
		t.Errorf("the Pod runs %q, want %q", got, image.Pinned())
	}
}

// wantDigests makes a policy about one image that wants it named by digest.
func wantDigests(t *testing.T, image stack.Image) {
	t.Helper()
	name := newName(t)
	policy := stack.KeyPolicy(name, image.Registry+"/"+image.Repository, S(t).Key)
	applied(t, "clusterimagepolicy/"+name, strings.Replace(policy, "spec:\n", "spec:\n  requireDigest: true\n", 1))
}

// TestWithoutPinningPolicyDecidesAboutTags: Pods run as they are written, the audit
// says which of them run by tag, and a policy can refuse those.
func TestWithoutPinningPolicyDecidesAboutTags(t *testing.T) {
	restoreCountersign(t)
	if err := S(t).Countersign.RestartWith(t.Context(), "--pin-digests=false"); err != nil {
		t.Fatal(err)
	}
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	pods := collection("Pod", c.namespace)
	for name, image := range map[string]string{"tag": c.good.Ref(), "digest": c.good.Pinned()} {
		call{http.MethodPost, pods, "", workload(t, "Pod", c.namespace, name, image)}.must(t)
		if got := imageOf(t, c.namespace, name); got != image {
			t.Errorf("the Pod runs %q, want %q as it was written", got, image)
		}
		record := audited(t, c.namespace, name)["images.countersign.dev/image-0"]
		if got := strings.Contains(record, `"unpinned":true`); got != (name == "tag") {
			t.Errorf("the audit log has %s", record)
		}
	}
	call{http.MethodPost, pods, "", workload(t, "Pod", c.namespace, "bad", c.bad.Ref())}.refused(t, "NoSignature")

	strict := pushImage(t, S(t).Registry)
	sign(t, strict, stack.SignOptions{})
	wantDigests(t, strict)
	call{http.MethodPost, pods, "", workload(t, "Pod", c.namespace, "strict-tag", strict.Ref())}.refused(t, "DigestRequired")
	call{http.MethodPost, pods, "", workload(t, "Pod", c.namespace, "strict-digest", strict.Pinned())}.must(t)
}
