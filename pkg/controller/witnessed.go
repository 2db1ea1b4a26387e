// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// witnessed says what the witnesses of a log say of the checkpoint that a poll brought:
// nothing where none are asked for. The message changes only with those who cosign.
func witnessed(checkpoint tlog.Checkpoint) []metav1.Condition {
	switch text := checkpoint.Witnesses(); {
	case text == "":
		return nil
	case checkpoint.IsWitnessed():
		return []metav1.Condition{holds(v1alpha1.ConditionWitnessed, text)}
	default:
		return []metav1.Condition{fails(v1alpha1.ConditionWitnessed, v1alpha1.ReasonWitnessQuorumNotMet, text)}
	}
}
