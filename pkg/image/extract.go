// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

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
	// Container names the container, or the volume of an image volume.
	Container string
	// Image is the image as written. Nothing has checked it.
	Image string
}

// Extract finds every image that an object of kind gvk brings in: those of
// containers, initContainers and ephemeralContainers, and of image volumes. raw
// is the object as JSON. It is an error when the kind is not one of Kinds, when
// raw is not such an object, or when a field is given twice.
//
// In a workload, whose template a higher level may complete, an empty image is
// left out: it names nothing, and the Pod is checked again. In a Pod it is kept.
func Extract(gvk schema.GroupVersionKind, raw []byte) ([]Occurrence, error) {
	h, ok := findHolder(gvk)
	if !ok {
		return nil, fmt.Errorf("kind %s holds no images that Countersign knows of", gvk)
	}
	if err := checkType(gvk, raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	spec, err := h.podSpec(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	found := collector{path: h.path, keepEmpty: gvk.Kind == "Pod"}
	if err := found.podSpec(spec); err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	return found.occurrences, nil
}

type collector struct {
	path        []string
	keepEmpty   bool
	occurrences []Occurrence
}

func (c *collector) podSpec(spec podSpec) error {
	for _, list := range []struct {
		name string
		raw  json.RawMessage
	}{
		{"initContainers", spec.InitContainers},
		{"containers", spec.Containers},
		{"ephemeralContainers", spec.EphemeralContainers},
	} {
		err := eachElement(list.name, list.raw, func(i int, o container) error {
			return c.add(o.Name, o.Image, list.name, i, "image")
		})
		if err != nil {
			return err
		}
	}
	return eachElement("volumes", spec.Volumes, func(i int, o volume) error {
		if o.Image == nil {
			return nil
		}
		return c.add(o.Name, o.Image.Reference, "volumes", i, "image", "reference")
	})
}

func (c *collector) add(container, image, list string, index int, field ...string) error {
	if image == "" && !c.keepEmpty {
		return nil
	}
	if len(c.occurrences) == MaxOccurrences {
		return fmt.Errorf("it names more than %d images", MaxOccurrences)
	}
	base, tail := strings.Join(c.path, "."), strings.Join(field, ".")
	segments := append(append([]string{""}, c.path...), list, strconv.Itoa(index))
	c.occurrences = append(c.occurrences, Occurrence{
		Path:      fmt.Sprintf("%s.%s[%d].%s", base, list, index, tail),
		Pointer:   strings.Join(append(segments, field...), "/"),
		Container: container,
		Image:     image,
	})
	return nil
}
