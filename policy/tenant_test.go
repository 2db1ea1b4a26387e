// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// landlord opens registries by namespace and pull secrets.
type landlord map[string]tenantOf

func (l landlord) Open(_ context.Context, origin Origin) TenantRegistry {
	if t, ok := l[strings.Join(append([]string{origin.Namespace}, origin.Pull.Secrets...), "/")]; ok {
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

func of(namespace string, secrets ...string) Origin {
	return Origin{Namespace: namespace, Pull: image.PullNames{Secrets: secrets}}
}

var errRefusesUs = &registry.Error{Reason: verify.RegistryUnauthorized, Detail: "who are you"}

// TestNobodyJoinsTheEvaluationOfSomebodyElse's image, not even while it is under way.
func TestNobodyJoinsTheEvaluationOfSomebodyElse(t *testing.T) {
	const written = "registry.corp.example/app:1"
	p := covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a")
	owner := &scripted{digest: digestOf("1"), fresh: signed("a"), hold: make(chan struct{})}
	stranger := &scripted{resolveErr: errRefusesUs}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: stranger, Tenants: landlord{
		"owner": {owner, "x"}, "stranger": {stranger, "y"}, "same-secret": {stranger, "x"}, "owner/other": {stranger, "y"},
	}})
	good := make(chan string, 2)
	for range 2 {
		go func() { good <- summary(e.Evaluate(context.WithoutCancel(t.Context()), of("owner"), written)) }()
	}
	pinned := make(chan string, 1)
	go func() {
		got, err := e.Pin(context.WithoutCancel(t.Context()), of("owner"), written)
		pinned <- fmt.Sprint(got, err)
	}()
	for begun := 0; begun < 2; time.Sleep(time.Millisecond) {
		owner.mu.Lock()
		begun = owner.resolved
		owner.mu.Unlock()
	}
	// same-secret has the same credentials under names of its own, which are in the
	// answer.
	for _, origin := range []Origin{of("stranger"), of("same-secret"), of("owner", "other"), of("nobody"), of("")} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if got := summary(e.Evaluate(ctx, origin, written)); got != "p=Unavailable/RegistryUnauthorized" {
			t.Errorf("%v: %s", origin, got)
		}
		if got, err := e.Pin(ctx, origin, written); !errors.Is(err, errRefusesUs) {
			t.Errorf("%v: pinned as %s, %v", origin, got, err)
		}
		cancel()
	}
	close(owner.hold)
	for range 2 {
		if got := <-good; got != "p=Verified" {
			t.Error(got)
		}
	}
	if got := <-pinned; got != fmt.Sprint(written+"@"+digestOf("1"), nil) {
		t.Error(got)
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
