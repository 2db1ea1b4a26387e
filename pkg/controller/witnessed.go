// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
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

// asksNoWitness reports whether the conditions are those of a good poll of a log that asks
// for no witness.
func asksNoWitness(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionConsistent) &&
		!slices.ContainsFunc(conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionWitnessed })
}

// measureWitnessed shows how far witnesses have cosigned the active tree of a log that
// asks for them.
func (m *logMetrics) measureWitnessed(obj *v1alpha1.TransparencyLog) {
	if obj.Spec.Witnesses == "" {
		m.witnessed.DeleteLabelValues(obj.Name)
		return
	}
	var size int64
	if stored := obj.Status.Checkpoint; stored != nil && stored.Witnessed != nil {
		size = stored.Witnessed.Size
	}
	m.witnessed.WithLabelValues(obj.Name).Set(float64(size))
}
