// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// landlord opens registries by namespace.
type landlord map[string]tenantOf

func (l landlord) Open(_ context.Context, origin Origin) TenantRegistry {
	if t, ok := l[origin.Namespace]; ok {
		return t
	}
	return nil
}

// tenantOf is a registry as it is open to those with the credentials of a scope.
type tenantOf struct {
	*scripted
	scope string
}

func (t tenantOf) Scope(image.Reference, []registry.Source) string { return t.scope }

func of(namespace string) Origin { return Origin{Namespace: namespace} }

var refusesUs = &registry.Error{Reason: verify.RegistryUnauthorized, Detail: "who are you"}

// TestNobodyJoinsTheEvaluationOfSomebodyElse's image, not even while it is under way.
func TestNobodyJoinsTheEvaluationOfSomebodyElse(t *testing.T) {
	const written = "registry.corp.example/app:1"
	p := covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a")
	owner := &scripted{digest: digestOf("1"), fresh: signed("a"), hold: make(chan struct{})}
	stranger := &scripted{resolveErr: refusesUs}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: stranger, Tenants: landlord{
		"owner": {owner, "x"}, "stranger": {stranger, "y"}, "same-secret": {stranger, "x"},
	}})
	good := make(chan string, 2)
	for range 2 {
		go func() { good <- summary(e.Evaluate(context.WithoutCancel(t.Context()), of("owner"), written)) }()
	}
	for begun := 0; begun == 0; time.Sleep(time.Millisecond) {
		owner.mu.Lock()
		begun = owner.resolved
		owner.mu.Unlock()
	}
	// same-secret has the same credentials under names of its own, which are in the
	// answer.
	for _, namespace := range []string{"stranger", "same-secret", "nobody", ""} {
		if got := summary(e.Evaluate(t.Context(), of(namespace), written)); got != "p=Unavailable/RegistryUnauthorized" {
			t.Errorf("%q: %s", namespace, got)
		}
		if got, err := e.Pin(t.Context(), of(namespace), written); err == nil {
			t.Errorf("%q: pinned as %s", namespace, got)
		}
	}
	close(owner.hold)
	for range 2 {
		if got := <-good; got != "p=Verified" {
			t.Error(got)
		}
	}
	if got, err := e.Pin(t.Context(), of("owner"), written); err != nil || got != written+"@"+digestOf("1") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestWhatIsRememberedForAnOutageIsRememberedForWhoSawIt.
func TestWhatIsRememberedForAnOutageIsRememberedForWhoSawIt(t *testing.T) {
	written := outageImage + strings.Repeat("1", 64)
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	o.registry.cached, o.registry.isCached = nil, false
	o.evaluator.tenants = landlord{"a": {o.registry, "x"}, "b": {o.registry, "y"}, "same": {o.registry, "x"}}
	if got := summary(o.evaluator.Evaluate(t.Context(), of("a"), written)); got != "payments=Verified" {
		t.Fatal(got)
	}
	o.forget(failing(verify.RegistryUnavailable))
	for namespace, want := range map[string]string{
		"a": "payments=Verified", "same": "payments=Verified",
		"b": "payments=Unavailable/RegistryUnavailable", "nobody": "payments=Unavailable/RegistryUnavailable",
	} {
		if got := summary(o.evaluator.Evaluate(t.Context(), of(namespace), written)); got != want {
			t.Errorf("%s: %s, want %s", namespace, got, want)
		}
	}
}

// asks takes down for which images registries are opened.
type asks struct{ namespaces []string }

func (a *asks) Open(_ context.Context, origin Origin) TenantRegistry {
	a.namespaces = append(a.namespaces, origin.Namespace)
	return nil
}

func TestCredentialsAreReadOnlyForImagesThatAPolicyCovers(t *testing.T) {
	read := &asks{}
	e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a")), Registry: &scripted{digest: digestOf("1")}, Tenants: read})
	e.Evaluate(t.Context(), of("x"), "ghcr.io/org/app:1")
	if _, err := e.Pin(t.Context(), of("x"), "ghcr.io/org/app:1"); err != nil {
		t.Error(err)
	}
	if len(read.namespaces) > 0 {
		t.Errorf("read for %q", read.namespaces)
	}
	e.Evaluate(t.Context(), of("x"), "registry.corp.example/app:1")
	if len(read.namespaces) != 1 {
		t.Errorf("read for %q", read.namespaces)
	}
}
