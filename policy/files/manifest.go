// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// Found is one image in a manifest.
type Found struct {
	image.Occurrence
	// Source is the file, Object the kind and name of the object.
	Source, Object string
	// Origin is where the image comes from.
	Origin policy.Origin
}

// UnknownKindError says that an object has containers, and that nobody here knows
// what its kind does with them.
type UnknownKindError struct {
	// Source is the file.
	Source string
	Kind   schema.GroupVersionKind
}

func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("%s: kind %s of %s is not one whose images countersign knows, but it has containers", e.Source, e.Kind.Kind, e.Kind.GroupVersion())
}

// Images returns every image that x finds in the objects, and how many objects are
// of kinds that bring in none. A workload in an API version that is not read is
// an error: its images would be passed over. So is, unless allowUnknown is set,
// an object of another kind in which there are containers with images: the error
// is then a *UnknownKindError.
func Images(x *image.Extractor, objects []Object, allowUnknown bool) (found []Found, without int, err error) {
	for _, o := range objects {
		held, err := holdsImages(x, o)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", o.Source, err)
		}
		if !held {
			if !allowUnknown && hasContainers(o) {
				return nil, 0, &UnknownKindError{Source: o.Source, Kind: o.Kind}
			}
			without++
			continue
		}
		occurrences, err := x.Extract(o.Kind, o.JSON)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", o.Source, err)
		}
		from := origin(x, o)
		for _, occurrence := range occurrences {
			found = append(found, Found{Occurrence: occurrence, Source: o.Source, Object: fmt.Sprintf("%s %q", o.Kind.Kind, nameOf(o)), Origin: from})
		}
	}
	return found, without, nil
}

func holdsImages(x *image.Extractor, o Object) (bool, error) {
	if x.Knows(o.Kind) {
		return true, nil
	}
	for _, k := range image.Kinds() {
		if k.Kind == o.Kind.Kind && (k.Group == o.Kind.Group || o.Kind.Group == "extensions") {
			return false, fmt.Errorf("a %s of %s is not read, only those of %s", k.Kind, o.Kind.GroupVersion(), k.GroupVersion())
		}
	}
	return false, nil
}

// hasContainers reports whether anywhere in an object there is what looks like a
// part of a PodSpec that names an image.
func hasContainers(o Object) bool {
	var content any
	if json.UnmarshalCaseSensitivePreserveInts(o.JSON, &content) != nil {
		return true // it was read before; better to ask than to pass over
	}
	return namesImage(content)
}

func namesImage(value any) bool {
	switch value := value.(type) {
	case []any:
		return slices.ContainsFunc(value, namesImage)
	case map[string]any:
		for key, below := range value {
			switch key {
			case "containers", "initContainers", "ephemeralContainers":
				if anyElement(below, func(element map[string]any) bool { return isText(element["image"]) }) {
					return true
				}
			case "volumes":
				if anyElement(below, func(element map[string]any) bool {
					image, _ := element["image"].(map[string]any)
					return isText(image["reference"])
				}) {
					return true
				}
			}
			if namesImage(below) {
				return true
			}
		}
	}
	return false
}

func anyElement(value any, test func(map[string]any) bool) bool {
	list, _ := value.([]any)
	return slices.ContainsFunc(list, func(element any) bool {
		object, _ := element.(map[string]any)
		return test(object)
	})
}

func isText(value any) bool {
	text, _ := value.(string)
	return text != ""
}
