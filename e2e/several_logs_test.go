// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// ctlogPolicy applies a policy for an image whose authority has this ctlog, in YAML's flow
// style. It returns when the policy's condition Ready is as said.
func ctlogPolicy(t *testing.T, image stack.Image, ctlog, ready string) {
	t.Helper()
	name := newName(t)
	const authority = "  - name: release-key\n"
	manifest := stack.KeyPolicy(name, image.Registry+"/"+image.Repository, S(t).Key)
	appliedObject(t, "clusterimagepolicy/"+name, strings.Replace(manifest, authority, authority+"    ctlog: "+ctlog+"\n", 1))
	mustKubectl(t, "", "wait", "--for=condition=Ready="+ready, "--timeout=30s", "clusterimagepolicy/"+name)
}

// upload puts the entry of an image's legacy signature into another log.
func upload(t *testing.T, image stack.Image, rekor *stack.Rekor) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rekor.URL+"/api/v1/log/entries", bytes.NewReader(hashedRekord(t, image)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("uploading the entry: status %d", response.StatusCode)
	}
}

// TestASignatureMustBeInSeveralLogs: both, either, and one log that is configured twice.
func TestASignatureMustBeInSeveralLogs(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	first, second := newRekor(t), newRekor(t)
	front := newLogProxy(t, first)
	a, b := newLog(t, first, front.URL), newLog(t, second, second.URL)
	again := newLog(t, first, first.URL) // another object, another URL, the same key
	// Each policy has an image of its own, signed and in the first log.
	signed := func(ctlog, ready string) stack.Image {
		image := pushImage(t, S(t).Registry)
		sign(t, image, stack.SignOptions{Log: first})
		ctlogPolicy(t, image, ctlog, ready)
		return image
	}
	run := func(image stack.Image) stack.Result { return runPod(t, namespace, newName(t), image.Ref()) }
	both := signed("{logRefs: ["+a+", "+b+"], threshold: 2}", "True")
	either := signed("{logRefs: ["+a+", "+b+"]}", "True")
	byURL := signed("{url: "+second.URL+"/}", "True")
	twice := signed("{logRefs: ["+a+", "+again+"], threshold: 2}", "False")

	admitted(t, run(either))
	refused(t, run(both), "LogUnknown", second.Hostname)
	refused(t, run(byURL), "LogUnknown", second.Hostname)
	refused(t, run(twice), "PolicyNotReady", "threshold of 2 logs cannot be met by 1 distinct log keys")

	upload(t, both, second)
	upload(t, byURL, second)
	admitted(t, run(both))
	admitted(t, run(byURL))
	refused(t, run(twice), "PolicyNotReady")

	// One of the two is away: either will do still, for an image that nobody has seen yet.
	unseen := signed("{logRefs: ["+a+", "+b+"]}", "True")
	upload(t, unseen, second)
	front.Down()
	admitted(t, run(unseen))
}
