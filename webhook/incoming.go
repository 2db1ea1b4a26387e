// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// Extractor finds the images of an object. *image.Extractor implements it.
type Extractor interface {
	// Extract returns every image that an object of kind gvk, as JSON, brings in.
	Extract(gvk schema.GroupVersionKind, raw []byte) ([]image.Occurrence, error)
	// PullNames returns who has credentials for them.
	PullNames(gvk schema.GroupVersionKind, raw []byte) (image.PullNames, error)
	// Labels returns the labels of the Pods that the object brings in.
	Labels(gvk schema.GroupVersionKind, raw []byte) ([]map[string]string, error)
	// ObjectLabels returns the labels of the object itself.
	ObjectLabels(gvk schema.GroupVersionKind, raw []byte) (map[string]string, error)
}

// originOf returns where the images of a request come from. Both webhooks ask it, so that
// what is pinned and what is judged are under the same policies.
//
// What cannot be read names no credentials: that fails where they are needed.
func originOf(x Extractor, req admission.Request) policy.Origin {
	pull, _ := x.PullNames(kindOf(req), req.Object.Raw)
	return policy.Origin{
		Pull:         pull,
		Namespace:    req.Namespace,
		Resource:     schema.GroupVersionResource{Group: req.Resource.Group, Version: req.Resource.Version, Resource: req.Resource.Resource},
		Labels:       sync.OnceValues(func() ([]map[string]string, error) { return x.Labels(kindOf(req), req.Object.Raw) }),
		ObjectLabels: sync.OnceValues(func() (map[string]string, error) { return x.ObjectLabels(kindOf(req), req.Object.Raw) }),
	}
}

func kindOf(req admission.Request) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
}

// incoming returns the images that a request brings in: all of a new object, and
// those of a changed one that were not there before. Deletions and connections
// bring in none. What is no request, such as an empty body, is an error.
func incoming(x Extractor, req admission.Request) ([]image.Occurrence, error) {
	switch req.Operation {
	case admissionv1.Create, admissionv1.Update:
	case admissionv1.Delete, admissionv1.Connect:
		return nil, nil
	default:
		return nil, fmt.Errorf("operation %.40q is not one of an admission request", req.Operation)
	}
	gvk := kindOf(req)
	occurrences, err := x.Extract(gvk, req.Object.Raw)
	if err != nil {
		return nil, fmt.Errorf("reading the images of the %s: %w", gvk.Kind, err)
	}
	if req.Operation == admissionv1.Create {
		return occurrences, nil
	}
	// An object that cannot be read has admitted nothing: all images are new.
	before, _ := x.Extract(gvk, req.OldObject.Raw)
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
// with the previous state of its object: the same reference in the same slot. In
// another place it counts as new, be it named by digest: a tag may have moved since
// then, and what was there before any policy was need not be good.
func admittedBy(before []image.Occurrence) func(image.Occurrence) bool {
	type use struct{ slot, image string }
	uses := map[use]bool{}
	for _, o := range before {
		uses[use{o.Slot, o.Image}] = true
	}
	return func(o image.Occurrence) bool { return uses[use{o.Slot, o.Image}] }
}
