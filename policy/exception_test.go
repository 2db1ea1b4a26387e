// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const week = v1alpha1.DefaultMaxExceptionAge

// exceptionFor is an exception in namespace shop that was created now and lasts a day.
func exceptionFor(glob string, edit ...func(*v1alpha1.ImagePolicyException)) *Exception {
	obj := &v1alpha1.ImagePolicyException{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.ImagePolicyExceptionSpec{
			Images: []v1alpha1.ImagePattern{{Glob: glob}}, Reason: "the signer is down", Expires: metav1.NewTime(time.Now().Add(24 * time.Hour)),
		},
	}
	for _, e := range edit {
		e(obj)
	}
	return CompileException(obj, week)
}

// excepting is a policy that allows exceptions, for an image that nobody signed.
func excepting(t *testing.T, mode v1alpha1.Mode) *Policy {
	p := covering(t, "p", mode, []string{"**"}, "k")
	p.exceptions = true
	return p
}

func admittedBy(t *testing.T, d Decision) bool {
	t.Helper()
	admitted := Denial([]Decision{d}, NoMatchDeny) == ""
	if used := len(d.Exceptions(v1alpha1.ModeEnforce)) > 0; used != admitted {
		t.Errorf("admitted = %v, and shown as an exception = %v", admitted, used)
	}
	return admitted
}

// TestAnExceptionAdmitsWhatItIsForAndNothingElse: an unsigned image of digest 1 in namespace
// shop.
func TestAnExceptionAdmitsWhatItIsForAndNothingElse(t *testing.T) {
	const written = "corp.example/app:1"
	inconsistent := verify.Rejected{Reason: verify.CheckpointInconsistent, Detail: "two histories"}
	for name, tt := range map[string]struct {
		exception *Exception
		policy    func(*Policy)
		namespace string
		written   string
		admitted  bool
	}{
		"its repository":                {exception: exceptionFor("corp.example/app"), admitted: true},
		"a pattern":                     {exception: exceptionFor("corp.example/**"), admitted: true},
		"its digest, by tag":            {exception: exceptionFor("corp.example/app@" + digestOf("1")), admitted: true},
		"its digest, by digest":         {exception: exceptionFor("corp.example/app@" + digestOf("1")), written: "corp.example/app@" + digestOf("1"), admitted: true},
		"its digest in any repository":  {exception: exceptionFor("**@" + digestOf("1")), admitted: true},
		"another digest":                {exception: exceptionFor("corp.example/app@" + digestOf("2"))},
		"another repository":            {exception: exceptionFor("corp.example/other")},
		"a repository that begins so":   {exception: exceptionFor("corp.example/ap")},
		"another namespace":             {exception: exceptionFor("**"), namespace: "dev"},
		"a namespace like it":           {exception: exceptionFor("**"), namespace: "shop-2"},
		"no namespace":                  {exception: exceptionFor("**"), namespace: "-"},
		"a policy that takes none":      {exception: exceptionFor("**"), policy: func(p *Policy) { p.exceptions = false }},
		"a policy that nobody can meet": {exception: exceptionFor("**"), policy: func(p *Policy) { p.authorities = nil }, admitted: true},
		"a log with two histories":      {exception: exceptionFor("**"), policy: func(p *Policy) { p.authorities[0].key = keyed{otherwise: inconsistent} }},
		"a log with two histories, beside one that is away": {exception: exceptionFor("**"), policy: func(p *Policy) {
			p.authorities[0].key = keyed{otherwise: inconsistent}
			p.authorities = append(p.authorities, authority{name: "away", key: keyed{otherwise: verify.Unavailable{Cause: verify.LogUnavailable}}})
		}},
		"a static refusal, by digest": {exception: exceptionFor("corp.example/app@" + digestOf("1")), policy: func(p *Policy) {
			p.authorities = []authority{{name: "no", fixed: verify.Rejected{Reason: verify.StaticDenied}}}
		}, admitted: true},
		"a tag": {exception: exceptionFor("corp.example/app:1")},
		"an image spelt so that nobody can read it": {exception: exceptionFor("**"), written: "corp.example/APP:1"},
		"no reason":                      {exception: exceptionFor("**", func(x *v1alpha1.ImagePolicyException) { x.Spec.Reason = "" })},
		"no end":                         {exception: exceptionFor("**", func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.Time{} })},
		"no creation":                    {exception: exceptionFor("**", func(x *v1alpha1.ImagePolicyException) { x.CreationTimestamp = metav1.Time{} })},
		"a pattern that nobody can read": {exception: exceptionFor("a//b")},
		"a field that nobody reads": {exception: exceptionFor("**", func(x *v1alpha1.ImagePolicyException) {
			x.Spec.Unread = []v1alpha1.Unread{{Field: "spec.onlyFor", Problem: "unknown"}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			p := excepting(t, enforce)
			if tt.policy != nil {
				tt.policy(p)
			}
			exceptions := &Exceptions{}
			exceptions.Set(tt.exception)
			var told []string
			e := NewEvaluator(Options{
				Policies: NewSet(p), Registry: &scripted{digest: digestOf("1"), fresh: signed()}, Exceptions: exceptions,
				Excepted: func(image string, r PolicyResult) { told = append(told, image+" "+r.Exception.Name) },
			})
			origin := Origin{Namespace: map[string]string{"": "shop", "-": ""}[tt.namespace] + strings.Trim(tt.namespace, "-")}
			image := map[bool]string{true: written, false: tt.written}[tt.written == ""]
			if got := admittedBy(t, e.Evaluate(t.Context(), origin, image)); got != tt.admitted || (len(told) == 1) != tt.admitted {
				t.Errorf("admitted = %v, told %q; want %v", got, told, tt.admitted)
			}
		})
	}
}

// TestAnExceptionEndsByTheClock: nothing has to happen for that, and its week begins when
// the API server created it.
func TestAnExceptionEndsByTheClock(t *testing.T) {
	for name, tt := range map[string]struct {
		// lasts is from the creation to the end, after is when it is used.
		lasts, after time.Duration
		admitted     bool
	}{
		"at once":                               {24 * time.Hour, 0, true},
		"just before its end":                   {24 * time.Hour, 24*time.Hour - time.Nanosecond, true},
		"at its end":                            {24 * time.Hour, 24 * time.Hour, false},
		"long after":                            {24 * time.Hour, 1000 * time.Hour, false},
		"one of a week":                         {week, week - time.Second, true},
		"one of more than a week, at once":      {week + time.Second, 0, false},
		"one of more than a week, near its end": {week + time.Second, week, false},
		"one that ends before it begins":        {-time.Hour, 0, false},
		"by a clock that is a little behind":    {24 * time.Hour, -maxClockSkew, true},
		"by a clock that is far behind":         {24 * time.Hour, -maxClockSkew - time.Second, false},
		"by a clock that is a year behind":      {24 * time.Hour, -365 * 24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exceptions := &Exceptions{}
				exceptions.Set(exceptionFor("**", func(x *v1alpha1.ImagePolicyException) {
					created := time.Now()
					if tt.after < 0 {
						created = created.Add(-tt.after)
					}
					x.CreationTimestamp = metav1.NewTime(created)
					x.Spec.Expires = metav1.NewTime(created.Add(tt.lasts))
				}))
				e := NewEvaluator(Options{Policies: NewSet(excepting(t, enforce)), Registry: &scripted{digest: digestOf("1"), fresh: signed()}, Exceptions: exceptions})
				time.Sleep(tt.after)
				if got := admittedBy(t, e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")); got != tt.admitted {
					t.Errorf("admitted = %v, want %v", got, tt.admitted)
				}
			})
		})
	}
}

// TestAnExceptionForADigestIsForWhatRuns: a Pod whose tag pointed to the digest when it was
// looked at may run another image, so it must be pinned, and is.
func TestAnExceptionForADigestIsForWhatRuns(t *testing.T) {
	for name, authorities := range map[string][]authority{
		"a policy with a key":         {{name: "k", key: keyed{accepts: "k"}}},
		"a policy that looks at none": {{name: "no", fixed: verify.Rejected{Reason: verify.StaticDenied}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := excepting(t, enforce)
			p.authorities = authorities
			exceptions := &Exceptions{}
			exceptions.Set(exceptionFor("corp.example/app@" + digestOf("1")))
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{digest: digestOf("1"), fresh: signed()}, Exceptions: exceptions})
			shop := Origin{Namespace: "shop"}
			if admittedBy(t, e.Evaluate(t.Context(), shop, "corp.example/app:1").RequireDigest()) {
				t.Error("a Pod that is not pinned was admitted")
			}
			pinned, err := e.Pin(t.Context(), shop, "corp.example/app:1")
			if err != nil || pinned != "corp.example/app:1@"+digestOf("1") {
				t.Fatalf("pinned to %q, %v", pinned, err)
			}
			if !admittedBy(t, e.Evaluate(t.Context(), shop, pinned).RequireDigest()) {
				t.Error("the Pod that was pinned was refused")
			}
			if admittedBy(t, e.Evaluate(t.Context(), shop, "corp.example/app:1@"+digestOf("2")).RequireDigest()) {
				t.Error("another digest under the tag was admitted")
			}
		})
	}
}

// TestOriginsWithAndWithoutAnExceptionShareAnEvaluation, and not its outcome.
func TestOriginsWithAndWithoutAnExceptionShareAnEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exceptions := &Exceptions{}
		exceptions.Set(exceptionFor("**"))
		source := &scripted{digest: digestOf("1"), fresh: signed(), hold: make(chan struct{})}
		e := NewEvaluator(Options{Policies: NewSet(excepting(t, enforce)), Registry: source, Exceptions: exceptions})
		answers := make(chan string, 2)
		for _, namespace := range []string{"shop", "dev"} {
			go func() {
				d := e.Evaluate(t.Context(), Origin{Namespace: namespace}, "corp.example/app:1")
				answers <- fmt.Sprintf("%s %v", namespace, Denial([]Decision{d}, NoMatchAllow) == "")
			}()
		}
		synctest.Wait()
		close(source.hold)
		got := map[string]bool{<-answers: true, <-answers: true}
		if !got["shop true"] || !got["dev false"] || source.resolved != 1 {
			t.Errorf("answers %v after %d resolutions", got, source.resolved)
		}
	})
}

func TestEveryUseOfAnExceptionIsShown(t *testing.T) {
	exceptions, metrics := &Exceptions{}, NewMetrics(nil)
	exceptions.Set(exceptionFor("**", func(x *v1alpha1.ImagePolicyException) {
		x.Spec.ApprovedBy, x.Spec.Reference, x.Spec.Reason = "alice", "OPS-1", "line one\nline two\x1b[2J"
	}))
	e := NewEvaluator(Options{
		Policies: NewSet(excepting(t, enforce)), Registry: &scripted{digest: digestOf("1"), fresh: signed()}, Exceptions: exceptions, Metrics: metrics,
	})
	d := e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")
	text := strings.Join(d.Exceptions(v1alpha1.ModeEnforce), "\n")
	for _, want := range []string{`admitted by ImagePolicyException "shop/x" until `, `line one\nline two\x1b[2J`, "alice", "OPS-1", `ClusterImagePolicy "p" does not accept it: NoSignature`} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
	if got := counterValue(t, metrics.excepted.WithLabelValues("p", "shop")); got != 1 {
		t.Errorf("countersign_exception_uses_total = %v, want 1", got)
	}
	if got := summary(d); got != "p=Rejected/NoSignature" {
		t.Errorf("the verdict itself is %s", got)
	}
}

// TestADenialSpeaksOfExceptionsOnlyWhereTheyHelp.
func TestADenialSpeaksOfExceptionsOnlyWhereTheyHelp(t *testing.T) {
	for allowed, want := range map[bool]bool{true: true, false: false} {
		p := excepting(t, enforce)
		p.exceptions = allowed
		e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{digest: digestOf("1"), fresh: signed()}})
		denial := Denial([]Decision{e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")}, NoMatchAllow)
		if got := strings.Contains(denial, "ask for an ImagePolicyException"); got != want {
			t.Errorf("exceptions allowed = %v: %s", allowed, denial)
		}
	}
}

func TestExceptionsAreKeptByNamespaceAndName(t *testing.T) {
	var e Exceptions
	e.Delete("shop", "none")
	of := func(namespace, name string) *Exception {
		return exceptionFor("**", func(x *v1alpha1.ImagePolicyException) { x.Namespace, x.Name = namespace, name })
	}
	e.Replace([]*Exception{of("shop", "b"), of("shop", "a"), of("dev", "a")})
	held := e.active("shop")
	e.Delete("shop", "a")
	e.Set(of("shop", "c"))
	e.Set(of("shop", "c"))
	if len(held) != 2 || held[0].name != "a" || len(e.active("shop")) != 2 || len(e.active("dev")) != 1 || len(e.active("")) != 0 {
		t.Errorf("held %d, now %d in shop and %d in dev", len(held), len(e.active("shop")), len(e.active("dev")))
	}
	e.Replace(nil)
	if len(e.active("shop")) != 0 {
		t.Error("Replace left some")
	}
}
