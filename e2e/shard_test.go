// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestALogGetsANewShardWhileItIsUsed: its owner closes the tree and goes on with an
// empty one. Admissions go on, of entries in either, whether they bring a proof or not.
func TestALogGetsANewShardWhileItIsUsed(t *testing.T) {
	t.Parallel()
	namespace, rekor := newNamespace(t), newRekor(t)
	log := newLog(t, rekor, rekor.URL)
	covered := func(o stack.SignOptions) stack.Image {
		image := pushImage(t, S(t).Registry)
		o.Log = rekor
		sign(t, image, o)
		newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
		return image
	}
	inOld := map[string]stack.Image{
		"seen-before": covered(stack.SignOptions{}),
		"old-legacy":  covered(stack.SignOptions{}), // its entry must be asked for
		"old-bundle":  covered(bundleByV3()),
	}
	admitted(t, runPod(t, namespace, "first", inOld["seen-before"].Ref()))
	oldTree := rekor.TreeID

	if err := S(t).StartShard(t.Context(), rekor); err != nil {
		t.Fatal(err)
	}
	// An empty tree is no rollback of the one before.
	unlogged := pushImage(t, S(t).Registry)
	sign(t, unlogged, stack.SignOptions{Log: rekor, NoUpload: true})
	newPolicy(t, unlogged.Registry+"/"+unlogged.Repository, S(t).Key, log)
	refused(t, runPod(t, namespace, "unlogged", unlogged.Ref()), "NotLogged")
	inNew := map[string]stack.Image{"new-legacy": covered(stack.SignOptions{}), "new-bundle": covered(bundleByV3())}
	for _, images := range []map[string]stack.Image{inOld, inNew} {
		for name, image := range images {
			admitted(t, runPod(t, namespace, name, image.Ref()))
		}
	}
	eventually(t, "a poll of the new tree", func() bool { return strings.Contains(messageOf(t, log, "Consistent"), rekor.TreeID) })
	for _, condition := range []string{"Ready", "Consistent", "Fresh"} {
		if got := conditionOf(t, log, condition); got != "True Succeeded" {
			t.Errorf("the condition %s is %q: %s", condition, got, messageOf(t, log, condition))
		}
	}
	if oldTree == rekor.TreeID {
		t.Error("the tree is the same")
	}
}
