// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// withholding is a registry that serves the legacy signature of every image, or
// answers the questions for evidence as it is told.
type withholding struct {
	*httptest.Server
	evidence atomic.Pointer[http.HandlerFunc]
}

func newWithholding(t *testing.T) *withholding {
	t.Helper()
	const payload = "a payload"
	sum := sha256.Sum256([]byte(payload))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	w := &withholding{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		withheld := w.evidence.Load()
		switch {
		case r.URL.Path == "/v2/":
		case withheld != nil:
			(*withheld)(rw, r)
		case strings.HasSuffix(r.URL.Path, ".sig"):
			rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = fmt.Fprintf(rw, `{"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":%q,"size":%d}]}`, digest, len(payload))
		case strings.HasSuffix(r.URL.Path, digest):
			_, _ = rw.Write([]byte(payload))
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *withholding) withhold(answer http.HandlerFunc) { w.evidence.Store(&answer) }

// TestEvidenceThatIsWithheldIsAnOutageThatShows: a registry that serves images and hides
// their signatures cannot be told from one that is down. So what a policy accepts then
// must be no more than it said, and must never look like a verification.
func TestEvidenceThatIsWithheldIsAnOutageThatShows(t *testing.T) {
	code := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) > 0 {
				w.Header().Set("Retry-After", header[0])
			}
			w.WriteHeader(status)
		}
	}
	text := func(mediaType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write([]byte(body))
		}
	}
	const lenient, strict = v1alpha1.OnUnavailableAllowPreviouslyVerified, v1alpha1.OnUnavailableDeny
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		rule   v1alpha1.OnUnavailable
		digit  string // of the image; 1 is the one that was verified
		want   verify.Reason
		shown  bool
	}{
		"503":                             {answer: code(503), rule: lenient, want: verify.RegistryUnavailable, shown: true},
		"503 for an hour":                 {answer: code(503, "3600"), rule: lenient, want: verify.RegistryUnavailable, shown: true},
		"429":                             {answer: code(429, "3600"), rule: lenient, want: verify.RegistryThrottled, shown: true},
		"a page for people":               {answer: text("text/html", "<html>"), rule: lenient, want: verify.RegistryUnavailable, shown: true},
		"half a list":                     {answer: text("application/vnd.oci.image.manifest.v1+json", `{"layers":[`), rule: lenient, want: verify.RegistryUnavailable, shown: true},
		"503, of what was never verified": {answer: code(503), rule: lenient, digit: "2", want: verify.RegistryUnavailable},
		"503, and the policy says deny":   {answer: code(503), rule: strict, want: verify.RegistryUnavailable},
		"401":                             {answer: code(401), rule: lenient, want: verify.RegistryUnauthorized},
		"404: there are none":             {answer: code(404), rule: lenient, want: verify.NoSignature},
		"more than is read":               {answer: text("application/vnd.oci.image.manifest.v1+json", strings.Repeat(" ", 1<<20+1)), rule: lenient, want: verify.LimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			source := newWithholding(t)
			host := strings.TrimPrefix(source.URL, "http://")
			o := newOutageTest(t, tt.rule)
			p := covering(t, "payments", enforce, []string{host + "/**"})
			p.onUnavailable, p.uid, p.memory, p.authorities = tt.rule, "uid", o.policy.memory, o.policy.authorities
			// A client that has not seen the evidence, as when that was long ago.
			ask := func(digit string) PolicyResult {
				evaluator := NewEvaluator(Options{
					Policies: NewSet(p), Registry: registry.New(registry.Options{InsecureRegistries: []string{host}}), Metrics: o.metrics,
					Lenient: func(r PolicyResult) { o.lenient = append(o.lenient, r) },
				})
				return evaluator.Evaluate(t.Context(), Origin{}, host+"/app@sha256:"+strings.Repeat(digit, 64)).Policies[0]
			}
			if r := ask("1"); !accepted(r.Verdict) || r.Leniency() != nil {
				t.Fatalf("before: %v", r.Verdict)
			}
			source.withhold(tt.answer)
			digit := tt.digit
			if digit == "" {
				digit = "1"
			}
			r := ask(digit)
			leniency := r.Leniency()
			if accepted(r.Verdict) != tt.shown || (leniency != nil) != tt.shown {
				t.Fatalf("%v with %+v, want it accepted with a leniency: %v", r.Verdict, leniency, tt.shown)
			}
			if tt.shown {
				if leniency.Cause != tt.want || leniency.Rule != tt.rule || len(o.lenient) != 1 {
					t.Errorf("%+v, told %d times, want %s once", leniency, len(o.lenient), tt.want)
				}
				if n := testutil.ToFloat64(o.metrics.lenient.WithLabelValues("payments", string(tt.rule), string(tt.want))); n != 1 {
					t.Errorf("it was counted %v times", n)
				}
				return
			}
			if _, reason, _ := Outcome(r.Verdict); reason != tt.want || len(o.lenient) > 0 {
				t.Errorf("%v, want %s", r.Verdict, tt.want)
			}
		})
	}
}
