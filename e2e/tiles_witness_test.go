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

// TestWitnessesThatARekorV2Asks: the log has each checkpoint cosigned before it publishes
// it, by the same policy that this cluster asks for. What was cosigned before a witness
// went away goes on being admitted; what comes after that waits for it.
func TestWitnessesThatARekorV2Asks(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	x, y := newWitness(t), newWitness(t)
	rekor := newTiledLog(t, stack.RekorTilesOptions{WitnessPolicy: bothOf(x, y)})
	identity, err := tlog.NewLog(tlog.Config{Name: "rekor", Version: tlog.RekorV2, Origin: rekor.Hostname, Key: rekor.Signer.Public()})
	if err != nil {
		t.Fatal(err)
	}
	x.Know(identity)
	y.Know(identity)
	fill(t, rekor.RekorTiles, 1)
	log := newWitnessedLog(t, rekor, rekor.nginx.URL, bothOf(x, y))
	awaitCondition(t, log, "Witnessed", "True Succeeded")
	before := signedImage(t, inTiles(rekor.RekorTiles), log)
	admitted(t, runPod(t, namespace, "both-have-seen-it", before.Ref()))

	y.Down()
	after := signedImage(t, inTiles(rekor.RekorTiles), log)
	refused(t, runPod(t, namespace, "one-has-seen-it", after.Ref()), "WitnessQuorumNotMet", "cosigned by X; missing Y")
	awaitCondition(t, log, "Witnessed", "False WitnessQuorumNotMet")
	if got := conditionOf(t, log, "Ready"); got != "True Succeeded" {
		t.Errorf("the condition Ready is %q: what was cosigned before can still be proven", got)
	}
	admitted(t, runPod(t, namespace, "both-had-seen-it", before.Ref()))

	if err := y.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The log does not ask again about what it has published. Its next checkpoint holds it.
	fill(t, rekor.RekorTiles, 1)
	admitted(t, runPod(t, namespace, "both-have-seen-it-now", after.Ref()))
	awaitCondition(t, log, "Witnessed", "True Succeeded")
	note := mustKubectl(t, "", "get", "transparencylog", log, "-o", "jsonpath={.status.checkpoint.witnessed.note}")
	if strings.Count(note, "— ") != 3 {
		t.Errorf("the cosigned checkpoint in status is not signed by three:\n%s", note)
	}
}
