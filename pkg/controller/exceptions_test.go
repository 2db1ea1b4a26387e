// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

func TestAnExceptionSaysWhetherItCounts(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		created, expires time.Time
		want             string
	}{
		"one that counts":      {now, now.Add(time.Hour), "True"},
		"one that is over":     {now.Add(-2 * time.Hour), now.Add(-time.Hour), v1alpha1.ReasonExpired},
		"one that is too long": {now, now.Add(v1alpha1.DefaultMaxExceptionAge + time.Hour), v1alpha1.ReasonExceptionTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.ImagePolicyException{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", Generation: 1, CreationTimestamp: metav1.NewTime(tt.created)},
				Spec: v1alpha1.ImagePolicyExceptionSpec{
					Images: []v1alpha1.ImagePattern{{Glob: "corp.example/app"}}, Reason: "why", Expires: metav1.NewTime(tt.expires),
				},
			}
			r := newReplica(t, obj)
			status := &exceptionStatus{client: r.client, maxAge: v1alpha1.DefaultMaxExceptionAge}
			request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
			result, err := status.Reconcile(t.Context(), request)
			if err != nil || (result.RequeueAfter > 0) != (tt.want == "True") {
				t.Errorf("result = %v, %v", result, err)
			}
			var written v1alpha1.ImagePolicyException
			if err := r.client.Get(t.Context(), request.NamespacedName, &written); err != nil {
				t.Fatal(err)
			}
			if got := told(written.Status.Conditions)["Active"]; got != tt.want {
				t.Errorf("Active = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestUsesOfAnExceptionBecomeEvents: the first at once, further ones after a while.
func TestUsesOfAnExceptionBecomeEvents(t *testing.T) {
	obj := &v1alpha1.ImagePolicyException{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"}}
	r, recorder := newReplica(t, obj), events.NewFakeRecorder(10)
	uses := &ExceptionUses{client: r.client, recorder: recorder}
	used := policy.PolicyResult{
		Policy: policy.ClusterPolicy("payments"), Exception: &policy.ExceptionUse{Namespace: "shop", Name: "x"},
		Verdict: verify.Rejected{Reason: verify.NoSignature},
	}
	for range 3 {
		uses.Note("corp.example/app:1", used)
	}
	uses.Note("corp.example/other:1", policy.PolicyResult{Policy: used.Policy, Verdict: used.Verdict})
	uses.tell(t.Context())
	uses.Note("corp.example/app:1", used)
	uses.tell(t.Context())
	if n := len(recorder.Events); n != 1 {
		t.Fatalf("%d Events, want 1", n)
	}
	got := <-recorder.Events
	for _, want := range []string{"ExceptionUsed", "3 times", `ClusterImagePolicy "payments"`, "corp.example/app:1", "NoSignature"} {
		if !strings.Contains(got, want) {
			t.Errorf("the Event does not say %q: %s", want, got)
		}
	}
	if left := uses.uses.due(time.Now().Add(2 * tallyPause)); len(left) != 1 {
		t.Errorf("%d Events are due after a while, want 1", len(left))
	}
}

func TestExceptionsAreLoadedWhenTheyAreWrittenAndForgottenWhenTheyAreDeleted(t *testing.T) {
	r := newReplica(t)
	r.load()
	obj := &v1alpha1.ImagePolicyException{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.ImagePolicyExceptionSpec{
			Images: []v1alpha1.ImagePattern{{Glob: "**"}}, Reason: "why", Expires: metav1.NewTime(time.Now().Add(time.Hour)),
		},
	}
	p := policyObject(v1alpha1.KeyAuthority{Data: "none"})
	p.Spec.Exceptions = v1alpha1.ExceptionsAllow
	r.create(p)
	r.create(obj)
	evaluator := policy.NewEvaluator(policy.Options{Policies: r.config.Policies, Exceptions: r.config.Exceptions})
	admitted := func() bool {
		d := evaluator.Evaluate(t.Context(), policy.Origin{Namespace: "shop"}, strings.Replace(p.Spec.Images[0].Glob, "**", "app:1", 1))
		return policy.Denial([]policy.Decision{d}, policy.NoMatchDeny) == ""
	}
	reconcileOwn := func() {
		t.Helper()
		if _, err := r.loader.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}); err != nil {
			t.Fatal(err)
		}
	}
	r.load()
	if !admitted() {
		t.Error("not in force after everything was loaded")
	}
	reconcileOwn()
	if !admitted() {
		t.Error("not in force after it was loaded")
	}
	if err := r.client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	reconcileOwn()
	if admitted() {
		t.Error("in force after it was deleted")
	}
}
