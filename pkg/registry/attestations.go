// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// dsseType is the media type of a layer of cosign's .att image.
const dsseType = "application/vnd.dsse.envelope.v1+json"

// Attestations returns the attestations of a digest in cosign's first storage
// format: the layers of the tag sha256-<hex>.att in the source. Those in bundles are
// among its Signatures. Errors, and what is returned beside them, are as with
// Signatures.
func (c *Client) Attestations(ctx context.Context, ref image.Reference, digest string, from Source) ([]verify.Signature, error) {
	return c.list(ctx, c.place(ref, digest, from, "attestations"), func(ctx context.Context, s *search) ([]verify.Signature, error) {
		return s.copies(ctx, func(ctx context.Context, s *search) ([]verify.Signature, error) {
			return s.tagged(ctx, ".att", s.envelopes)
		})
	})
}

// CachedAttestations is to Attestations what CachedSignatures is to Signatures.
func (c *Client) CachedAttestations(ref image.Reference, digest string, from Source) ([]verify.Signature, bool) {
	return c.cached(c.place(ref, digest, from, "attestations"))
}

// envelopes reads the attestations among the layers of m.
func (s *search) envelopes(ctx context.Context, m manifest) ([]verify.Signature, error) {
	var attestations []descriptor
	for _, layer := range m.Layers {
		if layer.MediaType == dsseType {
			attestations = append(attestations, layer)
		}
	}
	if err := s.count(len(attestations)); err != nil {
		return nil, err
	}
	return inParallel(len(attestations), s.limits.Parallel, func(i int) ([]verify.Signature, error) {
		layer := attestations[i]
		envelope, err := s.content(ctx, "blobs", layer, s.limits.Bundle)
		if err != nil {
			return nil, s.leaveOut(layer, err)
		}
		return []verify.Signature{verify.LegacyAttestation{
			Envelope:         envelope,
			RekorBundle:      layer.Annotations.RekorBundle,
			Certificate:      layer.Annotations.Certificate,
			RFC3161Timestamp: layer.Annotations.RFC3161Timestamp,
		}}, nil
	})
}
