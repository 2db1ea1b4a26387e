// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

func TestTheGateRefusesWhatIsNotSignedOrNotLogged(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		sign   []stack.SignOptions
		reason string
	}{
		"an unsigned image has NoSignature":                       {nil, "NoSignature"},
		"a signature that is in no log is NotLogged":              {[]stack.SignOptions{{NoUpload: true}}, "NotLogged"},
		"a bundle without an entry is NotLogged, as a legacy one": {[]stack.SignOptions{{Cosign: stack.CosignV3, Format: stack.Bundle, NoUpload: true}}, "NotLogged"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			for _, o := range tc.sign {
				sign(t, image, o)
			}
			result := runPod(t, namespace, newName(t), image.Ref())
			if result.Code == 0 || !strings.Contains(result.Stderr, tc.reason) {
				t.Errorf("exit status %d, want a refusal with %s:\n%s%s", result.Code, tc.reason, result.Stdout, result.Stderr)
			}
		})
	}
}

func TestTheGateAdmitsAndPinsWhatIsSignedAndLogged(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		registry *stack.Registry
		sign     stack.SignOptions
	}{
		"a legacy signature by cosign v2":                       {S(t).Registry, stack.SignOptions{}},
		"a legacy signature by cosign v3":                       {S(t).RegistryFallback, stack.SignOptions{Cosign: stack.CosignV3}},
		"a bundle by cosign v2":                                 {S(t).Registry, stack.SignOptions{Format: stack.Bundle}},
		"a bundle by cosign v3":                                 {S(t).Registry, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle}},
		"a bundle by cosign v3 in a registry without referrers": {S(t).RegistryFallback, stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, tc.registry)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			sign(t, image, tc.sign)
			pod := newName(t)
			if err := runPod(t, namespace, pod, image.Ref()).Err(); err != nil {
				t.Fatal(err)
			}
			runs := mustKubectl(t, "", "get", "pod", pod, "-n", namespace, "-o", "jsonpath={.spec.containers[0].image}")
			if runs != image.Pinned() {
				t.Errorf("the Pod runs %q, want %q", runs, image.Pinned())
			}
		})
	}
}

func TestALogThatAPolicyNamesIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	other, err := S(t).StartRekor(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	log := newLog(t, other, other.URL)

	image := pushImage(t, S(t).Registry)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
	sign(t, image, stack.SignOptions{}) // in the default log
	if result := runPod(t, namespace, "default-log", image.Ref()); result.Code == 0 {
		t.Errorf("admitted on the word of a log that the policy does not name: %s", result.Stdout)
	}
	sign(t, image, stack.SignOptions{Log: other})
	if err := runPod(t, namespace, "named-log", image.Ref()).Err(); err != nil {
		t.Error(err)
	}
}
