// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
)

// compileSources returns where an authority's evidence is looked for; none is
// beside the image. A source that cannot be read must not become another place.
func (p *Policy) compileSources(sources []v1alpha1.Source, path string) ([]registry.Source, *problemError) {
	var compiled []registry.Source
	for i, s := range sources {
		from, problem := compileSource(s, fmt.Sprintf("%s[%d]", path, i))
		if problem != nil {
			return nil, problem
		}
		if !slices.Contains(compiled, from) {
			compiled = append(compiled, from)
		}
		if slices.Contains(p.sources, from) {
			continue
		}
		if p.sources = append(p.sources, from); len(p.sources) > v1alpha1.MaxPolicySources {
			return nil, &problemError{PartSpec, fmt.Sprintf("%s[%d]", path, i),
				fmt.Errorf("the authorities of a policy have at most %d different sources", v1alpha1.MaxPolicySources)}
		}
	}
	return compiled, nil
}

func compileSource(s v1alpha1.Source, path string) (registry.Source, *problemError) {
	from := registry.Source{TagPrefix: s.TagPrefix}
	if err := image.CheckTagPrefix(s.TagPrefix); err != nil {
		return from, &problemError{PartSpec, path + ".tagPrefix", err}
	}
	if s.OCI == "" {
		return from, nil
	}
	repository, err := image.ParseRepository(s.OCI)
	if err != nil {
		return from, &problemError{PartSpec, path + ".oci", err}
	}
	from.Repository = repository
	return from, nil
}
