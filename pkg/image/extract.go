// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// MaxOccurrences is the largest number of images that Extract reads from one
// object; an object with more is an error.
const MaxOccurrences = 1024

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
	if spec == nil {
		return nil, nil
	}
	found := collector{path: h.path, keepEmpty: gvk.Kind == "Pod"}
	found.podSpec(spec)
	if len(found.occurrences) > MaxOccurrences {
		return nil, fmt.Errorf("read %s: it names %d images, more than %d", gvk.Kind, len(found.occurrences), MaxOccurrences)
	}
	return found.occurrences, nil
}

type collector struct {
	path        []string
	keepEmpty   bool
	occurrences []Occurrence
}

func (c *collector) podSpec(spec *corev1.PodSpec) {
	for i := range spec.InitContainers {
		c.add(spec.InitContainers[i].Name, spec.InitContainers[i].Image, "initContainers", i, "image")
	}
	for i := range spec.Containers {
		c.add(spec.Containers[i].Name, spec.Containers[i].Image, "containers", i, "image")
	}
	for i := range spec.EphemeralContainers {
		c.add(spec.EphemeralContainers[i].Name, spec.EphemeralContainers[i].Image, "ephemeralContainers", i, "image")
	}
	for i := range spec.Volumes {
		if volume := spec.Volumes[i].Image; volume != nil {
			c.add(spec.Volumes[i].Name, volume.Reference, "volumes", i, "image", "reference")
		}
	}
}

func (c *collector) add(container, image, list string, index int, field ...string) {
	if image == "" && !c.keepEmpty {
		return
	}
	base, tail := strings.Join(c.path, "."), strings.Join(field, ".")
	segments := append(append([]string{""}, c.path...), list, strconv.Itoa(index))
	c.occurrences = append(c.occurrences, Occurrence{
		Path:      fmt.Sprintf("%s.%s[%d].%s", base, list, index, tail),
		Pointer:   strings.Join(append(segments, field...), "/"),
		Container: container,
		Image:     image,
	})
}
