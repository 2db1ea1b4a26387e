// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
)

// Tenants open registries to those who have credentials for them.
type Tenants interface {
	// Open returns the registries as they are open to images of an origin, with the
	// credentials that it names. nil is as they are open to everybody. It may ask the
	// API server, for as long as ctx lasts.
	Open(ctx context.Context, origin Origin) TenantRegistry
}

// TenantRegistry is a Registry with somebody's credentials. *registry.Client
// implements it.
type TenantRegistry interface {
	Registry
	// Scope tells apart tenants whose credentials may matter to what is known of an
	// image by its own repository and by sources: "" for all whose do not. It makes
	// no request.
	Scope(ref image.Reference, sources []registry.Source) string
}

// access is how an image's evidence is got, and with whom the answer may be shared.
type access struct {
	registry Registry
	// tenant is the namespace whose credentials go with the question: what is found is
	// told in words that name its Secrets.
	tenant string
	// scope is that of the credentials that matter. What was verified with them is
	// remembered for who has them.
	scope string
}

// open returns the access of an image's origin to what the covering policies want to
// know of it.
func (e *Evaluator) open(ctx context.Context, origin Origin, ref image.Reference, covering []*Policy) access {
	shared := access{registry: e.registry}
	if e.tenants == nil {
		return shared
	}
	own := e.tenants.Open(ctx, origin)
	if own == nil {
		return shared
	}
	var sources []registry.Source
	for _, p := range covering {
		sources = append(sources, p.sources...)
	}
	return access{registry: own, tenant: origin.Namespace, scope: own.Scope(ref, sources)}
}
