// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// ResourceMatch selects the objects of one kind, whose images a policy covers.
// +kubebuilder:pruning:PreserveUnknownFields
type ResourceMatch struct {
	// group is the API group of the resource, such as apps. It defaults to the core
	// group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"` //nolint:kubeapilinter // The core group is the empty name, and its absence.

	// version is the version of the group that countersign is asked about, such as
	// v1. It defaults to any.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Version string `json:"version,omitempty"` //nolint:kubeapilinter // An empty version is any, as is its absence.

	// resource is the plural name as in URLs, such as pods or deployments.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Resource string `json:"resource,omitempty"`

	// selector is about labels of the object: of a Pod its own, of a workload those
	// of its Pod template. Whoever writes the object chooses them. It defaults to
	// every object.
	// +optional
	Selector *LabelSelector `json:"selector,omitempty"`

	// objectSelector is about the labels of the object itself, also where it has a
	// Pod template with labels of its own. It is what policy.sigstore.dev means by a
	// selector. Whoever writes the object chooses them. It defaults to every object.
	// +optional
	ObjectSelector *LabelSelector `json:"objectSelector,omitempty"`
}

// LabelSelector selects by labels: all of its requirements must hold. An empty one
// selects everything.
// +kubebuilder:pruning:PreserveUnknownFields
type LabelSelector struct {
	// matchLabels are labels that must be there with these values. It defaults to
	// none.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are further requirements. It defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	MatchExpressions []LabelRequirement `json:"matchExpressions,omitempty"`
}

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// LabelRequirement is one requirement on a label.
// +kubebuilder:pruning:PreserveUnknownFields
type LabelRequirement struct {
	// key is the label's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key,omitempty"`

	// operator says what must hold: In or NotIn one of values, Exists, or
	// DoesNotExist. NotIn holds of what has no such label, too.
	// +required
	Operator LabelOperator `json:"operator,omitempty"`

	// values are those of In and NotIn. It defaults to none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Values []LabelValue `json:"values,omitempty"`
}

// LabelOperator says what must hold of a label.
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
type LabelOperator string

// What can be asked of a label.
const (
	LabelIn           LabelOperator = "In"
	LabelNotIn        LabelOperator = "NotIn"
	LabelExists       LabelOperator = "Exists"
	LabelDoesNotExist LabelOperator = "DoesNotExist"
)

// Requirements returns what the selector asks of labels, in a fixed order, or why it
// cannot be read. Those of nil are none.
func (s *LabelSelector) Requirements() (labels.Requirements, error) {
	if s == nil {
		return nil, nil
	}
	var requirements labels.Requirements
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		r, err := labels.NewRequirement(key, selection.Equals, []string{string(s.MatchLabels[key])})
		if err != nil {
			return nil, err
		}
		requirements = append(requirements, *r)
	}
	for _, e := range s.MatchExpressions {
		r, err := e.requirement()
		if err != nil {
			return nil, err
		}
		requirements = append(requirements, *r)
	}
	return requirements, nil
}

func (e *LabelRequirement) requirement() (*labels.Requirement, error) {
	var values []string
	for _, value := range e.Values {
		values = append(values, string(value))
	}
	operators := map[LabelOperator]selection.Operator{
		LabelIn: selection.In, LabelNotIn: selection.NotIn, LabelExists: selection.Exists, LabelDoesNotExist: selection.DoesNotExist,
	}
	// One that is unknown is none of labels' own operators either.
	return labels.NewRequirement(e.Key, operators[e.Operator], values)
}
