// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const enforce, warn, audit = v1alpha1.ModeEnforce, v1alpha1.ModeWarn, v1alpha1.ModeAudit

func TestEvaluateReachesTheVerdictOfTheCoveringPolicies(t *testing.T) {
	corp := []string{"registry.corp.example/**"}
	pass := authority{name: "pass", fixed: verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}}
	deny := authority{name: "deny", fixed: verify.Rejected{Reason: verify.StaticDenied, Detail: "no"}}
	static := func(name string, globs []string, a ...authority) func(*testing.T) *Policy {
		return func(t *testing.T) *Policy {
			t.Helper()
			p := covering(t, name, enforce, globs)
			p.authorities = a
			return p
		}
	}
	keys := func(name string, mode v1alpha1.Mode, globs []string, threshold int, keys ...string) func(*testing.T) *Policy {
		return func(t *testing.T) *Policy {
			t.Helper()
			p := covering(t, name, mode, globs, keys...)
			p.threshold = threshold
			return p
		}
	}
	for name, tt := range map[string]struct {
		image    string
		policies []func(*testing.T) *Policy
		registry *scripted
		want     string
		// asked is how often the registry was asked to resolve, for signatures.
		asked [2]int
	}{
		"an image that no policy covers is not looked at": {
			image: "ghcr.io/org/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			want: "", asked: [2]int{0, 0},
		},
		"a signed image is resolved once and verified": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{fresh: signed("a")},
			want:     "p=Verified", asked: [2]int{1, 1},
		},
		"an image by digest is not resolved": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{fresh: signed("a")},
			want:     "p=Verified", asked: [2]int{0, 1},
		},
		"known evidence admits without a request": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{cached: signed("a"), isCached: true},
			want:     "p=Verified", asked: [2]int{0, 0},
		},
		"known evidence does not deny: the registry is asked first": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{cached: signed(), isCached: true, fresh: signed("a")},
			want:     "p=Verified", asked: [2]int{0, 1},
		},
		"known evidence that is not enough is no rejection when the registry is down": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{cached: signed("b"), isCached: true, freshErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}},
			want:     "p=Unavailable/RegistryUnavailable", asked: [2]int{0, 1},
		},
		"what was found before a part of the registry failed may admit": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{fresh: signed("b", "a"), freshErr: &registry.Error{Reason: verify.RegistryThrottled, Detail: "429"}},
			want:     "p=Verified", asked: [2]int{0, 1},
		},
		"what was found before a part of the registry failed may not deny": {
			image: "registry.corp.example/app@" + digestOf("1"), policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{fresh: signed("b"), freshErr: &registry.Error{Reason: verify.RegistryThrottled, Detail: "429"}},
			want:     "p=Unavailable/RegistryThrottled", asked: [2]int{0, 1},
		},
		"signatures are fetched once for all policies": {
			image: "registry.corp.example/app:1",
			policies: []func(*testing.T) *Policy{
				keys("p", enforce, corp, 1, "a"), keys("q", enforce, corp, 1, "b"), keys("r", audit, corp, 1, "c"),
			},
			registry: &scripted{fresh: signed("a", "b")},
			want:     "p=Verified q=Verified r=Rejected/NoSignature", asked: [2]int{1, 1},
		},
		"policies are all required": {
			image:    "registry.corp.example/app:1",
			policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a"), keys("q", enforce, corp, 1, "b")},
			registry: &scripted{fresh: signed("a")},
			want:     "p=Verified q=Rejected/NoSignature", asked: [2]int{1, 1},
		},
		"authorities are alternatives": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a", "b", "c")},
			registry: &scripted{fresh: signed("c")},
			want:     "p=Verified", asked: [2]int{1, 1},
		},
		"a threshold of two is not met by one authority": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 2, "a", "b", "c")},
			registry: &scripted{fresh: signed("b", "b", "b")},
			want:     "p=Rejected/NoSignature", asked: [2]int{1, 1},
		},
		"a threshold of two is met by two authorities": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 2, "a", "b", "c")},
			registry: &scripted{fresh: signed("a", "c")},
			want:     "p=Verified", asked: [2]int{1, 1},
		},
		"a static pass needs no registry": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", corp, pass)},
			want: "p=Verified", asked: [2]int{0, 0},
		},
		"a static fail needs no registry": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", corp, deny)},
			want: "p=Rejected/StaticDenied", asked: [2]int{0, 0},
		},
		"a static fail on one digest lets another digest by": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", []string{"registry.corp.example/app@" + digestOf("9")}, deny)},
			want: "", asked: [2]int{1, 0},
		},
		"a static fail on one digest catches a tag that points to it": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", []string{"registry.corp.example/app@" + digestOf("1")}, deny)},
			want: "p=Rejected/StaticDenied", asked: [2]int{1, 0},
		},
		"a policy for one digest is unavailable, not denied, when the tag cannot be resolved": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", []string{"registry.corp.example/app@" + digestOf("9")}, deny)},
			registry: &scripted{resolveErr: &registry.Error{Reason: verify.RegistryThrottled, Detail: "429"}},
			want:     "p=Unavailable/RegistryThrottled", asked: [2]int{1, 0},
		},
		"a tag that does not exist is a rejection": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{resolveErr: &registry.Error{Reason: verify.ImageNotFound, Detail: "404"}},
			want:     "p=Rejected/ImageNotFound", asked: [2]int{1, 0},
		},
		"a tag that cannot be resolved does not stop a static pass": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{static("p", corp, pass), keys("q", enforce, corp, 1, "a")},
			registry: &scripted{resolveErr: &registry.Error{Reason: verify.RegistryUnavailable, Detail: "down"}},
			want:     "p=Verified q=Unavailable/RegistryUnavailable", asked: [2]int{1, 0},
		},
		"an error of no known kind is unavailability": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{freshErr: errors.New("who knows")},
			want:     "p=Unavailable/RegistryUnavailable", asked: [2]int{1, 1},
		},
		"a registry that resolves to something else than a digest is refused": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a")},
			registry: &scripted{digest: "sha256:../../etc", fresh: signed("a")},
			want:     "p=Rejected/ImageNotFound", asked: [2]int{1, 0},
		},
		"a reference that cannot be parsed is refused by every policy": {
			image: "registry.corp.example/APP:1", policies: []func(*testing.T) *Policy{keys("p", enforce, corp, 1, "a"), keys("q", warn, []string{"ghcr.io/**"}, 1, "a")},
			want: "p=Rejected/ImageNotFound q=Rejected/ImageNotFound", asked: [2]int{0, 0},
		},
		"an implied tag counts for a policy that names latest": {
			image: "registry.corp.example/app", policies: []func(*testing.T) *Policy{keys("p", enforce, []string{"registry.corp.example/app:latest"}, 1, "a")},
			want: "p=Rejected/NoSignature", asked: [2]int{1, 1},
		},
		"a verdict that is nil accepts nothing": {
			image: "registry.corp.example/app:1", policies: []func(*testing.T) *Policy{func(t *testing.T) *Policy {
				t.Helper()
				p := covering(t, "p", enforce, corp)
				p.authorities = []authority{{name: "a", key: verifierFunc(func(context.Context) verify.Verdict { return nil })}}
				return p
			}},
			want: "p=Rejected/PolicyNotReady", asked: [2]int{1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := NewSet()
			for _, p := range tt.policies {
				set.Set(p(t))
			}
			source := tt.registry
			if source == nil {
				source = &scripted{}
			}
			if source.digest == "" {
				source.digest = digestOf("1")
			}
			e := NewEvaluator(Options{Policies: set, Registry: source})
			if diff := cmp.Diff(tt.want, summary(e.Evaluate(t.Context(), Origin{}, tt.image))); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if got := [2]int{source.resolved, source.signatures}; got != tt.asked {
				t.Errorf("registry was asked %v times (resolve, signatures), want %v", got, tt.asked)
			}
		})
	}
}

func TestAPanicIsARefusalAndIsCounted(t *testing.T) {
	p := covering(t, "p", enforce, []string{"registry.corp.example/**"})
	p.authorities = []authority{{name: "a", key: verifierFunc(func(context.Context) verify.Verdict { panic("hostile bytes") })}}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{digest: digestOf("1")}})
	got := e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1")
	if want := "p=Rejected/PolicyNotReady"; summary(got) != want {
		t.Errorf("decision = %s, want %s", summary(got), want)
	}
	if text := Denial([]Decision{got}, NoMatchAllow); strings.Contains(text, "hostile bytes") {
		t.Errorf("the denial shows the panic: %s", text)
	}
	if n := counterValue(t, e.metrics.panics); n != 1 {
		t.Errorf("panics counted = %v, want 1", n)
	}
}

func TestADeadlineIsUnavailabilityUnderEveryPolicyAndItsMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		globs := []string{"registry.corp.example/**"}
		e := NewEvaluator(Options{
			Policies: NewSet(covering(t, "p", enforce, globs, "a"), covering(t, "q", warn, globs, "a")),
			Registry: &scripted{digest: digestOf("1"), hold: make(chan struct{})},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()
		got := e.Evaluate(ctx, Origin{}, "registry.corp.example/app:1")
		if want := "p=Unavailable/DeadlineExceeded q=Unavailable/DeadlineExceeded"; summary(got) != want {
			t.Errorf("decision = %s, want %s", summary(got), want)
		}
		if got.Policies[1].Mode != warn {
			t.Errorf("mode = %q, want warn", got.Policies[1].Mode)
		}
		if took := time.Since(start); took != 9*time.Second {
			t.Errorf("it took %s, want 9s", took)
		}
		synctest.Wait()
		if n := len(e.evaluations.inFlight); n != 0 {
			t.Errorf("%d evaluations are still in flight after the last caller has left", n)
		}
	})
}

func TestTenThousandRequestsForOneImageShareOneEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &scripted{digest: digestOf("1"), fresh: signed("a"), hold: make(chan struct{})}
		e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", enforce, []string{"**"}, "a")), Registry: source})
		results := make(chan string)
		for range 10_000 {
			go func() { results <- summary(e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1")) }()
		}
		synctest.Wait()
		close(source.hold)
		for range 10_000 {
			if got := <-results; got != "p=Verified" {
				t.Fatalf("decision = %s, want p=Verified", got)
			}
		}
		if source.resolved != 1 || source.signatures != 1 {
			t.Errorf("registry was asked %d and %d times, want once each", source.resolved, source.signatures)
		}
	})
}

func TestAPolicyChangeDoesNotReachAnEvaluationInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &scripted{digest: digestOf("1"), fresh: signed("a"), hold: make(chan struct{})}
		set := NewSet(covering(t, "p", enforce, []string{"**"}, "a"))
		e := NewEvaluator(Options{Policies: set, Registry: source})
		before, after := make(chan string, 1), make(chan string, 1)
		go func() { before <- summary(e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1")) }()
		synctest.Wait()
		set.Set(covering(t, "q", enforce, []string{"**"}, "b"))
		go func() { after <- summary(e.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1")) }()
		synctest.Wait()
		close(source.hold)
		if got := <-before; got != "p=Verified" {
			t.Errorf("the request from before the change: %s, want p=Verified", got)
		}
		if got, want := <-after, "p=Verified q=Rejected/NoSignature"; got != want {
			t.Errorf("the request from after the change: %s, want %s", got, want)
		}
	})
}

func TestEvaluateAllJudgesEachDistinctImageOnce(t *testing.T) {
	source := &scripted{digest: digestOf("1"), fresh: signed("a")}
	e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", enforce, []string{"**"}, "a")), Registry: source})
	var images []string
	for range 100 {
		images = append(images, "registry.corp.example/one:1", "registry.corp.example/two:1")
	}
	decisions := e.EvaluateAll(t.Context(), Origin{}, images)
	if len(decisions) != 2 || source.resolved != 2 {
		t.Errorf("%d decisions with %d resolutions, want 2 and 2", len(decisions), source.resolved)
	}
	for written, d := range decisions {
		if d.Image != written || summary(d) != "p=Verified" {
			t.Errorf("decision about %s: %s about %s", written, summary(d), d.Image)
		}
	}
}

func TestPinGivesWhatWillRun(t *testing.T) {
	globs := []string{"registry.corp.example/**"}
	for name, tt := range map[string]struct {
		image    string
		registry *scripted
		want     string
		wantErr  bool
	}{
		"a tag gets its digest":                {image: "registry.corp.example/app:1", want: "registry.corp.example/app:1@" + digestOf("1")},
		"an implied tag is written out":        {image: "registry.corp.example/app", want: "registry.corp.example/app:latest@" + digestOf("1")},
		"a digest stays":                       {image: "registry.corp.example/app@" + digestOf("2"), want: "registry.corp.example/app@" + digestOf("2")},
		"a tag beside a digest stays":          {image: "registry.corp.example/app:1@" + digestOf("2"), want: "registry.corp.example/app:1@" + digestOf("2")},
		"an image that no policy covers stays": {image: "ghcr.io/org/app:1", want: "ghcr.io/org/app:1"},
		"a tag that cannot be resolved is an error": {
			image: "registry.corp.example/app:1", registry: &scripted{resolveErr: errors.New("down")}, wantErr: true,
		},
		"an answer that is no digest is an error":       {image: "registry.corp.example/app:1", registry: &scripted{digest: "sha256:xyz"}, wantErr: true},
		"a reference that cannot be parsed is an error": {image: "registry.corp.example/APP:1", wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.registry == nil {
				tt.registry = &scripted{digest: digestOf("1")}
			}
			e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", enforce, globs, "a")), Registry: tt.registry})
			got, err := e.Pin(t.Context(), Origin{}, tt.image)
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("Pin = %q, %v, want %q, error %v", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestPinRecovers(t *testing.T) {
	e := NewEvaluator(Options{Policies: NewSet(covering(t, "p", enforce, []string{"**"}, "a")), Registry: &panicking{}})
	if got, err := e.Pin(t.Context(), Origin{}, "registry.corp.example/app:1"); err == nil || got != "" {
		t.Errorf("Pin = %q, %v, want an error", got, err)
	}
}

type panicking struct{ scripted }

func (*panicking) Resolve(context.Context, image.Reference) (string, error) { panic("hostile bytes") }

func (*panicking) Signatures(context.Context, image.Reference, string, registry.Source) ([]verify.Signature, error) {
	panic("hostile bytes")
}
