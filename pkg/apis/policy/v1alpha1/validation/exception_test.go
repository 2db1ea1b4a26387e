// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestExceptionsAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	const week = v1alpha1.DefaultMaxExceptionAge
	for name, tt := range map[string]struct {
		edit func(*v1alpha1.ImagePolicyException)
		want []string
	}{
		"a good one":       {func(*v1alpha1.ImagePolicyException) {}, nil},
		"a week":           {func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.NewTime(now.Add(week)) }, nil},
		"more than a week": {func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.NewTime(now.Add(week + time.Second)) }, []string{"spec.expires"}},
		"a year":           {func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.NewTime(now.AddDate(1, 0, 0)) }, []string{"spec.expires"}},
		"no end":           {func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.Time{} }, []string{"spec.expires"}},
		"one that is past": {func(x *v1alpha1.ImagePolicyException) { x.Spec.Expires = metav1.NewTime(now) }, []string{"spec.expires"}},
		"one that is extended": {func(x *v1alpha1.ImagePolicyException) {
			x.CreationTimestamp, x.Spec.Expires = metav1.NewTime(now.Add(-6*24*time.Hour)), metav1.NewTime(now.Add(2*24*time.Hour))
		}, []string{"spec.expires"}},
		"no reason":            {func(x *v1alpha1.ImagePolicyException) { x.Spec.Reason = "" }, []string{"spec.reason"}},
		"a long reason":        {func(x *v1alpha1.ImagePolicyException) { x.Spec.Reason = strings.Repeat("é", 513) }, []string{"spec.reason"}},
		"no image":             {func(x *v1alpha1.ImagePolicyException) { x.Spec.Images = nil }, []string{"spec.images"}},
		"a tag":                {func(x *v1alpha1.ImagePolicyException) { x.Spec.Images[0].Glob = "corp.example/app:1" }, []string{"spec.images[0].glob"}},
		"a pattern of tags":    {func(x *v1alpha1.ImagePolicyException) { x.Spec.Images[0].Glob = "corp.example/app:*" }, []string{"spec.images[0].glob"}},
		"a pattern of nothing": {func(x *v1alpha1.ImagePolicyException) { x.Spec.Images[0].Glob = "a//b" }, []string{"spec.images[0].glob"}},
		"too many":             {func(x *v1alpha1.ImagePolicyException) { x.Spec.Images = make129()[:17] }, []string{"spec.images"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &v1alpha1.ImagePolicyException{Spec: v1alpha1.ImagePolicyExceptionSpec{
				Images: []v1alpha1.ImagePattern{{Glob: "corp.example/app"}}, Reason: "why", Expires: metav1.NewTime(now.Add(time.Hour)),
			}}
			tt.edit(x)
			var got []string
			for _, err := range ImagePolicyException(x, now, week) {
				got = append(got, err.Field)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
