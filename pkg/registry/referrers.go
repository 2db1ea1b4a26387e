// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// cosignSignatureType is the config type of cosign's experimental OCI 1.1 form:
// a referrer whose layers are as those of the legacy signature image.
const cosignSignatureType = "application/vnd.dev.cosign.artifact.sig.v1+json"

// bundleTypes are the media types of a sigstore bundle, of both spellings
// (github.com/sigstore/protobuf-specs, protos/sigstore_bundle.proto).
var bundleTypes = []string{
	"application/vnd.dev.sigstore.bundle.v0.3+json",
	"application/vnd.dev.sigstore.bundle+json;version=0.3",
	"application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.1",
}

// vagueTypes are artifact types that say nothing. Registries and clients that
// do not copy the manifest's artifactType list its config type, or none.
var vagueTypes = []string{
	"",
	"application/vnd.oci.empty.v1+json",
	string(types.OCIConfigJSON),
	string(types.DockerConfigJSON),
	string(types.OCIManifestSchema1),
}

func isBundle(mediaType string) bool { return slices.Contains(bundleTypes, mediaType) }

// referrers reads the signatures among the manifests whose subject is the image.
func (s *search) referrers(ctx context.Context) ([]verify.Signature, error) {
	listed, listErr := s.listReferrers(ctx)
	candidates := slices.DeleteFunc(listed, func(d descriptor) bool {
		return !isBundle(d.ArtifactType) && d.ArtifactType != cosignSignatureType && !slices.Contains(vagueTypes, d.ArtifactType)
	})
	if len(candidates) > s.limits.Bundles {
		return nil, limitExceeded("%s has %d referrers that may be signatures, more than %d", s.digest, len(candidates), s.limits.Bundles)
	}
	found, err := inParallel(len(candidates), s.limits.Parallel, func(i int) ([]verify.Signature, error) {
		found, err := s.referrer(ctx, candidates[i])
		if err != nil {
			err = s.leaveOut(candidates[i], err)
		}
		return found, err
	})
	return found, worse(listErr, err)
}

// referrer reads one of them.
func (s *search) referrer(ctx context.Context, d descriptor) ([]verify.Signature, error) {
	if !isManifest(d.MediaType) {
		return nil, fmt.Errorf("%w: it is listed as %q", errNotOurs, printable(d.MediaType))
	}
	raw, err := s.content(ctx, "manifests", d, s.limits.List)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(raw, d.MediaType, s.limits.Signatures)
	switch {
	case err != nil:
		return nil, err
	case m.Subject == nil || m.Subject.Digest != s.digest:
		return nil, fmt.Errorf("%w: its subject is another image", errNotOurs)
	case m.ArtifactType == cosignSignatureType || m.Config.MediaType == cosignSignatureType:
		return s.layers(ctx, m)
	}
	return s.bundle(ctx, m)
}

// bundle reads the single layer of a manifest, if it is a bundle.
func (s *search) bundle(ctx context.Context, m manifest) ([]verify.Signature, error) {
	if len(m.Layers) != 1 || !isBundle(m.Layers[0].MediaType) {
		return nil, fmt.Errorf("%w: it has %d layers, not a bundle alone", errNotOurs, len(m.Layers))
	}
	if err := s.count(1); err != nil {
		return nil, err
	}
	raw, err := s.content(ctx, "blobs", m.Layers[0], s.limits.Bundle)
	if err != nil {
		return nil, err
	}
	return []verify.Signature{verify.Bundle{JSON: raw}}, nil
}

// listReferrers asks the referrers API (OCI distribution specification 1.1,
// "Listing Referrers") and, where the registry has none, reads the fallback tag.
// Entries may come beside an error.
func (s *search) listReferrers(ctx context.Context) ([]descriptor, error) {
	listed, err := s.referrersAPI(ctx)
	switch {
	case err == nil:
		return listed, nil
	case errors.Is(err, errNoReferrersAPI):
		return s.fallbackTag(ctx)
	case !errors.Is(err, errOpaque):
		return listed, err
	}
	// It could not be told whether there are referrers, and that stands. What
	// the tag lists may still be enough to admit.
	more, _ := s.fallbackTag(ctx)
	return append(listed, more...), err
}

// fallbackTag reads the index under the tag sha256-<hex>, which clients keep
// where the registry has no referrers API ("Referrers Tag Schema").
func (s *search) fallbackTag(ctx context.Context) ([]descriptor, error) {
	q := request{
		via:        s.via,
		repository: s.repository,
		credential: s.credential,
		method:     http.MethodGet,
		path:       "manifests/" + s.tag(),
		accept:     string(types.OCIImageIndex),
	}
	a, err := s.askForList(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		return nil, s.absence(ctx, q, a)
	case a.status != http.StatusOK:
		return nil, statusError(s.host(), "the question for referrers of "+s.digest, a.status, a.code)
	}
	return s.readIndex(a, s.limits.Entries)
}

func (s *search) readIndex(a answer, limit int) ([]descriptor, error) {
	listed, err := parseIndex(a.body, a.mediaType, limit)
	if err != nil {
		return nil, s.malformed("the list of referrers", err)
	}
	return listed, nil
}
