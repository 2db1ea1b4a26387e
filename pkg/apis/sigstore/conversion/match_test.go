// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestWhatAMatchBecomes(t *testing.T) {
	shop := &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"app": "shop"}}
	for name, tt := range map[string]struct {
		match string
		want  []v1alpha1.ResourceMatch
		// nothing says that the policy covers nothing, and warning is part of a warning.
		nothing bool
		warning string
	}{
		"none":                  {match: "[]"},
		"one version of a kind": {match: "[{group: apps, version: v1, resource: deployments}]", want: []v1alpha1.ResourceMatch{{Group: "apps", Version: "v1", Resource: "deployments"}}},
		"any version of it":     {match: "[{version: '*', resource: pods}]", want: []v1alpha1.ResourceMatch{{Resource: "pods"}}},
		"labels of Pods, which are their own": {
			match: "[{version: v1, resource: pods, selector: {matchLabels: {app: shop}}}]",
			want:  []v1alpha1.ResourceMatch{{Version: "v1", Resource: "pods", Selector: shop}},
		},
		"labels of workloads, and not of their Pods": {
			match: "[{group: apps, version: v1, resource: deployments, selector: {matchLabels: {app: shop}}}]",
			want:  []v1alpha1.ResourceMatch{{Group: "apps", Version: "v1", Resource: "deployments", ObjectSelector: shop}},
		},
		"expressions": {
			match: "[{version: v1, resource: pods, selector: {matchExpressions: [{key: env, operator: NotIn, values: [dev, test]}, {key: app, operator: Exists}]}}]",
			want: []v1alpha1.ResourceMatch{{Version: "v1", Resource: "pods", Selector: &v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelRequirement{
				{Key: "env", Operator: "NotIn", Values: []v1alpha1.LabelValue{"dev", "test"}}, {Key: "app", Operator: "Exists"},
			}}}},
		},
		"an empty selector": {match: "[{version: v1, resource: pods, selector: {}}]", want: []v1alpha1.ResourceMatch{{Version: "v1", Resource: "pods"}}},
		"one that selects nothing, beside another": {
			match: "[{resource: pods}, {group: batch, version: v1, resource: jobs}]", want: []v1alpha1.ResourceMatch{{Group: "batch", Version: "v1", Resource: "jobs"}},
			warning: "spec.match[0].version",
		},
		"none that selects anything": {match: "[{resource: pods}, {version: v1, resource: '*'}]", nothing: true},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, "{images: [{glob: corp.example/**}], authorities: [{static: {action: fail}}], match: "+tt.match+"}", options)
			if diff := cmp.Diff(tt.want, converted.Object.Spec.Match); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
			if converted.CoversNothing != tt.nothing || len(refused) > 0 != tt.nothing {
				t.Errorf("covers nothing: %v, refused: %v; want %v", converted.CoversNothing, refused, tt.nothing)
			}
			if warnings := strings.Join(converted.Warnings, "\n"); (warnings != "") != (tt.warning != "") || !strings.Contains(warnings, tt.warning) {
				t.Errorf("warnings %q, want %q", warnings, tt.warning)
			}
		})
	}
}
