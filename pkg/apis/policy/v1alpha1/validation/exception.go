// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
)

// Bounds of the schema of an ImagePolicyException.
const (
	maxExceptionImages    = 16
	maxExceptionReason    = 512
	maxExceptionApprover  = 256
	maxExceptionReference = 512
)

// ImagePolicyException returns what makes an exception useless, written now, where one may
// last maxAge from its creation.
func ImagePolicyException(x *v1alpha1.ImagePolicyException, now time.Time, maxAge time.Duration) field.ErrorList {
	spec, path := &x.Spec, field.NewPath("spec")
	errs := v1alpha1.UnreadErrors(spec.Unread)
	if len(spec.Images) == 0 {
		errs = append(errs, field.Required(path.Child("images"), "at least one pattern says which images are admitted"))
	}
	if len(spec.Images) > maxExceptionImages {
		errs = append(errs, field.TooMany(path.Child("images"), len(spec.Images), maxExceptionImages))
	}
	errs = append(errs, patterns(path.Child("images"), spec.Images)...)
	for i, pattern := range spec.Images {
		if glob, err := image.ParseGlob(pattern.Glob); err == nil && glob.HasTag() {
			errs = append(errs, field.Invalid(path.Child("images").Index(i).Child("glob"), pattern.Glob,
				"a tag beside a digest is only a claim, and Pods are pinned: name a repository, or a digest in it"))
		}
	}
	if spec.Reason == "" {
		errs = append(errs, field.Required(path.Child("reason"), "whoever sees that the exception is used must see why it was made"))
	}
	for _, text := range []struct {
		name, value string
		max         int
	}{
		{"reason", spec.Reason, maxExceptionReason}, {"approvedBy", spec.ApprovedBy, maxExceptionApprover}, {"reference", spec.Reference, maxExceptionReference},
	} {
		if len([]rune(text.value)) > text.max {
			errs = append(errs, field.TooLong(path.Child(text.name), "", text.max))
		}
	}
	return append(errs, expiry(path.Child("expires"), x, now, maxAge)...)
}

func expiry(path *field.Path, x *v1alpha1.ImagePolicyException, now time.Time, maxAge time.Duration) field.ErrorList {
	created := x.CreationTimestamp.Time
	if created.IsZero() {
		created = now
	}
	expires := x.Spec.Expires.Time
	switch {
	case expires.IsZero():
		return field.ErrorList{field.Required(path, "an exception ends")}
	case !expires.After(now):
		return field.ErrorList{field.Invalid(path, expires.UTC().Format(time.RFC3339), "is past")}
	case expires.Sub(created) > maxAge:
		return field.ErrorList{field.Invalid(path, expires.UTC().Format(time.RFC3339),
			fmt.Sprintf("must be within %v of the object's creation, which is %s at the latest", maxAge, created.Add(maxAge).UTC().Format(time.RFC3339)))}
	default:
		return nil
	}
}

// ExceptionWarnings returns what is legal in an exception, and dangerous.
func ExceptionWarnings(x *v1alpha1.ImagePolicyException) []string {
	var warnings []string
	if coversEverything(x.Spec.Images) {
		warnings = append(warnings, "spec.images: every image is admitted in the namespace, whatever policies that allow exceptions say")
	}
	return warnings
}
