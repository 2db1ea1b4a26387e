// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/image"
)

// incoming returns the images that a request brings in: all of a new object, and
// those of a changed one that were not there before. Deletions and connections
// bring in none. What is no request, such as an empty body, is an error.
func incoming(req admission.Request) ([]image.Occurrence, error) {
	switch req.Operation {
	case admissionv1.Create, admissionv1.Update:
	case admissionv1.Delete, admissionv1.Connect:
		return nil, nil
	default:
		return nil, fmt.Errorf("operation %.40q is not one of an admission request", req.Operation)
	}
	gvk := schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
	occurrences, err := image.Extract(gvk, req.Object.Raw)
	if err != nil {
		return nil, fmt.Errorf("reading the images of the %s: %w", gvk.Kind, err)
	}
	if req.Operation == admissionv1.Create {
		return occurrences, nil
	}
	before, err := image.Extract(gvk, req.OldObject.Raw)
	if err != nil {
		return nil, fmt.Errorf("reading the images of the previous %s: %w", gvk.Kind, err)
	}
	admitted := admittedBy(before)
	var fresh []image.Occurrence
	for _, o := range occurrences {
		if !admitted(o) {
			fresh = append(fresh, o)
		}
	}
	return fresh, nil
}

// admittedBy returns a function that reports whether an image has been admitted
// with the previous state of its object: in the same place, or under its digest
// in any. The same tag in another place counts as new, since it may have moved
// since then, and what pulls it there pulls it now.
func admittedBy(before []image.Occurrence) func(image.Occurrence) bool {
	type slot struct{ list, container, image string }
	slotOf := func(o image.Occurrence) slot { return slot{list(o.Pointer), o.Container, o.Image} }
	slots, pinned := map[slot]bool{}, map[string]bool{}
	for _, o := range before {
		slots[slotOf(o)] = true
		if ref, err := image.Parse(o.Image); err == nil && ref.Digest() != "" {
			pinned[o.Image] = true
		}
	}
	return func(o image.Occurrence) bool { return slots[slotOf(o)] || pinned[o.Image] }
}

// list returns the JSON pointer of the list that an occurrence is in:
// /spec/containers for /spec/containers/0/image.
func list(pointer string) string {
	parts := strings.Split(pointer, "/")
	for i, part := range parts {
		switch part {
		case "containers", "initContainers", "ephemeralContainers", "volumes":
			return strings.Join(parts[:i+1], "/")
		}
	}
	return pointer
}
