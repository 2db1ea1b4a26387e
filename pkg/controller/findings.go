// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// Findings makes Events of what was admitted although a policy does not accept it,
// because its mode is warn or audit: about the object that brings the image in, for
// each policy, namespace, kind, image and reason. Every replica runs it. The zero value is
// ready for Note.
type Findings struct {
	recorder events.EventRecorder
	found    tally[finding, found]
}

// finding is what one Event is about. Not its object: a workload's Pods are many.
type finding struct {
	namespace, kind string
	policy          policy.ID
	image           string
	reason          policy.Reason
}

type found struct {
	object *corev1.ObjectReference
	text   string
}

// Note takes down what was found about the images of an object that is admitted.
func (f *Findings) Note(object corev1.ObjectReference, decisions []policy.Decision) {
	for _, d := range decisions {
		for _, mode := range []v1alpha1.Mode{v1alpha1.ModeWarn, v1alpha1.ModeAudit} {
			for _, r := range d.Failing(mode) {
				_, reason, _ := policy.Outcome(r.Verdict)
				what := finding{object.Namespace, object.Kind, r.Policy, fmt.Sprintf("%.300s", d.Image), reason}
				f.found.note(what, found{&object, d.Explain(r)})
			}
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica admits.
func (f *Findings) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (f *Findings) Start(ctx context.Context) error {
	everyTick(ctx, f.tell)
	return nil
}

// tell makes an Event of each finding that is due.
func (f *Findings) tell(context.Context) {
	for what, count := range f.found.due(time.Now()) {
		text := count.last.text
		if count.times > 1 {
			text = fmt.Sprintf("%d times in this namespace: %s", count.times, text)
		}
		kind := what.policy.Kind.WithVersion("v1alpha1") // which all kinds of policies have
		related := &corev1.ObjectReference{
			APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: what.policy.Namespace, Name: what.policy.Name,
		}
		f.recorder.Eventf(count.last.object, related, corev1.EventTypeWarning, v1alpha1.ReasonWouldBeDenied, "Verify", "%s", truncate(text))
	}
}
