// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// S is the stack that all scenarios share. A scenario that uses only names of its
// own (newName, newNamespace) can run in parallel with all others.
func S(t *testing.T) *stack.Stack {
	t.Helper()
	return shared
}

// newName returns a name that no other scenario has: for repositories, policies,
// logs.
func newName(t *testing.T) string {
	t.Helper()
	suffix := make([]byte, 4)
	if _, err := rand.Read(suffix); err != nil {
		t.Fatal(err)
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, t.Name())
	if len(name) > 40 {
		name = name[:40]
	}
	return strings.Trim(name, "-") + "-" + hex.EncodeToString(suffix)
}

// newNamespace creates a namespace, with its default service account, that is
// deleted when the scenario ends.
func newNamespace(t *testing.T) string {
	t.Helper()
	name := newName(t)
	mustKubectl(t, "", "create", "namespace", name)
	t.Cleanup(func() {
		// Not t.Context, which is done by now.
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the namespace's default service account", func() bool {
		return kubectl(t, "", "get", "serviceaccount", "default", "-n", name).Code == 0
	})
	return name
}

// kubectl runs kubectl; how it ends is the scenario's to judge.
func kubectl(t *testing.T, stdin string, args ...string) stack.Result {
	t.Helper()
	result, err := S(t).Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// mustKubectl runs kubectl, which has to succeed, and returns its standard output.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	result := kubectl(t, stdin, args...)
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return result.Stdout
}

// pushImage pushes a new random image, tagged v1, to a repository of its own.
func pushImage(t *testing.T, registry *stack.Registry) stack.Image {
	t.Helper()
	image, err := stack.PushImage(t.Context(), registry.Host, newName(t)+"/app", "v1")
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// sign signs an image by digest.
func sign(t *testing.T, image stack.Image, o stack.SignOptions) {
	t.Helper()
	if err := S(t).Sign(t.Context(), image.ByDigest(), o); err != nil {
		t.Fatal(err)
	}
}

// newPolicy applies an enforcing policy for the images under a glob, with one key
// authority, and deletes it when the scenario ends. Without logs, the default log
// is the one that must hold the entries. It returns when the policy is in force.
func newPolicy(t *testing.T, glob string, key stack.KeyPair, logs ...string) string {
	t.Helper()
	name := newName(t)
	applied(t, "clusterimagepolicy/"+name, stack.KeyPolicy(name, glob, key, logs...))
	return name
}

// newLog configures a log that is not the default, read at url, which may be a
// proxy's. It returns the TransparencyLog's name once it is Ready.
func newLog(t *testing.T, log stack.Log, url string) string {
	t.Helper()
	name := newName(t)
	applied(t, "transparencylog/"+name, stack.TransparencyLogAt(url, log, name, false))
	return name
}

// applied applies one object of ours, waits until it is Ready, and deletes it when
// the scenario ends.
func applied(t *testing.T, object, manifest string) {
	t.Helper()
	appliedObject(t, object, manifest)
	mustKubectl(t, "", "wait", "--for=condition=Ready", "--timeout=30s", object)
}

// appliedObject applies one object of ours, and deletes it when the scenario ends.
func appliedObject(t *testing.T, object, manifest string) {
	t.Helper()
	mustKubectl(t, manifest, "apply", "-f", "-")
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", object, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}

// runPod creates a Pod of one image with kubectl run, and returns what came of it.
func runPod(t *testing.T, namespace, name, image string) stack.Result {
	t.Helper()
	return kubectl(t, "", "run", name, "-n", namespace, "--image="+image)
}

// admitted wants kubectl to have got what it asked for.
func admitted(t *testing.T, result stack.Result) {
	t.Helper()
	if err := result.Err(); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// refused wants kubectl to have been refused by a policy, for that reason alone,
// in words that contain all of says.
func refused(t *testing.T, result stack.Result, reason string, says ...string) {
	t.Helper()
	if result.Code == 0 {
		t.Errorf("admitted; want a refusal with %s:\n%s", reason, result.Stdout)
		return
	}
	for _, want := range append(says, " denied by ClusterImagePolicy ", " "+reason+": ", "\n  → ") {
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, result.Stderr)
		}
	}
}

// shown is how messages name an image that is known by tag and digest.
func shown(image stack.Image) string {
	const algorithm, digits = len("sha256:"), 4
	return image.Ref() + " (" + image.Digest[:algorithm+digits] + "…" + image.Digest[len(image.Digest)-digits:] + ")"
}

// imageOf is the image that the first container of a Pod runs.
func imageOf(t *testing.T, namespace, pod string) string {
	t.Helper()
	return mustKubectl(t, "", "get", "pod", pod, "-n", namespace, "-o", "jsonpath={.spec.containers[0].image}")
}

// eventually waits up to half a minute for a condition that is on its way.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s in vain for %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kubectlAfter runs kubectl when the scenario, and its context, have ended.
func kubectlAfter(t *testing.T, args ...string) {
	t.Helper()
	if _, err := S(t).Kubectl(context.Background(), "", args...); err != nil {
		t.Error(err)
	}
}
