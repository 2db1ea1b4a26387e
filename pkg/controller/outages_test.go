// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
	"github.com/countersign-dev/countersign/policy"
)

// oneImage is a registry that holds the signatures of one image.
type oneImage struct{ signatures []verify.Signature }

func (o oneImage) Resolve(_ context.Context, ref image.Reference) (string, error) {
	return ref.Digest(), nil
}

func (o oneImage) Signatures(context.Context, image.Reference, string, registry.Source) ([]verify.Signature, error) {
	return o.signatures, nil
}

func (oneImage) CachedSignatures(image.Reference, string, registry.Source) ([]verify.Signature, bool) {
	return nil, false
}

func (oneImage) Attestations(context.Context, image.Reference, string, registry.Source) ([]verify.Signature, error) {
	return nil, nil
}

func (oneImage) CachedAttestations(image.Reference, string, registry.Source) ([]verify.Signature, bool) {
	return nil, false
}

// outage is a cluster whose log was polled with 3 entries, has 4 now, and is away; one
// image whose signature is the fourth was accepted with its own proof.
type outage struct {
	*watched
	evaluator *policy.Evaluator
	image     string
	outages   *Outages
	settler   *settler
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	w := watch(t, 3)
	w.poll()
	w.events()
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	signer := verifytest.NewSigner()
	bundle := signer.LoggedBundle(w.log, verifytest.Statement(digest))
	obj := policyObject(v1alpha1.KeyAuthority{Data: string(signer.PEM())}, "corp")
	obj.Spec.OnUnavailable = v1alpha1.OnUnavailableAllowEmbeddedProof
	w.create(obj)
	w.load()
	w.down(true)
	o := &outage{
		watched: w, image: "registry.example/app@" + digest,
		outages: &Outages{client: w.client, recorder: w.recorder},
		settler: &settler{client: w.client, logs: w.config.Logs, recorder: w.recorder, metrics: w.monitor.metrics},
	}
	o.evaluator = policy.NewEvaluator(policy.Options{
		Policies: w.config.Policies, Registry: oneImage{[]verify.Signature{bundle}}, Lenient: o.outages.Note,
	})
	if r := o.ask(); r.Leniency() == nil {
		t.Fatalf("the image is not accepted for its proof alone: %v", r.Verdict)
	}
	return o
}

func (w *watched) down(down bool) {
	if !down {
		w.server.Intercept(nil)
		return
	}
	w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusBadGateway)
		return true
	})
}

func (o *outage) ask() policy.PolicyResult {
	return o.evaluator.Evaluate(o.t.Context(), policy.Origin{}, o.image).Policies[0]
}

func (o *outage) unasked() float64 { return o.series()["countersign_log_unasked_checkpoints"] }

func TestAcceptancesInAnOutageAreEvents(t *testing.T) {
	t.Parallel() // it waits more than it works
	o := newOutage(t)
	r := o.ask()
	for range 40 {
		o.outages.Note(r)
	}
	o.outages.tell(t.Context())
	if len(o.recorder.Events) != 1 {
		t.Fatalf("%d Events of 42 acceptances, want 1", len(o.recorder.Events))
	}
	text := <-o.recorder.Events
	for _, want := range []string{"Warning AcceptedInOutage", "42 times", "onUnavailable: allowEmbeddedProof", "LogUnavailable"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Event does not say %q: %s", want, text)
		}
	}
	o.ask()
	o.outages.tell(t.Context())
	if got := o.events(); got != nil {
		t.Errorf("a second Event at once: %v", got)
	}
}

// TestEventsOfAnOutageAreFew however long it lasts, and end with it.
func TestEventsOfAnOutageAreFew(t *testing.T) {
	o := newOutage(t)
	r := o.ask()
	synctest.Test(t, func(t *testing.T) {
		outages := &Outages{client: o.client, recorder: events.NewFakeRecorder(1000)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- outages.Start(ctx) }()
		for range 3600 {
			outages.Note(r)
			time.Sleep(time.Second)
		}
		recorder, ok := outages.recorder.(*events.FakeRecorder)
		if n := len(recorder.Events); !ok || n < 4 || n > 5 {
			t.Errorf("%d Events in an hour, want one in a quarter of one", n)
		}
		time.Sleep(3 * tallyPause)
		if outages.uses.mu.Lock(); len(outages.uses.seen) != 0 {
			t.Errorf("an outage that is over is remembered: %v", outages.uses.seen)
		}
		outages.uses.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatWasAcceptedInAnOutageIsAskedAboutAfterIt(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, tt := range map[string]struct {
		back   func(o *outage)
		left   float64
		events []string
		want   verify.Reason
	}{
		"the log stands by it": {back: func(o *outage) { o.down(false) }},
		"the log is away":      {back: func(*outage) {}, left: 1},
		"the log shows another tree": {back: func(o *outage) {
			fork := o.log.Fork(3)
			fork.Grow(3)
			o.server.Show(fork, 0)
			o.down(false)
		}, events: []string{"LogInconsistent"}, want: verify.CheckpointInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t)
			tt.back(o)
			time.Sleep(1100 * time.Millisecond) // a replica that failed is left alone for so long
			o.settler.settleAll(t.Context())
			if got := o.unasked(); got != tt.left {
				t.Errorf("%v checkpoints are to be asked about; want %v", got, tt.left)
			}
			if diff := cmp.Diff(tt.events, o.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if _, reason, _ := policy.Outcome(o.ask().Verdict); reason != tt.want {
				t.Errorf("the image is then %q; want %q", reason, tt.want)
			}
		})
	}
}

// TestALogThatIsDoubtedGetsNoCredit: its last answer could not be true, so that it is away
// now excuses nothing.
func TestALogThatIsDoubtedGetsNoCredit(t *testing.T) {
	t.Parallel() // it waits more than it works
	o := newOutage(t)
	o.down(false)
	shrunk := tlogtest.NewServer(o.log.Fork(2))
	t.Cleanup(shrunk.Close)
	o.server.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		shrunk.Config.Handler.ServeHTTP(rw, r)
		return true
	})
	time.Sleep(1100 * time.Millisecond)
	if got := o.poll()["Consistent"]; got != "LogInconsistent" {
		t.Fatalf("condition Consistent is %q", got)
	}
	o.down(true)
	if r := o.ask(); r.Leniency() != nil {
		t.Errorf("accepted: %+v", r.Leniency())
	}
	prover, err := o.config.Logs.Prover("corp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prover.Standing(t.Context()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Standing = %v; want ErrInconsistent", err)
	}
	object := o.replica.log("corp")
	for i := range object.Status.Conditions {
		if object.Status.Conditions[i].Type == v1alpha1.ConditionConsistent {
			object.Status.Conditions[i].Status = metav1.ConditionTrue
		}
	}
	if err := o.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if r := o.ask(); r.Leniency() == nil {
		t.Errorf("refused although nothing is wrong any more: %v", r.Verdict)
	}
}
