// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"

	"github.com/countersign-dev/countersign/pkg/image"
)

// Found is one image in a manifest.
type Found struct {
	image.Occurrence
	// Source is the file, Object the kind and name of the object.
	Source, Object string
}

// Images returns every image that the objects bring in, and how many objects are
// of kinds that bring in none. A workload in an API version that is not read is
// an error: its images would be passed over.
func Images(objects []Object) (found []Found, without int, err error) {
	for _, o := range objects {
		held, err := holdsImages(o)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", o.Source, err)
		}
		if !held {
			without++
			continue
		}
		occurrences, err := image.Extract(o.Kind, o.JSON)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", o.Source, err)
		}
		for _, occurrence := range occurrences {
			found = append(found, Found{Occurrence: occurrence, Source: o.Source, Object: fmt.Sprintf("%s %q", o.Kind.Kind, nameOf(o))})
		}
	}
	return found, without, nil
}

func holdsImages(o Object) (bool, error) {
	for _, k := range image.Kinds() {
		switch {
		case k.GroupVersionKind == o.Kind:
			return true, nil
		case k.Kind == o.Kind.Kind && (k.Group == o.Kind.Group || o.Kind.Group == "extensions"):
			return false, fmt.Errorf("a %s of %s is not read, only those of %s", k.Kind, o.Kind.GroupVersion(), k.GroupVersion())
		}
	}
	return false, nil
}
