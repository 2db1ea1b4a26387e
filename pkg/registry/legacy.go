// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"strings"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// simpleSigningType is the layer of cosign's first storage format, as in github.com/sigstore/cosign:
// pkg/types/media.go and pkg/oci/static/signature.go.
// The names of its annotations are in annotations.
const simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"

// legacy reads the image under the tag sha256-<hex>.sig, each layer of which is
// a signature.
func (s *search) legacy(ctx context.Context) ([]verify.Signature, error) {
	return s.tagged(ctx, ".sig", s.layers)
}

// tagged reads the image under the tag sha256-<hex> with a suffix, and with the
// source's prefix, and what read finds in its manifest.
func (s *search) tagged(ctx context.Context, suffix string, read func(context.Context, manifest) ([]verify.Signature, error)) ([]verify.Signature, error) {
	what := "the image under " + suffix
	q := request{
		via:        s.via,
		repository: s.repository,
		credential: s.credential,
		method:     http.MethodGet,
		path:       "manifests/" + s.prefix + s.tag() + suffix,
		accept:     strings.Join(manifestTypes, ","),
	}
	a, err := s.askForList(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		return nil, s.absence(ctx, q, a)
	case a.status != http.StatusOK:
		return nil, statusError(s.host(), "the question for signatures of "+s.digest, a.status, a.code)
	}
	m, err := parseManifest(a.body, a.mediaType, s.limits.Signatures)
	if err != nil {
		return nil, s.malformed(what, err)
	}
	return read(ctx, m)
}

// tag is the digest as a tag.
func (s *search) tag() string { return strings.Replace(s.digest, ":", "-", 1) }

// layers reads the signatures among the layers of m.
func (s *search) layers(ctx context.Context, m manifest) ([]verify.Signature, error) {
	var signatures []descriptor
	for _, layer := range m.Layers {
		if layer.MediaType == simpleSigningType {
			signatures = append(signatures, layer)
		}
	}
	if err := s.count(len(signatures)); err != nil {
		return nil, err
	}
	return inParallel(len(signatures), s.limits.Parallel, func(i int) ([]verify.Signature, error) {
		layer := signatures[i]
		payload, err := s.content(ctx, "blobs", layer, s.limits.Payload)
		if err != nil {
			return nil, s.leaveOut(layer, err)
		}
		return []verify.Signature{verify.LegacySignature{
			Payload:          payload,
			Base64Signature:  layer.Annotations.Signature,
			RekorBundle:      layer.Annotations.RekorBundle,
			Certificate:      layer.Annotations.Certificate,
			Chain:            layer.Annotations.Chain,
			RFC3161Timestamp: layer.Annotations.RFC3161Timestamp,
		}}, nil
	})
}
