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

// ExceptionUses makes Events of the uses of exceptions: at once for the first, then one a
// minute for each exception and policy, with how often that was. Every replica runs it.
// The zero value is ready for Note.
type ExceptionUses struct {
	client   client.Reader
	recorder events.EventRecorder

	mu   sync.Mutex
	seen map[exceptionUse]*useCount
}

type exceptionUse struct {
	exception types.NamespacedName
	policy    policy.ID
}

type useCount struct {
	since int
	told  time.Time
	last  string
}

// Note takes down one use. It is a policy.Options.Excepted.
func (u *ExceptionUses) Note(image string, r policy.PolicyResult) {
	if r.Exception == nil {
		return
	}
	_, reason, _ := policy.Outcome(r.Verdict)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = map[exceptionUse]*useCount{}
	}
	use := exceptionUse{types.NamespacedName{Namespace: r.Exception.Namespace, Name: r.Exception.Name}, r.Policy}
	if u.seen[use] == nil {
		u.seen[use] = &useCount{}
	}
	u.seen[use].since++
	u.seen[use].last = fmt.Sprintf("%.300q: %s", image, reason)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica admits.
func (u *ExceptionUses) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (u *ExceptionUses) Start(ctx context.Context) error {
	ticker := time.NewTicker(outageTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			u.tell(ctx)
		}
	}
}

// tell makes an Event of each use that is due.
func (u *ExceptionUses) tell(ctx context.Context) {
	for use, message := range u.due(time.Now()) {
		ctrl.LoggerFrom(ctx).Info("An exception admitted images", "exception", use.exception, "policy", use.policy, "message", message)
		var obj v1alpha1.ImagePolicyException
		if err := u.client.Get(ctx, use.exception, &obj); err != nil {
			continue // it was deleted
		}
		u.recorder.Eventf(&obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonExceptionUsed, "Admit", "%s", truncate(message))
	}
}

// due returns what is to be told now, and forgets what has not happened for a while.
func (u *ExceptionUses) due(now time.Time) map[exceptionUse]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	messages := map[exceptionUse]string{}
	for use, count := range u.seen {
		switch {
		case now.Sub(count.told) < outagePause:
		case count.since == 0:
			delete(u.seen, use)
		default:
			messages[use] = fmt.Sprintf("admitted images %d times that %v does not accept, the last one %s", count.since, use.policy, count.last)
			count.since, count.told = 0, now
		}
	}
	return messages
}
