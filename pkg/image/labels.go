// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// maxLabels bounds the labels of one object. Nothing real has a tenth of that.
	maxLabels = 1024
	// maxLabelText bounds a label's name, and its value, in bytes: a DNS name, a slash
	// and 63 characters are the longest that Kubernetes stores.
	maxLabelText = 317
)

// Labels returns the labels of the Pods that an object brings in: those of a Pod, and
// those of each Pod template of a workload, which may have several, or of a custom
// resource. Where a custom resource names images but has no such template, they are its
// own. Each set may be empty; there is at least one. Errors are those of Extract, and
// that there are too many labels, or too long ones.
func (x *Extractor) Labels(gvk schema.GroupVersionKind, raw []byte) ([]map[string]string, error) {
	h, ok := x.holder(gvk)
	if !ok {
		return nil, fmt.Errorf("kind %s of %s: %w", gvk.Kind, gvk.GroupVersion(), ErrUnknownKind)
	}
	found, err := labelsAt(gvk, raw, h.labelled())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		found = append(found, nil)
	}
	return found, nil
}

// ObjectLabels returns the labels of the object itself. Errors are those of Labels.
func (x *Extractor) ObjectLabels(gvk schema.GroupVersionKind, raw []byte) (map[string]string, error) {
	found, err := labelsAt(gvk, raw, []path{{}})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// labelsAt reads metadata.labels of what is at each of the paths.
func labelsAt(gvk schema.GroupVersionKind, raw []byte, templates []path) ([]map[string]string, error) {
	if err := checkType(gvk, raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	var found []map[string]string
	for _, template := range templates {
		err := walk(raw, template, func(r *reader, at place) error {
			labels, err := r.labels(at)
			found = append(found, labels)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the labels of the %s: %w", gvk.Kind, err)
		}
	}
	return found, nil
}

// labelled returns the paths to what carries the labels of an object's Pods: what the
// PodSpec is the spec of, and the object itself where there is no such thing.
func (h holder) labelled() []path {
	var templates []path
	for _, p := range h.podSpecs {
		if last := len(p) - 1; last >= 0 && p[last] == (step{field: "spec"}) {
			templates = append(templates, p[:last])
		}
	}
	if len(templates) < len(h.podSpecs) || len(h.images) > 0 || len(templates) == 0 {
		templates = append(templates, path{})
	}
	return templates
}

// labels reads metadata.labels of the object that r is at.
func (r *reader) labels(at place) (map[string]string, error) {
	var labels map[string]string
	seen := false
	err := r.object(at, func(name string) error {
		if name != "metadata" {
			return r.skip()
		}
		if seen {
			return duplicate(at.child(name))
		}
		seen = true
		read := false
		return r.object(at.child(name), func(field string) error {
			if field != "labels" {
				return r.skip()
			}
			if read {
				return duplicate(at.child(name).child(field))
			}
			read = true
			var err error
			labels, err = r.texts(at.child(name).child(field))
			return err
		})
	})
	return labels, err
}

// texts reads an object whose values are strings.
func (r *reader) texts(at place) (map[string]string, error) {
	texts := map[string]string{}
	err := r.object(at, func(name string) error {
		var value string
		if err := r.strictly(at, &value); err != nil {
			return err
		}
		if len(texts) == maxLabels {
			return fmt.Errorf("%s has more than %d entries", at.path, maxLabels)
		}
		if len(name) > maxLabelText || len(value) > maxLabelText {
			return fmt.Errorf("%s has an entry that is longer than %d bytes", at.path, maxLabelText)
		}
		if _, twice := texts[name]; twice {
			return fmt.Errorf("%s has an entry twice", at.path)
		}
		texts[name] = value
		return nil
	})
	return texts, err
}
