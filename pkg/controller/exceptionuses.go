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

// ExceptionUses makes Events of the uses of exceptions, for each exception and policy.
// Every replica runs it. The zero value is ready for Note.
type ExceptionUses struct {
	client   client.Reader
	recorder events.EventRecorder
	uses     tally[exceptionUse, string]
}

type exceptionUse struct {
	exception types.NamespacedName
	policy    policy.ID
}

// Note takes down one use. It is a policy.Options.Excepted.
func (u *ExceptionUses) Note(image string, r policy.PolicyResult) {
	if r.Exception == nil {
		return
	}
	_, reason, _ := policy.Outcome(r.Verdict)
	exception := types.NamespacedName{Namespace: r.Exception.Namespace, Name: r.Exception.Name}
	u.uses.note(exceptionUse{exception, r.Policy}, fmt.Sprintf("%.300q: %s", image, reason))
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica admits.
func (u *ExceptionUses) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (u *ExceptionUses) Start(ctx context.Context) error {
	everyTick(ctx, u.tell)
	return nil
}

// tell makes an Event of each use that is due.
func (u *ExceptionUses) tell(ctx context.Context) {
	for use, count := range u.uses.due(time.Now()) {
		message := fmt.Sprintf("admitted images %d times that %v does not accept, the last one %s", count.times, use.policy, count.last)
		ctrl.LoggerFrom(ctx).Info("An exception admitted images", "exception", use.exception, "policy", use.policy, "message", message)
		var obj v1alpha1.ImagePolicyException
		if err := u.client.Get(ctx, use.exception, &obj); err != nil {
			continue // it was deleted
		}
		u.recorder.Eventf(&obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonExceptionUsed, "Admit", "%s", truncate(message))
	}
}
