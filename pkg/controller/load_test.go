// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
)

func TestReadinessWaitsForEverythingToBeLoaded(t *testing.T) {
	r := newReplica(t)
	if err := r.loader.ready.Check(nil); err == nil {
		t.Error("ready before anything was loaded")
	}
	r.load()
	if err := r.loader.ready.Check(nil); err != nil {
		t.Errorf("not ready after an empty cluster was loaded: %v", err)
	}
}

func TestAPolicyRecoversWhenItsReferencesAppear(t *testing.T) {
	log := tlogtest.New("rekor.test")
	key := v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "signing"}}
	r := newReplica(t, policyObject(key, "corp"))
	r.load()
	want := map[string]string{"Ready": "SecretNotFound", "TrustRootsReady": "True", "KeysResolved": "SecretNotFound", "LogsReady": "True"}
	if diff := cmp.Diff(want, r.policyConditions("payments")); diff != "" {
		t.Errorf("without its Secret (-want +got):\n%s", diff)
	}
	if r.config.Policies.Len() != 1 {
		t.Error("a policy that is not ready must be in force, so that it refuses")
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "signing", Namespace: namespace},
		Data:       map[string][]byte{"cosign.pub": []byte(pemOf(t, log.PublicKey()))},
	}
	r.create(secret)
	r.load()
	want = map[string]string{"Ready": "LogNotFound", "TrustRootsReady": "True", "KeysResolved": "True", "LogsReady": "LogNotFound"}
	if diff := cmp.Diff(want, r.policyConditions("payments")); diff != "" {
		t.Errorf("without its log (-want +got):\n%s", diff)
	}

	r.create(logObject(t, "corp", log, "https://rekor.test"))
	r.load()
	want = map[string]string{"Ready": "True", "TrustRootsReady": "True", "KeysResolved": "True", "LogsReady": "True"}
	if diff := cmp.Diff(want, r.policyConditions("payments")); diff != "" {
		t.Errorf("with all it names (-want +got):\n%s", diff)
	}
}

func TestASecretOfAnotherNamespaceIsNotRead(t *testing.T) {
	log := tlogtest.New("rekor.test")
	key := v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "signing"}}
	r := newReplica(t, policyObject(key, "corp"), logObject(t, "corp", log, "https://rekor.test"), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "signing", Namespace: "tenant"},
		Data:       map[string][]byte{"cosign.pub": []byte(pemOf(t, log.PublicKey()))},
	})
	r.load()
	if got := r.policyConditions("payments")["KeysResolved"]; got != "SecretNotFound" {
		t.Errorf("KeysResolved = %q; want SecretNotFound", got)
	}
}

func TestAPolicyIsNotReadyBeforeItIsInForce(t *testing.T) {
	log := tlogtest.New("rekor.test")
	p := policyObject(v1alpha1.KeyAuthority{Data: pemOf(t, log.PublicKey())}, "corp")
	r := newReplica(t, p, logObject(t, "corp", log, "https://rekor.test"))
	if got := r.policyConditions("payments"); len(got) != 0 {
		t.Errorf("conditions before the first load: %v", got)
	}
	r.load()
	if got := r.policyConditions("payments")["Ready"]; got != "True" {
		t.Errorf("Ready = %q after the load", got)
	}
	var changed v1alpha1.ClusterImagePolicy
	if err := r.client.Get(t.Context(), types.NamespacedName{Name: "payments"}, &changed); err != nil {
		t.Fatal(err)
	}
	changed.Spec.Images[0].Glob, changed.Generation = "registry.example/other/**", 2
	if err := r.client.Update(t.Context(), &changed); err != nil {
		t.Fatal(err)
	}
	r.policyConditions("payments")
	if err := r.client.Get(t.Context(), types.NamespacedName{Name: "payments"}, &changed); err != nil {
		t.Fatal(err)
	}
	if got := changed.Status.Conditions[0].ObservedGeneration; got != 1 {
		t.Errorf("observedGeneration %d before generation 2 is in force", got)
	}
}

func TestDeletedObjectsAreForgotten(t *testing.T) {
	log := tlogtest.New("rekor.test")
	p := policyObject(v1alpha1.KeyAuthority{Data: pemOf(t, log.PublicKey())}, "corp")
	object := logObject(t, "corp", log, "https://rekor.test")
	r := newReplica(t, p, object)
	r.load()
	if _, err := r.config.Logs.Prover("corp"); err != nil {
		t.Fatal(err)
	}
	for _, obj := range []client.Object{p, object} {
		if err := r.client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	r.load()
	if _, err := r.config.Logs.Prover("corp"); !errors.Is(err, trust.ErrLogNotFound) {
		t.Errorf("Prover of a deleted log = %v; want ErrLogNotFound", err)
	}
	if n := r.config.Policies.Len(); n != 0 {
		t.Errorf("%d policies in force after the only one was deleted", n)
	}
}

func TestAnInconsistentLogShowsInThePoliciesThatNeedIt(t *testing.T) {
	log := tlogtest.New("rekor.test")
	object := logObject(t, "corp", log, "https://rekor.test")
	object.Status.Inconsistency = &v1alpha1.LogInconsistency{Notes: []string{"a", "b"}}
	r := newReplica(t, policyObject(v1alpha1.KeyAuthority{Data: pemOf(t, log.PublicKey())}, "corp"), object)
	r.load()
	want := map[string]string{"Ready": "LogInconsistent", "TrustRootsReady": "True", "KeysResolved": "True", "LogsReady": "LogInconsistent"}
	if diff := cmp.Diff(want, r.policyConditions("payments")); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestStatusIsWrittenOnlyWhenItChanges(t *testing.T) {
	log := tlogtest.New("rekor.test")
	r := newReplica(t, policyObject(v1alpha1.KeyAuthority{Data: pemOf(t, log.PublicKey())}, "corp"), logObject(t, "corp", log, "https://rekor.test"))
	r.load()
	version := func() string {
		r.policyConditions("payments")
		var obj v1alpha1.ClusterImagePolicy
		if err := r.client.Get(t.Context(), types.NamespacedName{Name: "payments"}, &obj); err != nil {
			t.Fatal(err)
		}
		return obj.ResourceVersion
	}
	if first, second := version(), version(); first != second {
		t.Errorf("an unchanged status was written again: resourceVersion %s, then %s", first, second)
	}
}

func TestWhichUpdatesCauseALoad(t *testing.T) {
	object := func(edit func(*v1alpha1.TransparencyLog)) *v1alpha1.TransparencyLog {
		log := &v1alpha1.TransparencyLog{ObjectMeta: metav1.ObjectMeta{Name: "corp", UID: "1", Generation: 1, ResourceVersion: "1"}}
		edit(log)
		return log
	}
	before := object(func(*v1alpha1.TransparencyLog) {})
	tests := map[string]struct {
		after             *v1alpha1.TransparencyLog
		spec, accusations bool
	}{
		"a checkpoint that advances is nothing new": {
			after: object(func(l *v1alpha1.TransparencyLog) {
				l.ResourceVersion, l.Status.Checkpoint = "2", &v1alpha1.LogCheckpoint{Size: 2}
			}),
		},
		"a spec that changes": {
			after: object(func(l *v1alpha1.TransparencyLog) { l.Generation = 2 }), spec: true,
		},
		"another object under the same name": {
			after: object(func(l *v1alpha1.TransparencyLog) { l.UID = "2" }), spec: true,
		},
		"evidence of an inconsistency": {
			after:       object(func(l *v1alpha1.TransparencyLog) { l.Status.Inconsistency = &v1alpha1.LogInconsistency{} }),
			accusations: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			update := event.UpdateEvent{ObjectOld: before, ObjectNew: tc.after}
			if got := specChanged().Update(update); got != tc.spec {
				t.Errorf("specChanged = %t; want %t", got, tc.spec)
			}
			if got := accusationChanged().Update(update); got != tc.accusations {
				t.Errorf("accusationChanged = %t; want %t", got, tc.accusations)
			}
		})
	}
}

func TestSignalNeverBlocksAndIsNotLost(t *testing.T) {
	s := make(signal, 1)
	for range 3 {
		s.send()
	}
	select {
	case <-s:
	default:
		t.Error("what was signalled before anybody listened is lost")
	}
}
