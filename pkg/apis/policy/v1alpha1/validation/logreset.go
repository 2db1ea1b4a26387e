// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	maxResetOrigin = 300
	maxRequestedBy = 512
	maxResetReason = 1024
)

// logReset checks the form of a reset, and that it is about a tree of this log.
func logReset(path *field.Path, spec *v1alpha1.TransparencyLogSpec) field.ErrorList {
	reset := spec.Reset
	if reset == nil {
		return nil
	}
	errs := required(path.Child("origin"), reset.Origin, maxResetOrigin)
	if len(errs) == 0 && reset.Origin != spec.Origin && !strings.HasPrefix(reset.Origin, spec.Origin+" - ") {
		errs = append(errs, field.Invalid(path.Child("origin"), reset.Origin, "it is not of this log, whose origin is "+spec.Origin))
	}
	errs = append(errs, pin(path.Child("stored"), &reset.Stored)...)
	errs = append(errs, pin(path.Child("accepted"), &reset.Accepted)...)
	errs = append(errs, required(path.Child("requestedBy"), reset.RequestedBy, maxRequestedBy)...)
	return append(errs, required(path.Child("reason"), reset.Reason, maxResetReason)...)
}

// ResetBy returns what is wrong with a reset that user writes into a log that was before.
// It names who writes it, so that who gave up a history cannot be made up; and what is
// stored, so that whoever is mistaken about that learns it at once. The same is asked again
// when the reset is carried out.
func ResetBy(user string, log, before *v1alpha1.TransparencyLog) field.ErrorList {
	reset, path := log.Spec.Reset, field.NewPath("spec", "reset")
	if reset == nil || equality.Semantic.DeepEqual(reset, before.Spec.Reset) {
		return nil
	}
	done := before.DeepCopy()
	done.Spec.Reset = reset
	if trust.ResetDone(done) {
		return nil // it means nothing any more
	}
	var errs field.ErrorList
	if reset.RequestedBy != user {
		errs = append(errs, field.Invalid(path.Child("requestedBy"), reset.RequestedBy, "must be the name of who writes it, "+user))
	}
	if err := trust.CheckReset(before, reset); err != nil {
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, err.Error()))
	}
	return errs
}
