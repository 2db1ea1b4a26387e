// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// moody is a Verifier that says what it is told to say, once it is shown a signature.
type moody struct {
	says  verify.Verdict
	limit time.Duration
	doubt verify.Verdict
}

func (m *moody) Verify(_ context.Context, _ string, signatures []verify.Signature) verify.Verdict {
	if len(signatures) == 0 {
		return verify.Rejected{Reason: verify.NoSignature, Detail: "no signature was found"}
	}
	return m.says
}

func (m *moody) Standing(context.Context, verify.Evidence) (time.Duration, verify.Verdict) {
	return m.limit, m.doubt
}

var (
	isGood    = verify.Verified{Evidence: verify.Evidence{Format: "bundle", Signer: "key a"}}
	logIsDown = verify.Unavailable{Cause: verify.LogUnavailable, Detail: "the log is down"}
)

// outageTest is one policy with allowPreviouslyVerified, whose image has been verified.
type outageTest struct {
	policy    *Policy
	key       *moody
	registry  *scripted
	evaluator *Evaluator
	metrics   *Metrics
	lenient   []PolicyResult
}

const outageImage = "registry.corp.example/app:1@sha256:"

func newOutageTest(t *testing.T, rule v1alpha1.OnUnavailable) *outageTest {
	t.Helper()
	o := &outageTest{
		policy:   covering(t, "payments", enforce, []string{"registry.corp.example/**"}),
		key:      &moody{says: isGood, limit: time.Hour},
		registry: &scripted{fresh: signed("a"), cached: signed("a"), isCached: true},
		metrics:  NewMetrics(nil),
	}
	o.policy.onUnavailable, o.policy.uid = rule, "uid"
	if rule == v1alpha1.OnUnavailableAllowPreviouslyVerified {
		o.policy.memory = newMemory()
	}
	o.policy.authorities = []authority{{name: "release-key", key: o.key}}
	o.evaluator = NewEvaluator(Options{
		Policies: NewSet(o.policy), Registry: o.registry, Metrics: o.metrics, Lenient: func(r PolicyResult) { o.lenient = append(o.lenient, r) },
	})
	return o
}

func (o *outageTest) ask(t *testing.T, digit string) PolicyResult {
	t.Helper()
	return o.evaluator.Evaluate(t.Context(), Origin{}, outageImage+strings.Repeat(digit, 64)).Policies[0]
}

func failing(reason verify.Reason) error { return &registry.Error{Reason: reason, Detail: "down"} }

func TestWhatAllowPreviouslyVerifiedAccepts(t *testing.T) {
	for name, tt := range map[string]struct {
		rule  v1alpha1.OnUnavailable
		since func(o *outageTest)
		after time.Duration
		digit string // of the image; 1 is the one that was verified
		want  verify.Reason
	}{
		"the log is away": {since: func(o *outageTest) { o.key.says = logIsDown }},
		"the log is away, and the policy says deny": {
			rule: v1alpha1.OnUnavailableDeny, since: func(o *outageTest) { o.key.says = logIsDown }, want: verify.LogUnavailable,
		},
		"the log is away, and the policy says allowEmbeddedProof": {
			rule: v1alpha1.OnUnavailableAllowEmbeddedProof, since: func(o *outageTest) { o.key.says = logIsDown }, want: verify.LogUnavailable,
		},
		"the log is away, within the limit":   {since: func(o *outageTest) { o.key.says = logIsDown }, after: time.Hour},
		"the log is away, and it is too long": {since: func(o *outageTest) { o.key.says = logIsDown }, after: time.Hour + 1, want: verify.LogUnavailable},
		"the log is away, and its limit is shorter": {
			since: func(o *outageTest) { o.key.says, o.key.limit = logIsDown, time.Minute }, after: 2 * time.Minute, want: verify.LogUnavailable,
		},
		"no log is asked, and it is too long": {
			since: func(o *outageTest) { o.key.limit = 0; o.forget(failing(verify.RegistryUnavailable)) }, after: time.Hour + 1, want: verify.RegistryUnavailable,
		},
		"another digest":           {since: func(o *outageTest) { o.key.says = logIsDown }, digit: "2", want: verify.LogUnavailable},
		"the registry is away":     {since: func(o *outageTest) { o.forget(failing(verify.RegistryUnavailable)) }},
		"the registry throttles":   {since: func(o *outageTest) { o.forget(failing(verify.RegistryThrottled)) }},
		"the registry stalls":      {since: func(o *outageTest) { o.forget(failing(verify.DeadlineExceeded)) }},
		"the registry refuses us":  {since: func(o *outageTest) { o.forget(failing(verify.RegistryUnauthorized)) }, want: verify.RegistryUnauthorized},
		"a key service is away":    {since: func(o *outageTest) { o.key.says = verify.Unavailable{Cause: verify.KMSUnavailable, Detail: "down"} }, want: verify.KMSUnavailable},
		"the signature is gone":    {since: func(o *outageTest) { o.forget(nil) }, want: verify.NoSignature},
		"the signature is refused": {since: func(o *outageTest) { o.key.says = verify.Rejected{Reason: verify.KeyMismatch} }, want: verify.KeyMismatch},
		"what is known is refused, and the registry is away": {since: func(o *outageTest) {
			o.key.says = verify.Rejected{Reason: verify.CheckpointInconsistent}
			o.registry.freshErr = failing(verify.RegistryUnavailable)
		}, want: verify.RegistryUnavailable},
		"the registry is away, and the log was caught since": {since: func(o *outageTest) {
			o.forget(failing(verify.RegistryUnavailable))
			o.key.doubt = verify.Rejected{Reason: verify.CheckpointInconsistent}
		}, want: verify.CheckpointInconsistent},
		"the registry is away, and the log is stale": {since: func(o *outageTest) {
			o.forget(failing(verify.RegistryUnavailable))
			o.key.doubt = verify.Rejected{Reason: verify.CheckpointStale}
		}, want: verify.CheckpointStale},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rule := tt.rule
				if rule == "" {
					rule = v1alpha1.OnUnavailableAllowPreviouslyVerified
				}
				o := newOutageTest(t, rule)
				if r := o.ask(t, "1"); !accepted(r.Verdict) || r.Leniency() != nil {
					t.Fatalf("before the outage: %+v", r)
				}
				tt.since(o)
				time.Sleep(tt.after)
				digit := tt.digit
				if digit == "" {
					digit = "1"
				}
				for range 2 { // that it was accepted in the outage is no new verdict
					r := o.ask(t, digit)
					_, reason, _ := Outcome(r.Verdict)
					if reason != tt.want || (r.Leniency() != nil) != (tt.want == "") {
						t.Errorf("got %v with %+v, want %q", r.Verdict, r.Leniency(), tt.want)
					}
				}
			})
		})
	}
}

// forget makes the registry answer with err, or with nothing, and lets nothing be known.
func (o *outageTest) forget(err error) {
	o.registry.cached, o.registry.isCached, o.registry.fresh, o.registry.freshErr = nil, false, nil, err
}

// TestATagIsNotADigestThatWasVerified: what it points to now nobody knows.
func TestATagIsNotADigestThatWasVerified(t *testing.T) {
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	o.registry.digest = digestOf("1")
	if r := o.evaluator.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1").Policies[0]; !accepted(r.Verdict) {
		t.Fatal(r)
	}
	o.registry.resolveErr = failing(verify.RegistryUnavailable)
	r := o.evaluator.Evaluate(t.Context(), Origin{}, "registry.corp.example/app:1").Policies[0]
	if _, reason, _ := Outcome(r.Verdict); reason != verify.RegistryUnavailable {
		t.Errorf("got %v", r.Verdict)
	}
}

func TestARepositoryIsNotAnother(t *testing.T) {
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	o.ask(t, "1")
	o.key.says = logIsDown
	r := o.evaluator.Evaluate(t.Context(), Origin{}, "registry.corp.example/other@"+digestOf("1")).Policies[0]
	if _, reason, _ := Outcome(r.Verdict); reason != verify.LogUnavailable {
		t.Errorf("got %v", r.Verdict)
	}
}

// TestARestartRemembersNothing: nothing outside of the process says what it verified.
func TestARestartRemembersNothing(t *testing.T) {
	newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified).ask(t, "1")
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	o.key.says = logIsDown
	if _, reason, _ := Outcome(o.ask(t, "1").Verdict); reason != verify.LogUnavailable {
		t.Errorf("a replica that verified nothing says %q", reason)
	}
}

// TestWhatAPolicyInherits: a policy that is compiled anew goes on with what it knew, if
// nothing that it trusts is another.
func TestWhatAPolicyInherits(t *testing.T) {
	base := func() *Policy {
		return &Policy{
			id: ClusterPolicy("p"), uid: "uid", generation: 3, memory: newMemory(), onUnavailable: v1alpha1.OnUnavailableAllowPreviouslyVerified,
			authorities: []authority{{name: "a", key: &verify.Authority{Name: "a"}}, {name: "b", fixed: verify.Rejected{}}},
		}
	}
	for name, tt := range map[string]struct {
		edit func(p *Policy)
		want bool
	}{
		"nothing has changed":    {func(*Policy) {}, true},
		"another generation":     {func(p *Policy) { p.generation = 4 }, false},
		"another object":         {func(p *Policy) { p.uid = "other" }, false},
		"another name":           {func(p *Policy) { p.id.Name = "q" }, false},
		"another key":            {func(p *Policy) { p.authorities[0].key = &verify.Authority{Name: "a", Keys: make([]verify.Key, 1)} }, false},
		"a key that is broken":   {func(p *Policy) { p.authorities[0] = authority{name: "a", fixed: verify.Rejected{}} }, false},
		"one authority less":     {func(p *Policy) { p.authorities = p.authorities[:1] }, false},
		"a rule that needs none": {func(p *Policy) { p.memory = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := base(), base()
			kept := before.memory
			set := NewSet(before)
			tt.edit(after)
			set.Replace([]*Policy{after})
			if got := after.memory == kept; got != tt.want {
				t.Errorf("the memory was kept: %v, want %v", got, tt.want)
			}
			again := base()
			tt.edit(again)
			set = NewSet(before)
			set.Set(again)
			if got := again.memory == kept; got != tt.want {
				t.Errorf("the memory was kept: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestLeniencyIsSeen by who sends the object, in metrics, and by whoever is told.
func TestLeniencyIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
		o.ask(t, "1")
		at := time.Now().UTC().Format(time.RFC3339)
		o.key.says = logIsDown
		time.Sleep(time.Minute)
		d := o.evaluator.Evaluate(t.Context(), Origin{}, outageImage+strings.Repeat("1", 64))
		want := []string{`image registry.corp.example/app:1 (sha256:1111…1111) accepted by ClusterImagePolicy "payments" ` +
			`without full verification (onUnavailable: allowPreviouslyVerified), as it was verified at ` + at + "\n  LogUnavailable: the log is down"}
		if diff := cmp.Diff(want, d.Leniencies(enforce)); diff != "" {
			t.Errorf("texts (-want +got):\n%s", diff)
		}
		if got := d.Leniencies(warn); got != nil {
			t.Errorf("texts of another mode: %q", got)
		}
		if got := d.ExplainVerified(d.Policies[0]); !strings.Contains(got, "not verified in full (onUnavailable: allowPreviouslyVerified): LogUnavailable") {
			t.Errorf("ExplainVerified does not say it: %s", got)
		}
		if len(o.lenient) != 1 || o.lenient[0].Policy != ClusterPolicy("payments") {
			t.Errorf("told of %+v", o.lenient)
		}
		counter := o.metrics.lenient.WithLabelValues("payments", "allowPreviouslyVerified", "LogUnavailable")
		if got := testutil.ToFloat64(counter); got != 1 {
			t.Errorf("counted %v times", got)
		}
		text, err := d.Policies[0].MarshalJSON()
		if err != nil || !strings.Contains(string(text), `"leniency":{"rule":"allowPreviouslyVerified","cause":"LogUnavailable"`) {
			t.Errorf("JSON is %s, %v", text, err)
		}
		// What is refused for another reason rests on nothing.
		if got := (Decision{Image: "a:1", Digest: d.Digest, Policies: d.Policies}).RequireDigest().Policies[0].Leniency(); got != nil {
			t.Errorf("a refusal rests on %+v", got)
		}
	})
}
