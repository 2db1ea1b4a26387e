// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import (
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// anyVersion is how a match says that it means all versions.
const anyVersion = "*"

// resourceName is what the plural name of a resource looks like.
var resourceName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// match keeps what a policy says of objects: group, version and resource are compared
// whole, but for the version *. A selector is about the labels of the object itself,
// also where its Pods have others.
func (c *converter) match(path *field.Path, in []sigstore.MatchResource) []v1alpha1.ResourceMatch {
	var kept []v1alpha1.ResourceMatch
	var idle field.ErrorList
	for i, m := range in {
		at := path.Index(i)
		switch {
		case !resourceName.MatchString(m.Resource):
			idle = append(idle, field.Invalid(at.Child("resource"), m.Resource,
				"matches no object in that API: write a plural name as in URLs, such as pods or deployments"))
			continue
		case m.Version == "":
			idle = append(idle, field.Invalid(at.Child("version"), m.Version,
				"matches no object in that API, which compares it with the object's: write the version, or "+anyVersion))
			continue
		}
		out := v1alpha1.ResourceMatch{Group: m.Group, Version: m.Version, Resource: m.Resource}
		if m.Version == anyVersion {
			out.Version = ""
		}
		now := path.Index(len(kept))
		c.moved(now, at)
		if selector := labelSelector(m.Selector); m.Group == "" && m.Resource == "pods" {
			out.Selector = selector // which is about the same labels
		} else {
			c.moved(now.Child("objectSelector"), at.Child("selector"))
			out.ObjectSelector = selector
		}
		kept = append(kept, out)
	}
	c.idle(path, idle, len(kept) > 0)
	return kept
}

// labelSelector says the same in our types. One without requirements selects everything,
// as does none.
func labelSelector(in *metav1.LabelSelector) *v1alpha1.LabelSelector {
	if in == nil || len(in.MatchLabels)+len(in.MatchExpressions) == 0 {
		return nil
	}
	out := &v1alpha1.LabelSelector{}
	for key, value := range in.MatchLabels {
		if out.MatchLabels == nil {
			out.MatchLabels = map[string]v1alpha1.LabelValue{}
		}
		out.MatchLabels[key] = v1alpha1.LabelValue(value)
	}
	for _, e := range in.MatchExpressions {
		requirement := v1alpha1.LabelRequirement{Key: e.Key, Operator: v1alpha1.LabelOperator(e.Operator)}
		for _, value := range e.Values {
			requirement.Values = append(requirement.Values, v1alpha1.LabelValue(value))
		}
		out.MatchExpressions = append(out.MatchExpressions, requirement)
	}
	return out
}
