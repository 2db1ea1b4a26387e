// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	// defaultConcurrency is the number of images of one object that are
	// evaluated at the same time.
	defaultConcurrency = 8
	// maxEvaluation bounds one evaluation however many callers share it. It is
	// the longest timeout that Kubernetes allows a webhook.
	maxEvaluation = 30 * time.Second
)

// Options configure an Evaluator.
type Options struct {
	// Policies are the policies in force. Required.
	Policies *Set
	// Registry finds digests and signatures. Required.
	Registry Registry
	// Tenants open registries with the credentials that an object names. It defaults
	// to Registry for all.
	Tenants Tenants
	// Namespaces knows the labels of namespaces. Without it, policies that ask about
	// other labels than the name cover images in all namespaces.
	Namespaces Namespaces
	// Metrics counts verdicts. It defaults to metrics that nobody reads.
	Metrics *Metrics
	// Lenient is told of each acceptance that rests on a Leniency. It defaults to
	// nobody, must not block, and is called by many at a time.
	Lenient func(PolicyResult)
	// Exceptions are the exceptions that exist. It defaults to none.
	Exceptions *Exceptions
	// Excepted is told of each refusal that an exception sets aside, and of the image.
	// It defaults to nobody, must not block, and is called by many at a time.
	Excepted func(image string, r PolicyResult)
	// Log takes what went wrong inside. It defaults to nowhere.
	Log logr.Logger
	// Concurrency bounds the images of one object that are evaluated at the
	// same time. It defaults to 8.
	Concurrency int
}

// Evaluator decides about images under the policies in force. It keeps nothing
// between evaluations, and is safe for concurrent use; callers who ask about the
// same image under the same policies at the same time, with credentials that open the
// same, share one evaluation.
type Evaluator struct {
	policies    *Set
	registry    Registry
	tenants     Tenants
	namespaces  Namespaces
	metrics     *Metrics
	lenient     func(PolicyResult)
	exceptions  *Exceptions
	excepted    func(string, PolicyResult)
	log         logr.Logger
	concurrency int

	parse       func(string) (image.Reference, error)
	evaluations flights[question, judgement]
	pins        flights[question, pin]
}

// NewEvaluator returns an evaluator with the given options.
func NewEvaluator(o Options) *Evaluator {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Lenient == nil {
		o.Lenient = func(PolicyResult) {}
	}
	if o.Excepted == nil {
		o.Excepted = func(string, PolicyResult) {}
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	return &Evaluator{
		policies: o.Policies, registry: o.Registry, tenants: o.Tenants, namespaces: o.Namespaces, metrics: o.Metrics, lenient: o.Lenient,
		exceptions: o.Exceptions, excepted: o.Excepted, log: o.Log, concurrency: o.Concurrency, parse: image.Parse,
	}
}

// Evaluate decides about one image reference, as an object writes it, that comes from
// origin. It always
// returns a decision: when ctx ends first, the verdict of the covering policies
// that have not been asked by then is Unavailable with the cause
// DeadlineExceeded. Enforcing policies are asked first.
func (e *Evaluator) Evaluate(ctx context.Context, origin Origin, written string) Decision {
	return e.evaluate(ctx, e.view(ctx, origin), written)
}

func (e *Evaluator) evaluate(ctx context.Context, from view, written string) (decision Decision) {
	policies := e.policies.load().at(from.Namespace)
	defer func() {
		if cause := recover(); cause != nil {
			e.recovered(cause, "Evaluation panicked", written)
			decision = policies.refusing(written, view{Origin: Origin{Namespace: from.Namespace}}, panicked())
		}
		e.metrics.count(decision) // once for each caller
		for _, r := range decision.Policies {
			if r.Leniency() != nil {
				e.lenient(r)
			}
			if r.Exception != nil {
				e.excepted(written, r)
			}
		}
	}()
	ref, err := e.parse(written)
	if err != nil {
		return policies.refusing(written, from, verify.Rejected{
			Reason: verify.ImageNotFound,
			Detail: "the image reference is not valid: " + printable(err.Error(), maxDetail),
		})
	}
	covering := policies.covering(ref, from).with(e.exceptions.active(from.Namespace), ref)
	undecided := judgement{
		decision: Decision{Image: written, Digest: ref.Digest(), Pinned: ref.Digest() != "", conditional: conditional(ref, covering.policies)},
		open:     inOrder(covering.policies, ref), wantDigest: covering.wantDigest,
	}
	if len(covering.policies) == 0 || ctx.Err() != nil {
		return covering.finish(undecided.closed(late()), ref)
	}
	access := e.open(ctx, from.Origin, ref, covering.policies)
	asked := question{covering.asked, covering.key, written, access.tenant, access.scope}
	reached, err := e.evaluations.do(ctx, asked, maxEvaluation, func(ctx context.Context, publish func(judgement)) judgement {
		publish(undecided)
		return e.judge(ctx, access, ref, undecided, publish)
	})
	if err != nil && reached.decision.Image == "" {
		reached = undecided // it ended before the evaluation began
	}
	return covering.finish(reached.closed(late()), ref)
}

// EvaluateAll decides about the images of one object, which is their origin: each
// distinct one once, several at a time. The decisions are by image reference as it is
// written.
func (e *Evaluator) EvaluateAll(ctx context.Context, origin Origin, written []string) map[string]Decision {
	position := map[string]int{}
	var distinct []string
	for _, w := range written {
		if _, seen := position[w]; !seen {
			position[w] = len(distinct)
			distinct = append(distinct, w)
		}
	}
	from := e.view(ctx, origin)
	decisions := make([]Decision, len(distinct))
	var group errgroup.Group
	group.SetLimit(e.concurrency)
	for i, w := range distinct {
		group.Go(func() error {
			decisions[i] = e.evaluate(ctx, from, w)
			return nil
		})
	}
	_ = group.Wait() // the functions above return no error
	byImage := make(map[string]Decision, len(distinct))
	for w, i := range position {
		byImage[w] = decisions[i]
	}
	return byImage
}

// refusing is the decision about an image of which nobody can tell what it is. It
// could be any: every policy of the cluster and of its namespace covers it, though none
// for sure, and refuses it.
func (s state) refusing(written string, from view, verdict verify.Verdict) Decision {
	d := judgement{decision: Decision{Image: written}, open: s.of(from)}.closed(verdict)
	d.conditional = d.Policies
	return d
}

// judge asks the policies that are open, one after the other, and publishes what
// each of them says; those that it has not come to when ctx ends stay open. The
// image is resolved when the first policy needs it. It runs apart from its
// callers and recovers: a panic is a bug of ours, brought about by bytes that
// somebody else chose, and must end in a refusal.
func (e *Evaluator) judge(ctx context.Context, via access, ref image.Reference, j judgement, publish func(judgement)) (reached judgement) {
	start := time.Now()
	reached = j
	defer func() {
		e.metrics.observe(time.Since(start))
		if cause := recover(); cause != nil {
			e.recovered(cause, "Evaluation panicked", reached.decision.Image)
			reached = judgement{decision: reached.closed(panicked())}
		}
	}()

	s := via.subject(ref, ref, ref.Digest(), nil)
	for len(reached.open) > 0 && ctx.Err() == nil {
		p := reached.open[0]
		if !s.resolved && (reached.wantDigest || p.needsDigest(ref)) {
			s = via.resolve(ctx, ref)
			reached.decision.Digest = s.evidence.digest
		}
		results := s.under(ctx, p)
		if ctx.Err() != nil && slices.ContainsFunc(results, func(r PolicyResult) bool { return !accepted(r.Verdict) }) {
			return reached
		}
		reached = reached.next(results...)
		publish(reached)
	}
	return reached
}

// recovered counts and logs a panic.
func (e *Evaluator) recovered(cause any, message, image string) {
	e.metrics.panics.Inc()
	e.log.Error(fmt.Errorf("panic: %v", cause), message, "image", image, "stack", string(debug.Stack()))
}
