// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// Outages makes Events of what policies accept although it could not be verified in
// full, for each policy and cause. Every replica runs it. The zero value is ready for
// Note.
type Outages struct {
	client   client.Reader
	recorder events.EventRecorder
	uses     tally[outageUse, string]
}

// outageUse is what one Event is about.
type outageUse struct {
	policy policy.ID
	rule   v1alpha1.OnUnavailable
	cause  policy.Reason
}

// Note takes down one acceptance. It is a policy.Options.Lenient.
func (o *Outages) Note(r policy.PolicyResult) {
	if lenient := r.Leniency(); lenient != nil {
		o.uses.note(outageUse{r.Policy, lenient.Rule, lenient.Cause}, lenient.Detail)
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica accepts.
func (o *Outages) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (o *Outages) Start(ctx context.Context) error {
	everyTick(ctx, o.tell)
	return nil
}

// tell makes an Event of each use that is due.
func (o *Outages) tell(ctx context.Context) {
	for use, count := range o.uses.due(time.Now()) {
		message := fmt.Sprintf("accepted images %d times without full verification (onUnavailable: %s): %s: %s",
			count.times, use.rule, use.cause, count.last)
		ctrl.LoggerFrom(ctx).Info("Images were accepted without full verification",
			"policy", use.policy, "rule", use.rule, "cause", use.cause, "message", message)
		var obj v1alpha1.ClusterImagePolicy
		if err := o.client.Get(ctx, types.NamespacedName{Name: use.policy.Name}, &obj); err != nil {
			continue // it was deleted
		}
		o.recorder.Eventf(&obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonAcceptedInOutage, "Verify", "%s", truncate(message))
	}
}
