// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// respec changes the spec of the log that is watched, as an operator does.
func (w *watched) respec(edit func(*v1alpha1.TransparencyLogSpec)) {
	w.t.Helper()
	obj := w.replica.log("corp")
	edit(&obj.Spec)
	obj.Generation++
	if err := w.client.Update(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
	w.load()
}

func TestMonitorSaysWhoHasCosigned(t *testing.T) {
	t.Parallel() // it waits more than it works
	w, x, y := watch(t, 3), tlogtest.NewWitness("x.example"), tlogtest.NewWitness("y.example")
	w.expect("at first", good, "Reachable")
	w.respec(func(s *v1alpha1.TransparencyLogSpec) {
		s.Witnesses = "witness X " + x.VerifierKey() + "\nwitness Y " + y.VerifierKey() + "\ngroup G all X Y\nquorum G\n"
	})
	said := func() string {
		condition := meta.FindStatusCondition(w.replica.log("corp").Status.Conditions, v1alpha1.ConditionWitnessed)
		return condition.Message
	}
	unmet := map[string]string{"Ready": "True", "Reachable": "True", "Consistent": "True", "Fresh": "True", "Witnessed": "WitnessQuorumNotMet"}
	w.expect("when two are asked for and none has cosigned", unmet)
	if got := said(); got != "cosigned by none; missing X and Y" {
		t.Errorf("message %q", got)
	}
	w.server.Cosign(func(note string) string { return x.Cosign(note, time.Now()) })
	w.expect("when one has", unmet)
	if got := said(); got != "cosigned by X; missing Y" {
		t.Errorf("message %q", got)
	}
	w.server.Cosign(func(note string) string { return x.Cosign(y.Cosign(note, time.Now()), time.Now()) })
	met := map[string]string{"Ready": "True", "Reachable": "True", "Consistent": "True", "Fresh": "True", "Witnessed": "True"}
	w.expect("when both have", met)
	if got := w.replica.log("corp").Status.Checkpoint.Witnessed; got == nil || got.Size != 3 || strings.Count(got.Note, "— ") != 3 {
		t.Errorf("status says that witnesses have seen %+v", got)
	}
	if got := w.series()["countersign_log_witnessed_tree_size"]; got != 3 {
		t.Errorf("countersign_log_witnessed_tree_size is %v; want 3", got)
	}
	before := w.replica.log("corp").ResourceVersion
	w.expect("when nothing has changed", met)
	if got := w.replica.log("corp").ResourceVersion; got != before {
		t.Error("a status that has not changed was written")
	}
	w.server.Cosign(nil)
	w.log.Grow(2)
	w.expect("when both are gone", unmet)
	if got := w.replica.log("corp").Status.Checkpoint; got.Size != 5 || got.Witnessed == nil || got.Witnessed.Size != 3 {
		t.Errorf("status holds %+v; want size 5, and 3 that were cosigned", got)
	}
	if got := w.series()["countersign_log_witnessed_tree_size"]; got != 3 {
		t.Errorf("countersign_log_witnessed_tree_size is %v; want 3 still", got)
	}
	asked := w.replica.log("corp").Spec.Witnesses
	w.respec(func(s *v1alpha1.TransparencyLogSpec) { s.Witnesses = "quorum none" })
	w.expect("when nobody is asked for, in so many words", good)
	w.respec(func(s *v1alpha1.TransparencyLogSpec) { s.Witnesses = asked })
	w.expect("when they are asked for again", unmet)
	w.respec(func(s *v1alpha1.TransparencyLogSpec) { s.Witnesses = "" })
	w.expect("when nobody is asked for any more", good)
	if _, measured := w.series()["countersign_log_witnessed_tree_size"]; measured {
		t.Error("countersign_log_witnessed_tree_size is measured, and nobody is asked for")
	}
}

func TestMonitorOfALogWhoseKeyIsNotValidYet(t *testing.T) {
	w := watch(t, 3)
	w.respec(func(s *v1alpha1.TransparencyLogSpec) {
		s.Validity = &v1alpha1.Validity{NotBefore: &metav1.Time{Time: time.Now().Add(time.Hour)}}
	})
	w.expect("before its time", map[string]string{"Ready": "KeyNotValid", "Reachable": "True", "Fresh": "Unavailable"}, "Reachable")
	w.respec(func(s *v1alpha1.TransparencyLogSpec) {
		s.Validity = &v1alpha1.Validity{NotBefore: &metav1.Time{Time: time.Now().Add(-time.Hour)}}
	})
	w.expect("in its time", good)
}
