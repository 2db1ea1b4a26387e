// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func TestSelectorsThatCannotBeReadAreRefused(t *testing.T) {
	expression := func(e v1alpha1.LabelRequirement) *v1alpha1.LabelSelector {
		return &v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelRequirement{e}}
	}
	pods := v1alpha1.ResourceMatch{Resource: "pods"}
	for name, tt := range map[string]struct {
		namespaces *v1alpha1.LabelSelector
		match      []v1alpha1.ResourceMatch
		want       []string
	}{
		"none":                            {},
		"an empty one":                    {namespaces: &v1alpha1.LabelSelector{}},
		"a good one":                      {namespaces: expression(v1alpha1.LabelRequirement{Key: corev1.LabelMetadataName, Operator: "NotIn", Values: []v1alpha1.LabelValue{"dev"}}), match: []v1alpha1.ResourceMatch{pods}},
		"an operator that is none":        {namespaces: expression(v1alpha1.LabelRequirement{Key: "env", Operator: "in", Values: []v1alpha1.LabelValue{"a"}}), want: []string{"spec.namespaceSelector.matchExpressions[0].operator"}},
		"In without values":               {namespaces: expression(v1alpha1.LabelRequirement{Key: "env", Operator: "In"}), want: []string{"spec.namespaceSelector"}},
		"Exists with values":              {namespaces: expression(v1alpha1.LabelRequirement{Key: "env", Operator: "Exists", Values: []v1alpha1.LabelValue{"a"}}), want: []string{"spec.namespaceSelector"}},
		"a key that is none":              {namespaces: &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"a b": "c"}}, want: []string{"spec.namespaceSelector"}},
		"a value that is none":            {namespaces: &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"a": "b c"}}, want: []string{"spec.namespaceSelector"}},
		"a kind in the place of pods":     {match: []v1alpha1.ResourceMatch{{Resource: "Pod"}}, want: []string{"spec.match[0].resource"}},
		"a subresource":                   {match: []v1alpha1.ResourceMatch{{Resource: "pods/status"}}, want: []string{"spec.match[0].resource"}},
		"a pattern":                       {match: []v1alpha1.ResourceMatch{{Resource: "*"}}, want: []string{"spec.match[0].resource"}},
		"no resource":                     {match: []v1alpha1.ResourceMatch{{Group: "apps"}}, want: []string{"spec.match[0].resource"}},
		"a group with a version in it":    {match: []v1alpha1.ResourceMatch{{Group: "apps/v1", Resource: "deployments"}}, want: []string{"spec.match[0].group"}},
		"a version that is none":          {match: []v1alpha1.ResourceMatch{{Version: "V1", Resource: "pods"}}, want: []string{"spec.match[0].version"}},
		"a selector of an object":         {match: []v1alpha1.ResourceMatch{pods, {Resource: "pods", Selector: expression(v1alpha1.LabelRequirement{Key: "a", Operator: "In"})}}, want: []string{"spec.match[1].selector"}},
		"a selector of the object itself": {match: []v1alpha1.ResourceMatch{{Resource: "pods", ObjectSelector: expression(v1alpha1.LabelRequirement{Key: "a", Operator: "has"})}}, want: []string{"spec.match[0].objectSelector.matchExpressions[0].operator"}},
		"too many":                        {match: make([]v1alpha1.ResourceMatch, maxMatch+1), want: manyMatches()},
	} {
		t.Run(name, func(t *testing.T) {
			policy := goodPolicy(t)
			policy.Spec.NamespaceSelector, policy.Spec.Match = tt.namespaces, tt.match
			var got []string
			for _, err := range ClusterImagePolicy(policy) {
				got = append(got, err.Field)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectorsThatSomebodyElseDecidesAreWarnedOf(t *testing.T) {
	labels := &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{corev1.LabelMetadataName: "shop", "env": "prod"}}
	name := &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{corev1.LabelMetadataName: "shop"}}
	for sentence, tt := range map[string]struct {
		namespaces *v1alpha1.LabelSelector
		match      []v1alpha1.ResourceMatch
		want       []string
	}{
		"none":                              {},
		"the name of a namespace":           {namespaces: name},
		"another label of it":               {namespaces: labels, want: []string{`its label "env"`}},
		"Pods":                              {match: []v1alpha1.ResourceMatch{{Resource: "pods"}}},
		"Pods by label":                     {match: []v1alpha1.ResourceMatch{{Resource: "pods", Selector: name}}, want: []string{"chooses its labels"}},
		"Pods by a label, twice":            {match: []v1alpha1.ResourceMatch{{Resource: "pods", Selector: name, ObjectSelector: name}}, want: []string{"spec.match[0].selector", "spec.match[0].objectSelector"}},
		"everything but Pods":               {match: []v1alpha1.ResourceMatch{{Group: "apps", Resource: "deployments"}}, want: []string{"Pods are not among them"}},
		"Pods of a version that is no more": {match: []v1alpha1.ResourceMatch{{Version: "v1beta1", Resource: "pods"}}, want: []string{"Pods are not among them"}},
	} {
		got := selectionWarnings(tt.namespaces, tt.match)
		if !slices.EqualFunc(got, tt.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", sentence, got, tt.want)
		}
	}
}

// manyMatches are the fields of a list that is too long, each of whose entries is empty.
func manyMatches() []string {
	fields := []string{"spec.match"}
	for i := range maxMatch + 1 {
		fields = append(fields, fmt.Sprintf("spec.match[%d].resource", i))
	}
	return fields
}
