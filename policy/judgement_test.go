// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestAnAuditPolicyDoesNotDenyWhileTheRegistryIsDown(t *testing.T) {
	s := &scripted{cached: signed("k"), isCached: true, freshErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}}
	e := NewEvaluator(Options{Registry: s, Policies: NewSet(
		covering(t, "draft", audit, []string{"**"}, "other"), covering(t, "prod", enforce, []string{"**"}, "k"))})
	if got, want := summary(e.Evaluate(t.Context(), Origin{}, "corp.example/app@"+digestOf("1"))), "draft=Unavailable/RegistryUnavailable prod=Verified"; got != want {
		t.Errorf("decision = %s, want %s", got, want)
	}
}

func TestWhatIsKnownAdmitsAlthoughAnotherEnforcingPolicyAskedInVain(t *testing.T) {
	s := &scripted{cached: signed("k"), isCached: true, freshErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}}
	e := NewEvaluator(Options{Registry: s, Policies: NewSet(
		covering(t, "a", enforce, []string{"**"}, "other"), covering(t, "b", enforce, []string{"**"}, "k"))})
	if got, want := summary(e.Evaluate(t.Context(), Origin{}, "corp.example/app@"+digestOf("1"))), "a=Unavailable/RegistryUnavailable b=Verified"; got != want {
		t.Errorf("decision = %s, want %s", got, want)
	}
	if s.signatures != 1 {
		t.Errorf("the registry was asked %d times, want once", s.signatures)
	}
}

// stalling waits for the end of its context, as the client of a log does whose
// server does not answer.
func stalling() authority {
	return authority{name: "slow", key: verifierFunc(func(ctx context.Context) verify.Verdict {
		<-ctx.Done()
		return verify.Unavailable{Cause: verify.LogUnavailable}
	})}
}

func TestPoliciesThatDoNotEnforceCannotTakeTheTimeOfThoseThatDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draft, last := covering(t, "a-draft", audit, []string{"**"}), covering(t, "z-draft", warn, []string{"**"}, "k")
		draft.authorities = []authority{stalling()}
		e := NewEvaluator(Options{Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}, Policies: NewSet(
			draft, covering(t, "prod", enforce, []string{"**"}, "k"), covering(t, "prod-gone", enforce, []string{"**@" + digestOf("9")}, "x"), last)})
		want := "a-draft=Unavailable/DeadlineExceeded prod=Verified z-draft=Unavailable/DeadlineExceeded"
		results := make(chan string)
		for _, limit := range []time.Duration{3 * time.Second, 5 * time.Second} { // callers of one evaluation, each with its own deadline
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				results <- summary(e.Evaluate(ctx, Origin{}, "corp.example/app:1"))
			}()
		}
		for range 2 {
			if got := <-results; got != want {
				t.Errorf("decision = %s, want %s", got, want)
			}
		}
	})
}

func TestAnEnforcingPolicyWhoseLogStallsIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := covering(t, "b-slow", enforce, []string{"**"})
		slow.authorities = []authority{stalling()}
		e := NewEvaluator(Options{Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}, Policies: NewSet(
			covering(t, "a", enforce, []string{"**"}, "k"), slow, covering(t, "c", enforce, []string{"**"}, "k"))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want := "a=Verified b-slow=Unavailable/DeadlineExceeded c=Unavailable/DeadlineExceeded"
		if got := summary(e.Evaluate(ctx, Origin{}, "corp.example/app:1")); got != want {
			t.Errorf("decision = %s, want %s", got, want)
		}
	})
}

func TestAnAuditPolicyThatResolvesInVainDoesNotHoldUpAStaticOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := covering(t, "z-base", enforce, []string{"**"})
		base.authorities = []authority{{name: "pass", fixed: verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}}}
		e := NewEvaluator(Options{Registry: &scripted{hold: make(chan struct{})}, Policies: NewSet(covering(t, "draft", audit, []string{"**"}, "k"), base)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, want := summary(e.Evaluate(ctx, Origin{}, "corp.example/app:1")), "draft=Unavailable/DeadlineExceeded z-base=Verified"; got != want {
			t.Errorf("decision = %s, want %s", got, want)
		}
	})
}

func TestAPanicUnderAnAuditPolicyRefusesOnlyThere(t *testing.T) {
	draft := covering(t, "draft", audit, []string{"**"})
	draft.authorities = []authority{{name: "a", key: verifierFunc(func(context.Context) verify.Verdict { panic("hostile bytes") })}}
	e := NewEvaluator(Options{Registry: &scripted{digest: digestOf("1"), fresh: signed("k")}, Policies: NewSet(draft, covering(t, "prod", enforce, []string{"**"}, "k"))})
	if got, want := summary(e.Evaluate(t.Context(), Origin{}, "corp.example/app:1")), "draft=Rejected/PolicyNotReady prod=Verified"; got != want {
		t.Errorf("decision = %s, want %s", got, want)
	}
}

// EvaluateAll and Pin parse in goroutines whose panics would end the process.
func TestAPanicWhileAReferenceIsParsedIsARefusal(t *testing.T) {
	e := NewEvaluator(Options{Registry: &scripted{}, Policies: NewSet(covering(t, "p", enforce, []string{"corp.example/**"}, "k"))})
	e.parse = func(string) (image.Reference, error) { panic("hostile bytes") }
	d := e.EvaluateAll(t.Context(), Origin{}, []string{"corp.example/app:1"})["corp.example/app:1"]
	if got, want := summary(d), "p=Rejected/PolicyNotReady"; got != want || d.Image != "corp.example/app:1" {
		t.Errorf("decision about %q = %s, want %s", d.Image, got, want)
	}
	if reference, err := e.Pin(t.Context(), Origin{}, "corp.example/app:1"); err == nil || reference != "" {
		t.Errorf("Pin = %q, %v, want an error", reference, err)
	}
	if n := counterValue(t, e.metrics.panics); n != 2 {
		t.Errorf("panics counted = %v, want 2", n)
	}
}
