// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/policy"
)

// maxMessage bounds the message of a condition, and that of an Event, in bytes.
// The API server refuses an Event with more than 1024.
const maxMessage = 1000

// setConditions sets conditions in all, for a generation, and reports whether
// that changed anything.
func setConditions(all *[]metav1.Condition, generation int64, conditions ...metav1.Condition) bool {
	changed := false
	for _, condition := range conditions {
		condition.ObservedGeneration = generation
		condition.Message = truncate(condition.Message)
		changed = meta.SetStatusCondition(all, condition) || changed
	}
	return changed
}

// truncate cuts a message to what may be stored.
func truncate(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

func holds(condition, message string) metav1.Condition {
	return metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: message}
}

func fails(condition, reason, message string) metav1.Condition {
	return metav1.Condition{Type: condition, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// policyConditions says what a policy's problems mean, and what there is to know of
// its keys although they work. lying holds the names of
// logs that are caught in an inconsistency and that the policy may use.
func policyConditions(problems []policy.Problem, notes []policy.Note, lying []string) []metav1.Condition {
	ready := holds(v1alpha1.ConditionReady, "the policy is in force as it is written")
	keys := holds(v1alpha1.ConditionKeysResolved, "every key was found and parses")
	for _, note := range slices.Backward(notes) {
		keys.Reason, keys.Message = note.Reason, fmt.Sprintf("%s: %s", note.Path, note.Text)
		ready.Message = keys.Message
	}
	logs := holds(v1alpha1.ConditionLogsReady, "every log that is needed exists and can be used")
	roots := holds(v1alpha1.ConditionTrustRootsReady, "every trust root that is needed exists and can be used")
	if len(lying) > 0 {
		logs = fails(logs.Type, v1alpha1.ReasonLogInconsistent, "inconsistent, see status.inconsistency of TransparencyLog "+strings.Join(lying, ", "))
		ready = fails(ready.Type, logs.Reason, logs.Message)
	}
	// In reverse, so that the first problem of each kind is the one that is shown.
	for _, problem := range slices.Backward(problems) {
		reason, message := trust.ConditionReason(problem.Err), fmt.Sprintf("%s: %v", problem.Path, problem.Err)
		switch problem.Part {
		case policy.PartKey:
			keys = fails(keys.Type, reason, message)
		case policy.PartLog:
			logs = fails(logs.Type, reason, message)
		case policy.PartRoot:
			roots = fails(roots.Type, reason, message)
		default:
			reason = v1alpha1.ReasonSpecInvalid
		}
		ready = fails(ready.Type, reason, message)
	}
	return []metav1.Condition{ready, keys, logs, roots}
}

// logConditions says what the outcome of a poll means, and the log's freshness after
// it. What a poll cannot tell is left as it was: a log that does not answer is not
// caught lying.
func logConditions(polled tlog.Polled, err error, known tlog.Freshness, now time.Time) []metav1.Condition {
	conditions, fresh := pollConditions(polled, err), freshCondition(err, known, now)
	if fresh.Status == metav1.ConditionFalse && err == nil {
		// It answers, and shows less than it did.
		conditions[0] = fails(v1alpha1.ConditionReady, fresh.Reason, fresh.Message)
	}
	return append(conditions, fresh)
}

// freshCondition says whether the log was verified within its limit.
func freshCondition(err error, known tlog.Freshness, now time.Time) metav1.Condition {
	switch {
	case known.Stale(now):
		return fails(v1alpha1.ConditionFresh, v1alpha1.ReasonCheckpointStale, fmt.Sprintf(
			"the log was last verified at %s, longer ago than maxStaleness (%v): whatever needs it is denied",
			known.VerifiedAt.UTC().Format(time.RFC3339), known.Limit))
	case known.VerifiedAt.IsZero() && err != nil:
		return metav1.Condition{
			Type: v1alpha1.ConditionFresh, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonUnavailable,
			Message: "the log has not been verified yet",
		}
	case known.Limit == 0:
		return holds(v1alpha1.ConditionFresh, "the time of the log's key is over: what is added now does not count, so nothing can be hidden")
	default:
		return holds(v1alpha1.ConditionFresh, fmt.Sprintf("the log was verified within maxStaleness (%v)", known.Limit))
	}
}

// pollConditions are Ready, which comes first, and what else a poll can tell.
func pollConditions(polled tlog.Polled, err error) []metav1.Condition {
	switch {
	case err == nil:
		return append([]metav1.Condition{
			holds(v1alpha1.ConditionReady, "the log answers, and everything it said so far can be true"),
			holds(v1alpha1.ConditionReachable, answered(polled.Silent)),
			holds(v1alpha1.ConditionConsistent, fmt.Sprintf("tree %q is one append-only history", polled.Origin())),
		}, witnessed(polled.Checkpoint)...)
	case errors.Is(err, tlog.ErrInconsistent):
		return caught(v1alpha1.ReasonLogInconsistent, err)
	case errors.Is(err, tlog.ErrKeyValidity):
		return []metav1.Condition{
			fails(v1alpha1.ConditionReady, v1alpha1.ReasonKeyNotValid, err.Error()),
			holds(v1alpha1.ConditionReachable, "the log answered the last poll"),
		}
	case errors.Is(err, tlog.ErrCheckpoint), errors.Is(err, tlog.ErrLimit):
		return caught(v1alpha1.ReasonCheckpointInvalid, err)
	case errors.Is(err, trust.ErrLogNotReady):
		return []metav1.Condition{fails(v1alpha1.ConditionReady, trust.ConditionReason(err), err.Error())}
	default:
		return []metav1.Condition{
			fails(v1alpha1.ConditionReady, v1alpha1.ReasonUnavailable, err.Error()),
			fails(v1alpha1.ConditionReachable, v1alpha1.ReasonUnavailable, err.Error()),
		}
	}
}

// answered says who answered a poll. One replica that does is enough.
func answered(silent []error) string {
	const text = "the log answered the last poll"
	if len(silent) == 0 {
		return text
	}
	parts := []string{fmt.Sprintf("%s, and %d of its replicas did not", text, len(silent))}
	for _, err := range silent {
		parts = append(parts, err.Error())
	}
	return strings.Join(parts, "; ")
}

// withInsecure adds to the condition Ready of a log what its spec leaves out.
func withInsecure(spec *v1alpha1.TransparencyLogSpec, conditions []metav1.Condition) []metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == v1alpha1.ConditionReady && spec.SkipsTLSVerification() {
			conditions[i].Message += "; any TLS certificate of it is accepted (spec.tls.insecureSkipVerify)"
		}
	}
	return conditions
}

// caught are the conditions of a log that answered, and wrongly.
func caught(reason string, err error) []metav1.Condition {
	return []metav1.Condition{
		fails(v1alpha1.ConditionReady, reason, err.Error()),
		holds(v1alpha1.ConditionReachable, "the log answered the last poll"),
		fails(v1alpha1.ConditionConsistent, reason, err.Error()),
	}
}
