// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// MaxOccurrences is the largest number of images that Extract reads from one
	// object; an object with more is an error.
	MaxOccurrences = 256
	// maxElements bounds a list that may name images, whether its elements do.
	maxElements = 1024
)

// Occurrence is one place in an object that names an image.
type Occurrence struct {
	// Path is the field as Kubernetes writes it, spec.containers[0].image.
	Path string
	// Pointer is the same field as a JSON pointer (RFC 6901), for patches.
	Pointer string
	// Container names the container, or the volume of an image volume. It is ""
	// where a custom resource names an image otherwise.
	Container string
	// Slot is the same for an image that only changed its position in its list,
	// and differs for any other container, list or field.
	Slot string
	// Image is the image as written. Nothing has checked it.
	Image string
}

// ErrUnknownKind is returned for an object of a kind whose images nobody here
// knows how to find.
var ErrUnknownKind = errors.New("countersign does not know where objects of this kind hold images")

// Extractor finds the images of objects: of every kind that Kinds returns, and of
// the custom resources that it was told of. Immutable.
type Extractor struct {
	custom map[schema.GroupVersionKind]holder
}

// NewExtractor returns an extractor that also reads the given custom kinds. Of
// two entries for one kind, the later one counts.
func NewExtractor(custom ...CustomKind) *Extractor {
	x := &Extractor{custom: map[schema.GroupVersionKind]holder{}}
	for _, k := range custom {
		maps.Copy(x.custom, k.holders)
	}
	return x
}

// Knows reports whether objects of kind gvk are read.
func (x *Extractor) Knows(gvk schema.GroupVersionKind) bool {
	_, ok := x.holder(gvk)
	return ok
}

func (x *Extractor) holder(gvk schema.GroupVersionKind) (holder, bool) {
	for _, h := range builtIn {
		if h.GroupVersionKind == gvk {
			return h, true
		}
	}
	h, ok := x.custom[gvk]
	return h, ok
}

// Extract finds every image that an object of kind gvk brings in: those of
// containers, initContainers and ephemeralContainers, and of image volumes, in
// each PodSpec, and what a custom resource names besides. raw is the object as
// JSON. It is an error when the kind is not known (ErrUnknownKind), when raw is
// not such an object, when a field that leads to an image is given twice, or when
// something else is where an image should be.
//
// In a workload, whose template a higher level may complete, an empty image is
// left out: it names nothing, and the Pod is checked again. In a Pod it is kept.
func (x *Extractor) Extract(gvk schema.GroupVersionKind, raw []byte) ([]Occurrence, error) {
	h, ok := x.holder(gvk)
	if !ok {
		return nil, fmt.Errorf("kind %s of %s: %w", gvk.Kind, gvk.GroupVersion(), ErrUnknownKind)
	}
	found := collector{keepEmpty: gvk.Group == "" && gvk.Kind == "Pod"}
	if err := found.object(h, raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	return found.occurrences, nil
}

type collector struct {
	keepEmpty   bool
	occurrences []Occurrence
}

func (c *collector) object(h holder, raw []byte) error {
	if err := checkType(h.GroupVersionKind, raw); err != nil {
		return err
	}
	for _, p := range h.podSpecs {
		if err := walk(raw, p, c.podSpec); err != nil {
			return err
		}
	}
	for _, p := range h.images {
		if err := walk(raw, p, c.reference); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) add(o Occurrence, at place) error {
	if o.Image == "" && !c.keepEmpty {
		return nil
	}
	if len(c.occurrences) == MaxOccurrences {
		return fmt.Errorf("it names more than %d images", MaxOccurrences)
	}
	o.Path, o.Pointer = at.path.String(), at.pointer
	c.occurrences = append(c.occurrences, o)
	return nil
}
