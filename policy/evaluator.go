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
	// Metrics counts verdicts. It defaults to metrics that nobody reads.
	Metrics *Metrics
	// Log takes what went wrong inside. It defaults to nowhere.
	Log logr.Logger
	// Concurrency bounds the images of one object that are evaluated at the
	// same time. It defaults to 8.
	Concurrency int
}

// Evaluator decides about images under the policies in force. It keeps nothing
// between evaluations, and is safe for concurrent use; callers who ask about the
// same image at the same time share one evaluation.
type Evaluator struct {
	policies    *Set
	registry    Registry
	metrics     *Metrics
	log         logr.Logger
	concurrency int

	evaluations flights[question, Decision]
	pins        flights[question, pin]
}

// question is what is asked: about an image, as it is written, under one state
// of the policies.
type question struct {
	policies *snapshot
	image    string
}

// NewEvaluator returns an evaluator with the given options.
func NewEvaluator(o Options) *Evaluator {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	return &Evaluator{policies: o.Policies, registry: o.Registry, metrics: o.Metrics, log: o.Log, concurrency: o.Concurrency}
}

// Evaluate decides about one image reference, as an object writes it. It always
// returns a decision: when ctx ends first, the covering policies' verdict is
// Unavailable with the cause DeadlineExceeded.
func (e *Evaluator) Evaluate(ctx context.Context, written string) Decision {
	policies := e.policies.load()
	ref, covering, refused := cover(policies, written)
	if refused != nil {
		return e.counted(*refused)
	}
	undecided := Decision{Image: written, Digest: ref.Digest(), Pinned: ref.Digest() != ""}
	if len(covering) == 0 {
		return e.counted(undecided)
	}
	if ctx.Err() != nil {
		return e.counted(late(undecided, covering))
	}
	decision, err := e.evaluations.do(ctx, question{policies, written}, maxEvaluation, func(ctx context.Context) Decision {
		return e.judge(ctx, ref, undecided, covering)
	})
	if err != nil {
		decision = late(undecided, covering)
	}
	return e.counted(decision)
}

// EvaluateAll decides about the images of one object: each distinct one once,
// several at a time. The decisions are by image reference as it is written.
func (e *Evaluator) EvaluateAll(ctx context.Context, written []string) map[string]Decision {
	position := map[string]int{}
	var distinct []string
	for _, w := range written {
		if _, seen := position[w]; !seen {
			position[w] = len(distinct)
			distinct = append(distinct, w)
		}
	}
	decisions := make([]Decision, len(distinct))
	var group errgroup.Group
	group.SetLimit(e.concurrency)
	for i, w := range distinct {
		group.Go(func() error {
			decisions[i] = e.Evaluate(ctx, w)
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

// cover parses the reference and finds the policies that cover it. A reference
// that cannot be parsed could be any image: every policy covers it and refuses
// it, and the decision is returned.
func cover(policies *snapshot, written string) (image.Reference, []*Policy, *Decision) {
	ref, err := image.Parse(written)
	if err == nil {
		return ref, policies.covering(ref), nil
	}
	refused := Decision{Image: written}
	for _, p := range policies.policies {
		refused.Policies = append(refused.Policies, p.result(verify.Rejected{
			Reason: verify.ImageNotFound,
			Detail: "the image reference is not valid: " + printable(err.Error(), maxDetail),
		}))
	}
	return image.Reference{}, nil, &refused
}

// judge resolves the image and asks every policy that covers it. It runs apart
// from its callers and recovers: a panic is a bug of ours, brought about by
// bytes that somebody else chose, and must end in a refusal.
func (e *Evaluator) judge(ctx context.Context, ref image.Reference, undecided Decision, covering []*Policy) (decision Decision) {
	start := time.Now()
	defer func() {
		e.metrics.observe(time.Since(start))
		if cause := recover(); cause != nil {
			e.metrics.panics.Inc()
			e.log.Error(fmt.Errorf("panic: %v", cause), "Evaluation panicked", "image", undecided.Image, "stack", string(debug.Stack()))
			decision = panicked(undecided, covering)
		}
	}()

	decision = undecided
	resolved, digest, failure := e.resolve(ctx, ref, covering)
	decision.Digest = digest
	ev := &evidence{
		registry: e.registry, ref: ref, digest: digest, fetched: failure != nil, failure: failure,
		attested: slices.ContainsFunc(covering, (*Policy).needsAttestations),
	}
	for _, p := range covering {
		switch {
		case failure != nil && !p.covers(ref):
			// Only the digest, which nobody knows, says whether p covers it.
			decision.Policies = append(decision.Policies, p.result(failure))
		case failure == nil && !p.covers(resolved):
			continue
		default:
			decision.Policies = append(decision.Policies, p.evaluate(ctx, digest, ev))
		}
		if ctx.Err() != nil {
			return late(decision, covering)
		}
	}
	return decision
}

// resolve returns the reference with its digest, if a policy needs it, or the
// verdict that its failure means.
func (e *Evaluator) resolve(ctx context.Context, ref image.Reference, covering []*Policy) (image.Reference, string, verify.Verdict) {
	needed := false
	for _, p := range covering {
		needed = needed || p.needsDigest()
	}
	if ref.Digest() != "" || !needed {
		return ref, ref.Digest(), nil
	}
	digest, err := e.registry.Resolve(ctx, ref)
	if err != nil {
		return ref, "", failureVerdict(err)
	}
	resolved, err := image.Parse(ref.Pinned(digest))
	if err != nil || resolved.Digest() != digest {
		return ref, "", verify.Rejected{Reason: verify.ImageNotFound, Detail: "the registry answered with something that is no digest: " + printable(digest, maxDetail)}
	}
	return resolved, digest, nil
}

// late is the decision when time has run out: what was found counts no more,
// since it may be half of the truth.
func late(d Decision, covering []*Policy) Decision {
	return uniform(d, covering, verify.Unavailable{Cause: verify.DeadlineExceeded, Detail: "there was not enough time to verify the image"})
}

// panicked is the decision after a panic. Of the closed set of reasons,
// PolicyNotReady is the one that says what is true: the fault is in the policy's
// evaluation, and the image is neither accused nor excused.
func panicked(d Decision, covering []*Policy) Decision {
	return uniform(d, covering, verify.Rejected{Reason: verify.PolicyNotReady, Detail: "the evaluation failed inside countersign; its log says how"})
}

func uniform(d Decision, covering []*Policy, verdict verify.Verdict) Decision {
	d.Policies = nil
	for _, p := range covering {
		d.Policies = append(d.Policies, p.result(verdict))
	}
	return d
}

// counted counts the decision's verdicts, once for each caller.
func (e *Evaluator) counted(d Decision) Decision {
	e.metrics.count(d)
	return d
}
