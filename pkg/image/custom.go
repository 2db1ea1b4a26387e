// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	_ "embed" // the extractors that are shipped
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Bounds of a file of extractors.
const (
	maxExtractors = 256
	maxVersions   = 16
	maxPaths      = 32
)

// The type that a file of extractors says it has.
const (
	extractorsVersion = "config.countersign.dev/v1alpha1"
	extractorsKind    = "ImageExtractors"
)

//go:embed extractors.yaml
var shippedExtractors []byte

// CustomKind says where the objects of one kind of custom resource hold images. It
// is made by ParseCustomKinds.
type CustomKind struct {
	holders map[schema.GroupVersionKind]holder
}

// Kinds returns the kind in each of its versions.
func (k CustomKind) Kinds() []schema.GroupVersionKind {
	return slices.Collect(maps.Keys(k.holders))
}

// ShippedCustomKinds returns what is known of other projects' kinds without being
// told.
func ShippedCustomKinds() ([]CustomKind, error) { return ParseCustomKinds(shippedExtractors) }

// extractors is the content of a file of extractors.
type extractors struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Extractors []extractor `json:"extractors"`
}

// extractor is about one kind of custom resource.
type extractor struct {
	// Group, Versions and Kind name it. Objects of a version that is not listed
	// are refused where the webhook is asked about them.
	Group    string   `json:"group"`
	Versions []string `json:"versions"`
	Kind     string   `json:"kind"`
	// PodSpecs are paths to PodSpecs, of which every list that names images is
	// read; Images are paths to image references. Together at least one.
	PodSpecs []string `json:"podSpecs,omitempty"`
	Images   []string `json:"images,omitempty"`
}

// ParseCustomKinds reads a file of extractors, in YAML or JSON:
//
//	apiVersion: config.countersign.dev/v1alpha1
//	kind: ImageExtractors
//	extractors:
//	- group: argoproj.io
//	  versions: [v1alpha1]
//	  kind: Rollout
//	  podSpecs: [.spec.template.spec]
//
// Unknown and duplicate fields are errors; an error names the field.
func ParseCustomKinds(text []byte) ([]CustomKind, error) {
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var file extractors
	strict, err := kjson.UnmarshalStrict(asJSON, &file)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if file.APIVersion != extractorsVersion || file.Kind != extractorsKind {
		return nil, fmt.Errorf("must be of apiVersion %s and kind %s", extractorsVersion, extractorsKind)
	}
	at := field.NewPath("extractors")
	if len(file.Extractors) > maxExtractors {
		return nil, field.TooMany(at, len(file.Extractors), maxExtractors)
	}
	var kinds []CustomKind
	var errs field.ErrorList
	seen := map[schema.GroupVersionKind]bool{}
	for i, e := range file.Extractors {
		kind, problems := e.compile(at.Index(i))
		for gvk := range kind.holders {
			if seen[gvk] {
				problems = append(problems, field.Duplicate(at.Index(i), gvk.String()))
			}
			seen[gvk] = true
		}
		kinds, errs = append(kinds, kind), append(errs, problems...)
	}
	return kinds, errs.ToAggregate()
}

func (e extractor) compile(at *field.Path) (CustomKind, field.ErrorList) {
	var errs field.ErrorList
	for _, problem := range validation.IsDNS1123Subdomain(e.Group) {
		errs = append(errs, field.Invalid(at.Child("group"), e.Group, problem))
	}
	if e.Kind == "" {
		errs = append(errs, field.Required(at.Child("kind"), ""))
	}
	if len(e.Versions) == 0 || len(e.Versions) > maxVersions {
		errs = append(errs, field.Invalid(at.Child("versions"), len(e.Versions), fmt.Sprintf("must be 1 to %d versions", maxVersions)))
	}
	podSpecs, problems := compilePaths(at.Child("podSpecs"), e.PodSpecs)
	errs = append(errs, problems...)
	images, problems := compilePaths(at.Child("images"), e.Images)
	errs = append(errs, problems...)
	if len(e.PodSpecs)+len(e.Images) == 0 {
		errs = append(errs, field.Required(at, "podSpecs or images"))
	}
	kind := CustomKind{holders: map[schema.GroupVersionKind]holder{}}
	for i, version := range e.Versions {
		gvk := schema.GroupVersionKind{Group: e.Group, Version: version, Kind: e.Kind}
		switch {
		case len(validation.IsDNS1035Label(version)) > 0:
			errs = append(errs, field.Invalid(at.Child("versions").Index(i), version, "must be a version, as v1alpha1"))
		case (&Extractor{}).Knows(gvk):
			errs = append(errs, field.Forbidden(at, "Kubernetes' own kinds are read as they are"))
		}
		kind.holders[gvk] = holder{Kind: Kind{GroupVersionKind: gvk}, podSpecs: podSpecs, images: images}
	}
	return kind, errs
}

func compilePaths(at *field.Path, texts []string) ([]path, field.ErrorList) {
	var errs field.ErrorList
	if len(texts) > maxPaths {
		return nil, field.ErrorList{field.TooMany(at, len(texts), maxPaths)}
	}
	var paths []path
	for i, text := range texts {
		p, err := parsePath(text)
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(at.Index(i), text, err.Error()))
		case p[0] == (step{field: "metadata"}) || p[0] == (step{field: "status"}) || p[0].over != oneField:
			// Changes of these are not sent to the webhook: see config/webhook.
			errs = append(errs, field.Invalid(at.Index(i), text, "must begin with a field other than metadata and status"))
		}
		paths = append(paths, p)
	}
	return paths, errs
}
