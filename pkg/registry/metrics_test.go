// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestHowRequestsEndIsMeasured: each ends in one way, and only what was sent took time.
func TestHowRequestsEndIsMeasured(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a digest":                       {withDigest(ociManifest, subject), outcomeAnswered},
		"no such image":                  {status(http.StatusNotFound), outcomeAbsent},
		"401 to who showed nothing":      {status(http.StatusUnauthorized), outcomeChallenged},
		"403":                            {status(http.StatusForbidden), outcomeUnauthorized},
		"429":                            {status(http.StatusTooManyRequests), outcomeThrottled},
		"a status that is a mistake":     {status(http.StatusTeapot), outcomeRejected},
		"5xx":                            {status(http.StatusInternalServerError), outcomeFailed},
		"a reset":                        {reset, outcomeUnreachable},
		"a redirect to another's secret": {redirect("http://169.254.169.254/"), outcomeForbidden},
		"a manifest that does not end": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				endless(ociManifest)(w, r)
			}
		}, outcomeAnswered},
		"a manifest that is cut": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", ociManifest)
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write([]byte("{"))
			}
		}, outcomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, tc.answer)
			measured := NewMetrics(nil)
			limits := Limits{Manifest: 64 * kib, List: 64 * kib, Bundle: 64 * kib}
			client := New(Options{InsecureRegistries: []string{f.host()}, Limits: limits, Metrics: measured})
			_, _ = client.Resolve(t.Context(), f.ref(t, ""))
			if got := testutil.ToFloat64(measured.requests.WithLabelValues(f.host(), tc.want)); got == 0 {
				t.Errorf("no request ended %s", tc.want)
			}
			if problems, err := testutil.CollectAndLint(measured); err != nil || len(problems) != 0 {
				t.Errorf("%v, %v", problems, err)
			}
		})
	}
	t.Run("a certificate that is not trusted", func(t *testing.T) {
		server := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		host := strings.TrimPrefix(server.URL, "https://")
		measured := NewMetrics(nil)
		client := New(Options{Hosts: Hosts{host: {}}, Metrics: measured})
		_, _ = client.Resolve(t.Context(), parse(t, host+"/org/app"))
		if got := testutil.ToFloat64(measured.requests.WithLabelValues(host, outcomeUntrusted)); got == 0 {
			t.Error("no request ended untrusted")
		}
	})
}

// TestRequestsWithoutAnAnswerAreMeasured: what is too slow is told from what nobody waits
// for any more, and from who is not there.
func TestRequestsWithoutAnAnswerAreMeasured(t *testing.T) {
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	given, up := context.WithCancel(t.Context())
	up()
	for name, tc := range map[string]struct {
		ctx    context.Context
		status int
		err    error
		want   string
	}{
		"no answer in time":             {late, 0, context.DeadlineExceeded, outcomeStalled},
		"half an answer in time":        {late, 200, context.DeadlineExceeded, outcomeStalled},
		"a handshake that does not end": {t.Context(), 0, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, outcomeStalled},
		"whoever asked has gone":        {given, 0, context.Canceled, outcomeAbandoned},
		"nobody listens":                {t.Context(), 0, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, outcomeUnreachable},
		"half an answer":                {t.Context(), 200, io.ErrUnexpectedEOF, outcomeFailed},
		"a rule of ours":                {late, 0, refused("x"), outcomeForbidden},
		"too much":                      {t.Context(), 200, errTooLarge, outcomeAnswered},
	} {
		if got := failureOf(tc.ctx, tc.status, tc.err); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestWhoeverCreatesPodsMakesNoMetrics: names of registries that nobody else has given
// are one, as many as there are.
func TestWhoeverCreatesPodsMakesNoMetrics(t *testing.T) {
	measured := NewMetrics(func(registry string) bool { return registry == "policy.invalid" })
	client := New(Options{Metrics: measured, Hosts: Hosts{"configured.invalid": {}}, dialer: net.Dialer{Resolver: names(nil)}})
	ask := func(host string) {
		if _, err := client.Resolve(t.Context(), parse(t, host+"/org/app")); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	}
	for i := range 5 {
		ask(fmt.Sprintf("h%d.invalid", i))
	}
	ask("policy.invalid")
	ask("configured.invalid:443")
	if n := testutil.CollectAndCount(measured, "countersign_registry_requests_total"); n != 3 {
		t.Errorf("%d series", n)
	}
	want := `
# HELP countersign_registry_left_alone How many registries of this name (one, or several that are "other") are not asked now, because they are down, or throttle a credential.
# TYPE countersign_registry_left_alone gauge
countersign_registry_left_alone{cause="down",registry="configured.invalid"} 0
countersign_registry_left_alone{cause="down",registry="other"} 0
countersign_registry_left_alone{cause="down",registry="policy.invalid"} 0
countersign_registry_left_alone{cause="throttled",registry="configured.invalid"} 0
countersign_registry_left_alone{cause="throttled",registry="other"} 0
countersign_registry_left_alone{cause="throttled",registry="policy.invalid"} 0
`
	if err := testutil.CollectAndCompare(measured, strings.NewReader(want), "countersign_registry_left_alone"); err != nil {
		t.Error(err)
	}
}

func TestARegistryThatIsLeftAloneShows(t *testing.T) {
	f := newFake(t)
	measured := NewMetrics(nil)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(measured)
	client := New(Options{InsecureRegistries: []string{f.host()}, Metrics: measured})
	expect := func(when string, down, throttled int) {
		t.Helper()
		want := fmt.Sprintf(`
# HELP countersign_registry_left_alone How many registries of this name (one, or several that are "other") are not asked now, because they are down, or throttle a credential.
# TYPE countersign_registry_left_alone gauge
countersign_registry_left_alone{cause="down",registry="%[1]s"} %[2]d
countersign_registry_left_alone{cause="throttled",registry="%[1]s"} %[3]d
`, f.host(), down, throttled)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "countersign_registry_left_alone"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	f.on(latest, withDigest(ociManifest, subject))
	if _, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil {
		t.Fatal(err)
	}
	expect("when it answers", 0, 0)
	f.on(latest, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1000")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := client.Resolve(t.Context(), f.ref(t, "")); reasonOf(t, err) != verify.RegistryThrottled {
		t.Fatal(err)
	}
	expect("when it throttles", 0, 1)
	// That it is down is for a ping to find out.
	c := client.connections.Load().lane(f.host()).circuit
	c.note(stalled)
	_ = c.check(t.Context(), func(context.Context) error { return &Error{verify.RegistryUnavailable, "down", nil} })
	expect("when it is down", 1, 1)
}
