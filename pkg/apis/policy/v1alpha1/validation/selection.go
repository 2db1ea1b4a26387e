// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// Bounds of the schema, for selectors.
const (
	maxMatch       = 32
	maxLabels      = 32
	maxLabelValues = 64
	maxLabelValue  = 63
	maxLabelKey    = 317
)

// resourcePattern is that of the schema.
var resourcePattern = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func labelSelector(path *field.Path, s *v1alpha1.LabelSelector) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	if len(s.MatchLabels) > maxLabels {
		errs = append(errs, field.TooMany(path.Child("matchLabels"), len(s.MatchLabels), maxLabels))
	}
	if len(s.MatchExpressions) > maxLabels {
		errs = append(errs, field.TooMany(path.Child("matchExpressions"), len(s.MatchExpressions), maxLabels))
	}
	for i, e := range s.MatchExpressions {
		at := path.Child("matchExpressions").Index(i)
		errs = append(errs, oneOf(at.Child("operator"), e.Operator, v1alpha1.LabelIn, v1alpha1.LabelNotIn, v1alpha1.LabelExists, v1alpha1.LabelDoesNotExist)...)
		if len(e.Values) > maxLabelValues {
			errs = append(errs, field.TooMany(at.Child("values"), len(e.Values), maxLabelValues))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	if _, err := s.Requirements(); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	return nil
}

func matches(path *field.Path, match []v1alpha1.ResourceMatch) field.ErrorList {
	var errs field.ErrorList
	if len(match) > maxMatch {
		errs = append(errs, field.TooMany(path, len(match), maxMatch))
	}
	for i := range match {
		m, at := &match[i], path.Index(i)
		if len(m.Resource) > maxLabelValue || !resourcePattern.MatchString(m.Resource) {
			errs = append(errs, field.Invalid(at.Child("resource"), m.Resource, "must be a plural name as in URLs, such as pods or deployments"))
		}
		for _, problem := range utilvalidation.IsDNS1123Subdomain(m.Group) {
			if m.Group != "" {
				errs = append(errs, field.Invalid(at.Child("group"), m.Group, problem))
			}
		}
		for _, problem := range utilvalidation.IsDNS1123Label(m.Version) {
			if m.Version != "" {
				errs = append(errs, field.Invalid(at.Child("version"), m.Version, problem))
			}
		}
		errs = append(errs, labelSelector(at.Child("selector"), m.Selector)...)
		errs = append(errs, labelSelector(at.Child("objectSelector"), m.ObjectSelector)...)
	}
	return errs
}

// selectionWarnings says who can take an image out of a policy that selects by labels or
// kinds.
func selectionWarnings(namespaces *v1alpha1.LabelSelector, match []v1alpha1.ResourceMatch) []string {
	var warnings []string
	if keys := changeable(namespaces); len(keys) > 0 {
		warnings = append(warnings, fmt.Sprintf(
			"spec.namespaceSelector: whoever may update a namespace can change its label %q, and with it whether the policy covers what runs there; only %s cannot be changed", keys[0], corev1.LabelMetadataName))
	}
	for i := range match {
		const chosen = "whoever writes an object chooses its labels, and with them whether the policy covers it"
		if match[i].Selector != nil {
			warnings = append(warnings, fmt.Sprintf("spec.match[%d].selector: %s", i, chosen))
		}
		if match[i].ObjectSelector != nil {
			warnings = append(warnings, fmt.Sprintf("spec.match[%d].objectSelector: %s", i, chosen))
		}
	}
	pods := func(m v1alpha1.ResourceMatch) bool {
		return m.Group == "" && m.Resource == "pods" && (m.Version == "" || m.Version == "v1")
	}
	if len(match) > 0 && !slices.ContainsFunc(match, pods) {
		warnings = append(warnings, "spec.match: Pods are not among them: the policy judges no Pod, and whoever creates one is not held to it")
	}
	return warnings
}

// changeable returns the labels of namespaces that a selector asks about and that their
// owners can change.
func changeable(s *v1alpha1.LabelSelector) []string {
	var keys []string
	requirements, err := s.Requirements()
	if err != nil {
		return nil
	}
	for i := range requirements {
		if key := requirements[i].Key(); key != corev1.LabelMetadataName {
			keys = append(keys, key)
		}
	}
	return keys
}
