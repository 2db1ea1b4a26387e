// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/policy"
)

// TestThePolicyOfANamespaceIsLoadedAlone: when it is written, changed and deleted, with its
// status.
func TestThePolicyOfANamespaceIsLoadedAlone(t *testing.T) {
	log := tlogtest.New("rekor.test")
	r := newReplica(t, logObject(t, "corp", log, "https://rekor.test"))
	r.load()
	obj := &v1alpha1.ImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "own", UID: "1", Generation: 1},
		Spec: v1alpha1.ImagePolicySpec{Images: []v1alpha1.ImagePattern{{Glob: "**"}}, Authorities: []v1alpha1.Authority{{
			Name: "k", Key: &v1alpha1.KeyAuthority{Data: pemOf(t, log.PublicKey())}, CTLog: &v1alpha1.CTLog{LogRefs: []string{"corp"}},
		}}},
	}
	r.create(obj)
	own := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
	ref, err := image.Parse("corp.example/app:1")
	if err != nil {
		t.Fatal(err)
	}
	covering := func(namespace string) int {
		return len(r.config.Policies.Covering(ref, policy.Origin{Namespace: namespace}))
	}
	conditions := func() map[string]string {
		t.Helper()
		if _, err := r.status.Reconcile(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		var now v1alpha1.ImagePolicy
		if err := r.client.Get(t.Context(), own.NamespacedName, &now); err != nil {
			t.Fatal(err)
		}
		return told(now.Status.Conditions)
	}
	if got := conditions(); len(got) != 0 || covering("shop") != 0 {
		t.Errorf("before it was loaded: %v, %d policies", got, covering("shop"))
	}
	reconcileOwn := func() {
		t.Helper()
		if _, err := r.loader.Reconcile(t.Context(), own); err != nil {
			t.Fatal(err)
		}
	}
	reconcileOwn()
	want := map[string]string{"Ready": "True", "TrustRootsReady": "True", "KeysResolved": "True", "LogsReady": "True"}
	if diff := cmp.Diff(want, conditions()); diff != "" || covering("shop") != 1 || covering("dev") != 0 {
		t.Errorf("loaded: %d policies in shop, %d in dev; conditions (-want +got):\n%s", covering("shop"), covering("dev"), diff)
	}
	r.load()
	if covering("shop") != 1 {
		t.Errorf("after everything was loaded again: %d policies", covering("shop"))
	}
	if err := r.client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	reconcileOwn()
	if covering("shop") != 0 {
		t.Errorf("after it was deleted: %d policies", covering("shop"))
	}
	if _, err := r.status.Reconcile(t.Context(), own); err != nil {
		t.Error(err)
	}
}
