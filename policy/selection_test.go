// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// labelled knows the labels of some namespaces, and counts how often it is asked.
type labelled struct {
	labels map[string]map[string]string
	asked  int
}

func (l *labelled) Labels(_ context.Context, name string) (map[string]string, error) {
	l.asked++
	labels, ok := l.labels[name]
	if !ok {
		return nil, errors.New("the API server does not answer")
	}
	return labels, nil
}

func withLabels(sets ...map[string]string) func() ([]map[string]string, error) {
	return func() ([]map[string]string, error) { return sets, nil }
}

func resource(group, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
}

func selecting(namespaces *v1alpha1.LabelSelector, match ...v1alpha1.ResourceMatch) *Policy {
	obj := &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{
		Images: []v1alpha1.ImagePattern{{Glob: "**"}}, NamespaceSelector: namespaces, Match: match,
		Authorities: []v1alpha1.Authority{{Name: "no", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail}}},
	}}
	obj.Name = "p"
	return Compile(context.Background(), obj, Trust{})
}

func labelsAre(labels map[string]v1alpha1.LabelValue) *v1alpha1.LabelSelector {
	return &v1alpha1.LabelSelector{MatchLabels: labels}
}

func expression(key string, operator v1alpha1.LabelOperator, values ...v1alpha1.LabelValue) *v1alpha1.LabelSelector {
	return &v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelRequirement{{Key: key, Operator: operator, Values: values}}}
}

// TestSelection: covered is what the policy has a say about, sure whether that is known. The
// policy refuses all that it covers.
func TestSelection(t *testing.T) {
	const name = "kubernetes.io/metadata.name"
	prod := labelsAre(map[string]v1alpha1.LabelValue{"env": "prod"})
	pods := v1alpha1.ResourceMatch{Version: "v1", Resource: "pods"}
	shop := v1alpha1.ResourceMatch{Resource: "pods", Selector: labelsAre(map[string]v1alpha1.LabelValue{"app": "shop"})}
	own := v1alpha1.ResourceMatch{Group: "apps", Resource: "deployments", ObjectSelector: labelsAre(map[string]v1alpha1.LabelValue{"app": "shop"})}
	both := v1alpha1.ResourceMatch{Group: "apps", Resource: "deployments", ObjectSelector: own.ObjectSelector, Selector: shop.Selector}
	deployment := func(object, template string) Origin {
		return Origin{
			Namespace: "live", Resource: resource("apps", "deployments"), Labels: withLabels(map[string]string{"app": template}),
			ObjectLabels: func() (map[string]string, error) { return map[string]string{"app": object}, nil },
		}
	}
	unreadable := Origin{Namespace: "live", Resource: resource("apps", "deployments"), ObjectLabels: func() (map[string]string, error) { return nil, errors.New("a label twice") }}
	in := func(namespace string) Origin { return Origin{Namespace: namespace, Resource: resource("", "pods")} }
	labelledPod := func(labels ...map[string]string) Origin {
		return Origin{Namespace: "live", Resource: resource("", "pods"), Labels: withLabels(labels...)}
	}
	for sentence, tt := range map[string]struct {
		policy        *Policy
		origin        Origin
		covered, sure bool
		asked         int
	}{
		"no selector is everywhere":                                   {selecting(nil), in("dev"), true, true, 0},
		"an empty selector is everywhere":                             {selecting(&v1alpha1.LabelSelector{}), in("dev"), true, true, 0},
		"a name that is selected is not looked up":                    {selecting(expression(name, v1alpha1.LabelIn, "live", "dev")), in("dev"), true, true, 0},
		"a name that is not selected":                                 {selecting(expression(name, v1alpha1.LabelIn, "live")), in("dev"), false, false, 0},
		"a name that is excluded":                                     {selecting(expression(name, v1alpha1.LabelNotIn, "dev")), in("dev"), false, false, 0},
		"a name like one that is excluded":                            {selecting(expression(name, v1alpha1.LabelNotIn, "dev")), in("dev-1"), true, true, 0},
		"a label that the namespace has":                              {selecting(prod), in("live"), true, true, 1},
		"a label that it has with another value":                      {selecting(prod), in("dev"), false, false, 1},
		"a label that it has not":                                     {selecting(prod), in("bare"), false, false, 1},
		"the lack of a label":                                         {selecting(expression("env", v1alpha1.LabelDoesNotExist)), in("bare"), true, true, 1},
		"a namespace whose labels cannot be read is covered":          {selecting(prod), in("unknown"), true, false, 1},
		"a namespace that nobody named is covered":                    {selecting(expression(name, v1alpha1.LabelIn, "live")), Origin{}, true, false, 0},
		"a label that claims another name changes nothing":            {selecting(expression(name, v1alpha1.LabelIn, "live")), in("liar"), false, false, 0},
		"a selector that cannot be read is everywhere":                {selecting(expression("env", "Near")), in("dev"), true, true, 0},
		"a kind that is matched":                                      {selecting(nil, pods), in("dev"), true, true, 0},
		"a kind that is not":                                          {selecting(nil, pods), Origin{Namespace: "dev", Resource: resource("apps", "deployments")}, false, false, 0},
		"a kind of the same name in another group":                    {selecting(nil, pods), Origin{Namespace: "dev", Resource: resource("metrics.k8s.io", "pods")}, false, false, 0},
		"a version that is not matched":                               {selecting(nil, v1alpha1.ResourceMatch{Version: "v2", Resource: "pods"}), in("dev"), false, false, 0},
		"a kind that nobody knows is covered":                         {selecting(nil, pods), Origin{Namespace: "dev"}, true, false, 0},
		"any of several matches":                                      {selecting(nil, v1alpha1.ResourceMatch{Group: "batch", Resource: "jobs"}, pods), in("dev"), true, true, 0},
		"a kind in a namespace that is not selected":                  {selecting(prod, pods), in("dev"), false, false, 1},
		"a label of the object":                                       {selecting(nil, shop), labelledPod(map[string]string{"app": "shop"}), true, true, 0},
		"an object without it":                                        {selecting(nil, shop), labelledPod(nil), false, false, 0},
		"an object whose labels nobody knows is covered":              {selecting(nil, shop), in("dev"), true, false, 0},
		"one template of several is selected: all are covered":        {selecting(nil, shop), labelledPod(nil, map[string]string{"app": "shop"}), true, false, 0},
		"an object selector that cannot be read is every object":      {selecting(nil, v1alpha1.ResourceMatch{Resource: "pods", Selector: expression("a b", v1alpha1.LabelExists)}), Origin{Resource: resource("apps", "deployments")}, true, true, 0},
		"a label of a workload itself":                                {selecting(nil, own), deployment("shop", "web"), true, true, 0},
		"one that only its template has":                              {selecting(nil, own), deployment("web", "shop"), false, false, 0},
		"a label of both, on both":                                    {selecting(nil, both), deployment("shop", "shop"), true, true, 0},
		"a label of both, on the workload alone":                      {selecting(nil, both), deployment("shop", "web"), false, false, 0},
		"a label of both, on the template alone":                      {selecting(nil, both), deployment("web", "shop"), false, false, 0},
		"a workload whose labels nobody knows is covered":             {selecting(nil, own), Origin{Namespace: "live", Resource: resource("apps", "deployments")}, true, false, 0},
		"a workload whose labels cannot be read is covered":           {selecting(nil, own), unreadable, true, false, 0},
		"labels that cannot be read, of a kind that is not meant":     {selecting(nil, own), Origin{Namespace: "live", Resource: resource("", "pods")}, false, false, 0},
		"a selector of workloads that cannot be read is every object": {selecting(nil, v1alpha1.ResourceMatch{Resource: "pods", ObjectSelector: expression("a b", v1alpha1.LabelExists)}), Origin{Resource: resource("apps", "deployments")}, true, true, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			namespaces := &labelled{labels: map[string]map[string]string{
				"live": {"env": "prod", name: "live"}, "dev": {"env": "dev", name: "dev"}, "bare": {}, "liar": {name: "live", "env": "prod"},
			}}
			e := NewEvaluator(Options{Policies: NewSet(tt.policy), Registry: &scripted{}, Namespaces: namespaces})
			d := e.EvaluateAll(t.Context(), tt.origin, []string{"corp.example/a@" + digestOf("1")})["corp.example/a@"+digestOf("1")]
			if d.Covered() != tt.covered || d.SurelyCovered() != tt.sure || namespaces.asked != tt.asked {
				t.Errorf("covered = %v, surely = %v, after %d questions; want %v, %v, %d", d.Covered(), d.SurelyCovered(), namespaces.asked, tt.covered, tt.sure, tt.asked)
			}
			if refused := Denial([]Decision{d}, NoMatchAllow) != ""; refused != tt.covered {
				t.Errorf("refused = %v, want %v", refused, tt.covered)
			}
			if Denial([]Decision{d}, NoMatchDeny) == "" {
				t.Error("an image that no policy accepts passed where what no policy covers is refused")
			}
		})
	}
}

// TestAPolicyThatMayNotReachAnImageDoesNotVouchForIt: otherwise whoever keeps the labels
// of a namespace from being read could get an image in that no policy covers.
func TestAPolicyThatMayNotReachAnImageDoesNotVouchForIt(t *testing.T) {
	p := selecting(labelsAre(map[string]v1alpha1.LabelValue{"env": "sandbox"}))
	p.authorities = []authority{{name: "pass", fixed: staticVerdict(&v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass})}}
	namespaces := &labelled{labels: map[string]map[string]string{"sandbox": {"env": "sandbox"}}}
	e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{}, Namespaces: namespaces})
	for namespace, refused := range map[string]bool{"sandbox": false, "unknown": true} {
		d := e.Evaluate(t.Context(), Origin{Namespace: namespace}, "corp.example/a:1")
		if got := Denial([]Decision{d}, NoMatchDeny) != ""; got != refused {
			t.Errorf("in %s: refused = %v, want %v", namespace, got, refused)
		}
	}
}
