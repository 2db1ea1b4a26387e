// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

const (
	// outageTick is how soon after the first lenient acceptance there is an Event.
	outageTick = 2 * time.Second
	// outagePause is the time between two Events about the same: an outage in which
	// ten thousand Pods start is to leave a few dozen.
	outagePause = time.Minute
)

// Outages makes Events of what policies accept although it could not be verified in
// full: one a minute for each policy and cause, with how often that was. Every replica
// runs it. The zero value is ready for Note.
type Outages struct {
	client   client.Reader
	recorder events.EventRecorder

	mu   sync.Mutex
	seen map[outageUse]*outageCount
}

// outageUse is what one Event is about.
type outageUse struct {
	policy policy.ID
	rule   v1alpha1.OnUnavailable
	cause  policy.Reason
}

type outageCount struct {
	// since counts the acceptances since the Event at told; detail is of the last.
	since  int
	told   time.Time
	detail string
}

// Note takes down one acceptance. It is a policy.Options.Lenient.
func (o *Outages) Note(r policy.PolicyResult) {
	lenient := r.Leniency()
	if lenient == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[outageUse]*outageCount{}
	}
	use := outageUse{r.Policy, lenient.Rule, lenient.Cause}
	if o.seen[use] == nil {
		o.seen[use] = &outageCount{}
	}
	o.seen[use].since++
	o.seen[use].detail = lenient.Detail
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica accepts.
func (o *Outages) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (o *Outages) Start(ctx context.Context) error {
	ticker := time.NewTicker(outageTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			o.tell(ctx)
		}
	}
}

// tell makes an Event of each use that is due.
func (o *Outages) tell(ctx context.Context) {
	for use, message := range o.due(time.Now()) {
		ctrl.LoggerFrom(ctx).Info("Images were accepted without full verification",
			"policy", use.policy, "rule", use.rule, "cause", use.cause, "message", message)
		var obj v1alpha1.ClusterImagePolicy
		if err := o.client.Get(ctx, types.NamespacedName{Name: use.policy.Name}, &obj); err != nil {
			continue // it was deleted
		}
		o.recorder.Eventf(&obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonAcceptedInOutage, "Verify", "%s", truncate(message))
	}
}

// due returns what is to be told now, and forgets what has not happened for a while.
func (o *Outages) due(now time.Time) map[outageUse]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages := map[outageUse]string{}
	for use, count := range o.seen {
		switch {
		case now.Sub(count.told) < outagePause:
		case count.since == 0:
			delete(o.seen, use)
		default:
			messages[use] = fmt.Sprintf("accepted images %d times without full verification (onUnavailable: %s): %s: %s",
				count.since, use.rule, use.cause, count.detail)
			count.since, count.told = 0, now
		}
	}
	return messages
}
