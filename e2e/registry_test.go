// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestARegistryThatIsDownRefusesUntilItIsUpAgain kills and starts a registry, which
// keeps its content on disk; Countersign runs on.
func TestARegistryThatIsDownRefusesUntilItIsUpAgain(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	registry, err := S(t).StartFallbackRegistry(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	image := pushImage(t, registry)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
	sign(t, image, stack.SignOptions{})

	registry.Kill()
	refused(t, runPod(t, namespace, "by-tag", image.Ref()), "RegistryUnavailable", registry.Host)
	refused(t, runPod(t, namespace, "by-digest", image.ByDigest()), "RegistryUnavailable", registry.Host)
	if err := registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It is left alone for a second after it was found to be down.
	eventually(t, "the registry to be asked again", func() bool { return runPod(t, namespace, "by-tag", image.Ref()).Code == 0 })
	admitted(t, runPod(t, namespace, "by-digest", image.ByDigest()))
}

// TestWhatARegistryAnswersWronglyIsNeverTakenForNoSignature: an unsigned image and
// one about which the registry gives no proper answer are two things.
func TestWhatARegistryAnswersWronglyIsNeverTakenForNoSignature(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		sign   stack.SignOptions
		image  func(stack.Image) string
		match  string // in the path of the question that is answered wrongly
		hook   stack.Hook
		reason string // "" when the image is admitted all the same
	}{
		"an internal error for the signature": {
			stack.SignOptions{}, stack.Image.Ref, ".sig", stack.Answer(http.StatusInternalServerError, "text/plain", "sorry"), "RegistryUnavailable",
		},
		"a refusal of the signature": {
			stack.SignOptions{}, stack.Image.Ref, ".sig", stack.Answer(http.StatusUnauthorized, "application/json", `{"errors":[{"code":"UNAUTHORIZED"}]}`), "RegistryUnauthorized",
		},
		"a rate limit for the signature": {
			stack.SignOptions{}, stack.Image.Ref, ".sig", stack.Answer(http.StatusTooManyRequests, "application/json", `{"errors":[{"code":"TOOMANYREQUESTS"}]}`), "RegistryThrottled",
		},
		"other bytes under the payload's digest": {
			stack.SignOptions{}, stack.Image.Ref, "/blobs/", stack.RewriteBody(func(b []byte) []byte { flip(b); return b }), "RegistryUnavailable",
		},
		"half of the signature's manifest": {
			stack.SignOptions{}, stack.Image.Ref, ".sig", stack.RewriteBody(func(b []byte) []byte { return b[:len(b)/2] }), "RegistryUnavailable",
		},
		"half of the list of referrers": {
			bundleByV3(), stack.Image.ByDigest, "/referrers/", stack.RewriteBody(func(b []byte) []byte { return b[:len(b)/2] }), "RegistryUnavailable",
		},
		"a connection that is closed on the list of referrers": {
			bundleByV3(), stack.Image.ByDigest, "/referrers/", stack.Drop(), "RegistryUnavailable",
		},
		"a connection that is closed on the list of referrers beside a good signature": {
			stack.SignOptions{}, stack.Image.ByDigest, "/referrers/", stack.Drop(), "",
		},
		"a tag that is not there": {
			stack.SignOptions{}, func(i stack.Image) string { return i.Ref() + "-typo" }, "none", nil, "ImageNotFound",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy := newRegistryProxy(t, S(t).Registry)
			image := pushImage(t, S(t).Registry)
			seen := image
			seen.Registry = proxy.Host
			policy := newPolicy(t, seen.Registry+"/"+seen.Repository, S(t).Key)
			// So that what is missing is all that keeps the image from being admitted.
			sign(t, image, tc.sign)
			proxy.SetHook(stack.When(func(r *http.Request) bool { return strings.Contains(r.URL.Path, tc.match) }, tc.hook))
			result := runPod(t, namespace, newName(t), tc.image(seen))
			switch tc.reason {
			case "":
				admitted(t, result)
			case "ImageNotFound":
				refused(t, result, tc.reason, policy)
			default:
				refused(t, result, tc.reason, policy)
				proxy.SetHook(nil)
				admitted(t, runPod(t, namespace, newName(t), tc.image(seen)))
			}
		})
	}
}

// TestAServerThatStallsIsAnsweredForInTime: the refusal arrives with its reason
// before the API server gives up on the webhook, after ten seconds, and says that
// it timed out.
func TestAServerThatStallsIsAnsweredForInTime(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, stack.SignOptions{})
	for what, tc := range map[string]struct {
		stall   func(registry, log *stack.Proxy, hook stack.Hook)
		reasons []string
	}{
		"a registry": {func(registry, _ *stack.Proxy, hook stack.Hook) { registry.SetHook(hook) }, []string{"DeadlineExceeded", "RegistryUnavailable"}},
		"a log":      {func(_, log *stack.Proxy, hook stack.Hook) { log.SetHook(entries(hook)) }, []string{"LogUnavailable"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			registry, log := newRegistryProxy(t, S(t).Registry), newLogProxy(t, S(t).Rekor)
			image := signed
			image.Registry = registry.Host
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, newLog(t, S(t).Rekor, log.URL))
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			tc.stall(registry, log, stack.Stall(release))
			// By digest, so that it is the validating webhook that waits.
			result := runPod(t, namespace, newName(t), image.ByDigest())
			if !slices.ContainsFunc(tc.reasons, func(reason string) bool { return strings.Contains(result.Stderr, " "+reason+": ") }) {
				t.Errorf("exit status %d, want a refusal with one of %q:\n%s%s", result.Code, tc.reasons, result.Stdout, result.Stderr)
			}
		})
	}
}

// TestWhatIsKnownByDigestIsNotAskedForAgain counts what passes on the wire before a
// registry and a log, and takes both away in the end.
func TestWhatIsKnownByDigestIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newRekor(t)
	for what, o := range map[string]stack.SignOptions{
		"a legacy signature": {Log: rekor},
		"a bundle":           {Log: rekor, Cosign: stack.CosignV3, Format: stack.Bundle},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			sign(t, image, o)
			registry, logs := newRegistryProxy(t, S(t).Registry), newLogProxy(t, rekor)
			image.Registry = registry.Host
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, newQuietLog(t, rekor, logs.URL))
			registry.Reset()
			logs.Reset()
			admitted(t, runPod(t, namespace, newName(t), image.Ref()))
			if len(registry.Requests()) == 0 || len(logs.Requests()) == 0 && o.Format != stack.Bundle {
				t.Fatal("the first Pod was admitted without a request: the proxies are not where Countersign asks")
			}

			registry.Reset()
			logs.Reset()
			admitted(t, runPod(t, namespace, newName(t), image.ByDigest()))
			wantRequests(t, "the registry, by digest", registry)
			wantRequests(t, "the log, by digest", logs)

			admitted(t, runPod(t, namespace, newName(t), image.Ref()))
			wantRequests(t, "the registry, by tag", registry, "HEAD /v2/"+image.Repository+"/manifests/"+image.Tag)
			wantRequests(t, "the log, by tag", logs)

			registry.Down()
			logs.Down()
			admitted(t, runPod(t, namespace, newName(t), image.ByDigest()))
		})
	}
}

// newQuietLog is newLog for a log that is not polled again while the scenario runs,
// so that each request to it has been caused by a Pod.
func newQuietLog(t *testing.T, rekor *stack.Rekor, url string) string {
	t.Helper()
	name := newName(t)
	often := stack.TransparencyLogAt(url, rekor, name, false)
	seldom := strings.Replace(often, "pollInterval: 1s", "pollInterval: 24h", 1)
	if seldom == often {
		t.Fatal("the manifest has no pollInterval to change")
	}
	applied(t, "transparencylog/"+name, seldom)
	return name
}

func newRegistryProxy(t *testing.T, registry *stack.Registry) *stack.Proxy {
	t.Helper()
	proxy, err := S(t).ProxyRegistry(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Down)
	return proxy
}

// wantRequests wants exactly these requests to have passed a proxy.
func wantRequests(t *testing.T, what string, proxy *stack.Proxy, want ...string) {
	t.Helper()
	var got []string
	for _, r := range proxy.Requests() {
		got = append(got, r.Method+" "+r.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests to %s (-want +got):\n%s", what, diff)
	}
}

// TestADeploymentOfThreeReplicasIsVerifiedOnce: five objects come through the gate,
// a Deployment, a ReplicaSet and three Pods. What their tag points to is asked each
// time; signatures and log entries once.
func TestADeploymentOfThreeReplicasIsVerifiedOnce(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newRekor(t)
	image := pushImage(t, S(t).Registry)
	sign(t, image, stack.SignOptions{Log: rekor})
	registry, logs := newRegistryProxy(t, S(t).Registry), newLogProxy(t, rekor)
	image.Registry = registry.Host
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, newQuietLog(t, rekor, logs.URL))
	registry.Reset()
	logs.Reset()
	mustKubectl(t, "", "create", "deployment", "web", "-n", namespace, "--image="+image.Ref(), "--replicas=3")
	eventually(t, "three Pods", func() bool {
		return len(strings.Fields(mustKubectl(t, "", "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"))) == 3
	})
	const objects = 5
	tag := "HEAD /v2/" + image.Repository + "/manifests/" + image.Tag
	for what, proxy := range map[string]*stack.Proxy{"the registry": registry, "the log": logs} {
		asked := map[string]int{}
		for _, r := range proxy.Requests() {
			asked[r.Method+" "+r.Path]++
		}
		if len(asked) == 0 {
			t.Errorf("%s was not asked: the proxy is not where Countersign asks", what)
		}
		for request, times := range asked {
			if times > 1 && (request != tag || times > objects) {
				t.Errorf("%s was asked %d times: %s", what, times, request)
			}
		}
	}
}
