// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestPoliciesAreToldApartByKindNamespaceAndName(t *testing.T) {
	foreign := ClusterPolicy(v1alpha1.SigstoreName("payments"))
	ids := []ID{ClusterPolicy("payments"), foreign, OwnPolicy("shop", "payments"), OwnPolicy("payments", "shop"), OwnPolicy("policy", "payments")}
	var s Set
	short, long := map[string]bool{}, map[string]bool{}
	for _, id := range ids {
		s.Set(&Policy{id: id})
		short[id.Short()], long[id.String()] = true, true
	}
	if s.Len() != len(ids) || len(short) != len(ids) || len(long) != len(ids) {
		t.Errorf("%d policies with %d short names and %d long ones, want %d of each", s.Len(), len(short), len(long), len(ids))
	}
	for id, want := range map[ID][2]string{
		ids[0]: {`ClusterImagePolicy "payments"`, "payments"},
		ids[1]: {`policy.sigstore.dev ClusterImagePolicy "payments"`, "policy.sigstore.dev/payments"},
		ids[2]: {`ImagePolicy "shop/payments"`, "shop/payments"},
	} {
		if diff := cmp.Diff(want, [2]string{id.String(), id.Short()}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	s.Delete(foreign)
	s.Delete(OwnPolicy("elsewhere", "payments"))
	if s.Len() != len(ids)-1 {
		t.Errorf("%d policies are left, want all but the one that was deleted", s.Len())
	}
}

func TestThePolicyOfANamespaceIsThatOfNoOther(t *testing.T) {
	own := covering(t, "own", enforce, []string{"**"}, "k")
	own.id = OwnPolicy("shop", "own")
	e := NewEvaluator(Options{Policies: NewSet(own, covering(t, "cluster", enforce, []string{"**"}, "k")), Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}})
	for namespace, want := range map[string]string{
		"shop":      "cluster=Verified shop/own=Verified",
		"shop-evil": "cluster=Verified",
		"Shop":      "cluster=Verified",
		"":          "cluster=Verified",
	} {
		if got := summary(e.Evaluate(t.Context(), Origin{Namespace: namespace}, "corp.example/app:1")); got != want {
			t.Errorf("in %q: %s, want %s", namespace, got, want)
		}
		// What cannot be read could be covered by any policy that has a say there.
		want := map[bool]int{true: 2, false: 1}[namespace == "shop"]
		if got := e.Evaluate(t.Context(), Origin{Namespace: namespace}, "corp.example/APP:1").Policies; len(got) != want {
			t.Errorf("in %q, an image that cannot be read is refused by %d policies, want %d", namespace, len(got), want)
		}
	}
}

// TestOriginsShareAnEvaluationOnlyUnderTheSamePolicies: the Pods of a Deployment, and those
// of other namespaces where nothing else covers the image, are one question; where a
// namespace has a policy of its own, it is another.
func TestOriginsShareAnEvaluationOnlyUnderTheSamePolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		strict := covering(t, "strict", enforce, []string{"**"}, "nobody")
		strict.id = OwnPolicy("strict", "strict")
		source := &scripted{digest: digestOf("1"), fresh: signed("k"), hold: make(chan struct{})}
		e := NewEvaluator(Options{Policies: NewSet(covering(t, "cluster", enforce, []string{"**"}, "k"), strict), Registry: source})
		var mu sync.Mutex
		got := map[string]int{}
		ask := func(origin Origin) {
			decision := summary(e.Evaluate(t.Context(), origin, "corp.example/app:1"))
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprintf("%s: %s", origin.Namespace, decision)]++
		}
		for _, resource := range []string{"deployments", "pods", "pods", "pods"} {
			for _, namespace := range []string{"shop", "dev", "strict"} {
				go ask(Origin{Namespace: namespace, Resource: schema.GroupVersionResource{Version: "v1", Resource: resource}})
			}
		}
		synctest.Wait()
		close(source.hold)
		synctest.Wait()
		want := map[string]int{
			"shop: cluster=Verified": 4, "dev: cluster=Verified": 4,
			"strict: cluster=Verified strict/strict=Rejected/NoSignature": 4,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
		if source.resolved != 2 {
			t.Errorf("the registry was asked %d times for 12 questions, want 2", source.resolved)
		}
	})
}
