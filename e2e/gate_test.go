// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
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
			refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason)
			refused(t, runPod(t, namespace, newName(t), image.ByDigest()), tc.reason)
		})
	}
}

// TestTheGateAdmitsAndPinsWhatIsSignedAndLogged signs in every way there is, and
// names the image in both ways that a Pod can.
func TestTheGateAdmitsAndPinsWhatIsSignedAndLogged(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	registries := map[string]*stack.Registry{"with referrers": S(t).Registry, "without referrers": S(t).RegistryFallback}
	for where, registry := range registries {
		for _, cosign := range []stack.Cosign{stack.CosignV2, stack.CosignV3} {
			for _, format := range []stack.Format{stack.Legacy, stack.Bundle} {
				t.Run(fmt.Sprintf("a %s signature by %s in a registry %s", format, cosign, where), func(t *testing.T) {
					t.Parallel()
					image := pushImage(t, registry)
					newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
					sign(t, image, stack.SignOptions{Cosign: cosign, Format: format})
					for named, reference := range map[string]struct{ written, runs string }{
						"tag":    {image.Ref(), image.Pinned()},
						"digest": {image.ByDigest(), image.ByDigest()},
						"both":   {image.Pinned(), image.Pinned()},
					} {
						pod := "by-" + named + "-" + newName(t)[:8] + image.Digest[7:15]
						admitted(t, runPod(t, namespace, pod, reference.written))
						if got := imageOf(t, namespace, pod); got != reference.runs {
							t.Errorf("named by %s, the Pod runs %q, want %q", named, got, reference.runs)
						}
					}
				})
			}
		}
	}
}

func TestALogThatAPolicyNamesIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	other := newRekor(t)
	log := newLog(t, other, other.URL)

	image := pushImage(t, S(t).Registry)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
	sign(t, image, stack.SignOptions{}) // in the default log
	refused(t, runPod(t, namespace, "default-log", image.Ref()), "LogUnknown", `log "`+log+`"`)
	sign(t, image, stack.SignOptions{Log: other})
	admitted(t, runPod(t, namespace, "named-log", image.Ref()))
}
