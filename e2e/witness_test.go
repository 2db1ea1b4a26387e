// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// newWitness starts a witness that ends with the stack.
func newWitness(t *testing.T) *stack.Witness {
	t.Helper()
	w, err := S(t).StartWitness(t.Context(), newName(t)+".example")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// bothOf is the policy that asks for two witnesses, X and Y.
func bothOf(x, y *stack.Witness) string {
	return "witness X " + x.VerifierKey + " " + x.URL + "\nwitness Y " + y.VerifierKey + " " + y.URL + "\ngroup both all X Y\nquorum both\n"
}

// newWitnessedLog configures a log of which witnesses are asked for, read at url. It
// returns the TransparencyLog's name once it is Ready.
func newWitnessedLog(t *testing.T, log stack.Log, url, policy string) string {
	t.Helper()
	name := newName(t)
	applied(t, "transparencylog/"+name, stack.TransparencyLogAt(url, log, name, false)+"  witnesses: |\n"+stack.Indent(4, policy))
	return name
}

// TestWitnessesOfARekorThatKnowsNothingOfThem: a proxy in front of a real Rekor v1 has its
// checkpoints cosigned. What was cosigned before a witness went away goes on being
// admitted; what comes after that waits for it.
func TestWitnessesOfARekorThatKnowsNothingOfThem(t *testing.T) {
	t.Parallel()
	namespace, rekor := newNamespace(t), newRekor(t)
	x, y := newWitness(t), newWitness(t)
	identity, err := tlog.NewLog(tlog.Config{Name: "rekor", Version: tlog.RekorV1, Origin: rekor.Hostname, Key: rekor.Signer.Public()})
	if err != nil {
		t.Fatal(err)
	}
	x.Know(identity)
	y.Know(identity)
	proxy := newLogProxy(t, rekor)
	proxy.SetHook(stack.NewFeeder(rekor, x, y).Hook)
	before, after := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	sign(t, before, stack.SignOptions{Log: rekor})
	log := newWitnessedLog(t, rekor, proxy.URL, bothOf(x, y))
	for _, image := range []stack.Image{before, after} {
		newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
	}
	awaitCondition(t, log, "Witnessed", "True Succeeded")
	admitted(t, runPod(t, namespace, "both-have-seen-it", before.Ref()))

	y.Down()
	sign(t, after, stack.SignOptions{Log: rekor})
	refused(t, runPod(t, namespace, "one-has-seen-it", after.Ref()), "WitnessQuorumNotMet", "cosigned by X; missing Y")
	awaitCondition(t, log, "Witnessed", "False WitnessQuorumNotMet")
	if got := conditionOf(t, log, "Ready"); got != "True Succeeded" {
		t.Errorf("the condition Ready is %q: what was cosigned before can still be proven", got)
	}
	admitted(t, runPod(t, namespace, "both-had-seen-it", before.Ref()))

	if err := y.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	admitted(t, runPod(t, namespace, "both-have-seen-it-now", after.Ref()))
	awaitCondition(t, log, "Witnessed", "True Succeeded")
	note := mustKubectl(t, "", "get", "transparencylog", log, "-o", "jsonpath={.status.checkpoint.witnessed.note}")
	if strings.Count(note, "— ") != 3 {
		t.Errorf("the cosigned checkpoint in status is not signed by three:\n%s", note)
	}
}
