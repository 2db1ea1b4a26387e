// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// compileSources returns where an authority's evidence is looked for; none is
// beside the image. A source that cannot be read must not become another place.
func (p *Policy) compileSources(ctx context.Context, sources []v1alpha1.Source, path string, secrets trust.SecretReader) ([]registry.Source, *problemError) {
	var compiled []registry.Source
	for i, s := range sources {
		from, problem := compileSource(s, fmt.Sprintf("%s[%d]", path, i))
		if problem == nil {
			from.Credentials, problem = p.pullSecrets(ctx, s.SignaturePullSecrets, fmt.Sprintf("%s[%d].signaturePullSecrets", path, i), secrets)
		}
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

// pullSecrets returns the credentials in the Secrets that a source names. The same
// names are the same keyring in all of a policy, so that the same source is one.
func (p *Policy) pullSecrets(ctx context.Context, named []v1alpha1.SecretReference, path string, secrets trust.SecretReader) (*keyring.Keyring, *problemError) {
	if len(named) == 0 {
		return nil, nil
	}
	var names []string
	var parts []keyring.Part
	for i, ref := range named {
		at := fmt.Sprintf("%s[%d]", path, i)
		data, err := secrets.Secret(ctx, ref.Name)
		if err != nil {
			return nil, &problemError{PartKey, at, err}
		}
		config, err := keyring.ParseSecret(data)
		if err != nil {
			return nil, &problemError{PartKey, at, fmt.Errorf("%w: Secret %q %w", trust.ErrKeyInvalid, ref.Name, err)}
		}
		names = append(names, ref.Name)
		parts = append(parts, keyring.Part{Owner: "those of the policy's source", Config: config})
	}
	together := strings.Join(names, "/")
	if p.keyrings == nil {
		p.keyrings = map[string]*keyring.Keyring{}
	}
	if _, known := p.keyrings[together]; !known {
		p.keyrings[together] = keyring.New(parts...)
	}
	return p.keyrings[together], nil
}
