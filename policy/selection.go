// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// selection says of which objects, and in which namespaces, a policy covers the images.
// The zero value is everywhere.
type selection struct {
	// names is about the names of namespaces, the one label that nobody can change,
	// and needs nothing to be read; namespaces is about their other labels.
	names, namespaces labels.Requirements
	// match are alternatives; none is every object.
	match []objectMatch
}

// objectMatch selects the objects of one kind.
type objectMatch struct {
	group, version, resource string
	// pods is about the labels of the object's Pods, object about its own.
	pods, object labels.Requirements
}

// reach says whether a selection takes an origin in. What cannot be read is taken in, since
// that is the safe side of a policy; but no such policy is one to rely on.
type reach int

const (
	outside reach = iota
	perhaps
	inside
)

func reachOf(selected bool) reach {
	if selected {
		return inside
	}
	return outside
}

// reaches says whether the policy covers images that come from v.
func (s *selection) reaches(v view) reach {
	in := s.namespaceReached(v)
	if in == outside || len(s.match) == 0 {
		return in
	}
	best := outside
	for i := range s.match {
		best = max(best, s.match[i].reaches(v))
	}
	return min(in, best)
}

func (s *selection) namespaceReached(v view) reach {
	if len(s.names)+len(s.namespaces) == 0 {
		return inside
	}
	if v.Namespace == "" {
		return perhaps
	}
	if !matches(s.names, labels.Set{corev1.LabelMetadataName: v.Namespace}) {
		return outside
	}
	if len(s.namespaces) == 0 {
		return inside
	}
	if v.namespaceLabels == nil {
		return perhaps
	}
	found, err := v.namespaceLabels()
	if err != nil {
		return perhaps
	}
	return reachOf(matches(s.namespaces, found))
}

func (m *objectMatch) reaches(v view) reach {
	switch {
	case v.Resource.Empty():
		return perhaps
	case m.group != v.Resource.Group, m.resource != v.Resource.Resource, m.version != "" && m.version != v.Resource.Version:
		return outside
	}
	return min(m.objectReached(v), m.podsReached(v))
}

func (m *objectMatch) objectReached(v view) reach {
	if len(m.object) == 0 {
		return inside
	}
	if v.ObjectLabels == nil {
		return perhaps
	}
	found, err := v.ObjectLabels()
	if err != nil {
		return perhaps
	}
	return reachOf(matches(m.object, labels.Set(found)))
}

func (m *objectMatch) podsReached(v view) reach {
	if len(m.pods) == 0 {
		return inside
	}
	if v.Labels == nil {
		return perhaps
	}
	sets, err := v.Labels()
	if err != nil || len(sets) == 0 {
		return perhaps
	}
	selected := 0
	for _, set := range sets {
		if matches(m.pods, labels.Set(set)) {
			selected++
		}
	}
	switch selected {
	case 0:
		return outside
	case len(sets):
		return inside
	default:
		// One template of several is selected, and the image may be of another.
		return perhaps
	}
}

func matches(requirements labels.Requirements, set labels.Set) bool {
	for i := range requirements {
		if !requirements[i].Matches(set) {
			return false
		}
	}
	return true
}

// compileSelection reads what the policy says of namespaces and objects. What cannot be
// read selects everything.
func (p *Policy) compileSelection(namespaces *v1alpha1.LabelSelector, match []v1alpha1.ResourceMatch) {
	requirements, err := namespaces.Requirements()
	if err != nil {
		p.problem(PartSpec, "spec.namespaceSelector", err)
	}
	for _, r := range requirements {
		if r.Key() == corev1.LabelMetadataName {
			p.selection.names = append(p.selection.names, r)
		} else {
			p.selection.namespaces = append(p.selection.namespaces, r)
		}
	}
	unreadable := false
	for i := range match {
		pods, err := match[i].Selector.Requirements()
		if err != nil {
			p.problem(PartSpec, fmt.Sprintf("spec.match[%d].selector", i), err)
			unreadable = true
		}
		object, err := match[i].ObjectSelector.Requirements()
		if err != nil {
			p.problem(PartSpec, fmt.Sprintf("spec.match[%d].objectSelector", i), err)
			unreadable = true
		}
		p.selection.match = append(p.selection.match, objectMatch{
			group: match[i].Group, version: match[i].Version, resource: match[i].Resource, pods: pods, object: object,
		})
	}
	if unreadable {
		p.selection.match = nil
	}
}
