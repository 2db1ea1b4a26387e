// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign-dev/countersign/e2e/stack"
)

const (
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	bundleAnnotation    = "dev.sigstore.cosign/bundle"
)

// evidence is a signature as cosign stored it beside an image: a manifest, its
// one layer and its config. A scenario changes it and lays it beside another
// copy of the image.
type evidence struct {
	manifest v1.Manifest
	layer    []byte
	config   []byte
	suffix   string // of the tag, if it is not a bundle
}

// storedEvidence reads the one signature of that format beside image.
func storedEvidence(t *testing.T, image stack.Image, format stack.Format) *evidence {
	t.Helper()
	return storedUnder(t, image, format, ".sig")
}

// storedAttestation reads the one attestation of that format beside image.
func storedAttestation(t *testing.T, image stack.Image, format stack.Format) *evidence {
	t.Helper()
	return storedUnder(t, image, format, ".att")
}

func storedUnder(t *testing.T, image stack.Image, format stack.Format, suffix string) *evidence {
	t.Helper()
	where := image.Registry + "/" + image.Repository + ":" + strings.Replace(image.Digest, ":", "-", 1) + suffix
	if format == stack.Bundle {
		where = image.Registry + "/" + image.Repository + "@" + onlyReferrer(t, image)
	}
	ref := reference(t, where)
	stored, err := remote.Get(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	e := &evidence{suffix: suffix}
	if err := json.Unmarshal(stored.Manifest, &e.manifest); err != nil {
		t.Fatal(err)
	}
	if len(e.manifest.Layers) != 1 {
		t.Fatalf("%s has %d layers, want 1", where, len(e.manifest.Layers))
	}
	e.layer = blob(t, ref, e.manifest.Layers[0].Digest)
	e.config = blob(t, ref, e.manifest.Config.Digest)
	return e
}

// onlyReferrer is the digest of the one bundle that refers to image.
func onlyReferrer(t *testing.T, image stack.Image) string {
	t.Helper()
	digest, err := name.NewDigest(image.ByDigest(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(digest, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	referrers, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(referrers.Manifests) != 1 {
		t.Fatalf("%d manifests refer to %s, want 1", len(referrers.Manifests), image.ByDigest())
	}
	return referrers.Manifests[0].Digest.String()
}

func blob(t *testing.T, beside name.Reference, digest v1.Hash) []byte {
	t.Helper()
	layer, err := remote.Layer(beside.Context().Digest(digest.String()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// clone returns a copy that can be changed.
func (e *evidence) clone(t *testing.T) *evidence {
	t.Helper()
	c := &evidence{layer: slices.Clone(e.layer), config: e.config, suffix: e.suffix}
	raw, err := json.Marshal(e.manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &c.manifest); err != nil {
		t.Fatal(err)
	}
	return c
}

// layBeside stores the evidence as image's: under image's tag for it, or with image
// as its subject.
func (e *evidence) layBeside(t *testing.T, image stack.Image) {
	t.Helper()
	c := e.clone(t)
	repository := reference(t, image.ByDigest()).Context()
	layer := &c.manifest.Layers[0]
	pushed := static.NewLayer(c.layer, layer.MediaType)
	layer.Digest, _ = pushed.Digest()
	layer.Size, _ = pushed.Size()
	for _, l := range []v1.Layer{pushed, static.NewLayer(c.config, c.manifest.Config.MediaType)} {
		if err := remote.WriteLayer(repository, l, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	var where name.Reference = repository.Tag(strings.Replace(image.Digest, ":", "-", 1) + c.suffix)
	if c.manifest.Subject != nil {
		described, err := remote.Head(reference(t, image.ByDigest()), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		c.manifest.Subject = &v1.Descriptor{MediaType: described.MediaType, Digest: described.Digest, Size: described.Size}
		raw, _ := c.RawManifest()
		digest, _, err := v1.SHA256(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		where = repository.Digest(digest.String())
	}
	if err := remote.Put(where, c, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// RawManifest implements remote.Taggable.
func (e *evidence) RawManifest() ([]byte, error) { return json.Marshal(e.manifest) }

// MediaType is that of the manifest.
func (e *evidence) MediaType() (types.MediaType, error) { return e.manifest.MediaType, nil }

// rekorBundle is the annotation in which a legacy signature carries its entry.
type rekorBundle struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
}

// rekorBundle reads the entry of a legacy signature.
func (e *evidence) rekorBundle(t *testing.T) rekorBundle {
	t.Helper()
	var entry rekorBundle
	if err := json.Unmarshal([]byte(e.manifest.Layers[0].Annotations[bundleAnnotation]), &entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

// editEntry changes the entry of a legacy signature.
func (e *evidence) editEntry(t *testing.T, edit func(*rekorBundle)) {
	t.Helper()
	entry := e.rekorBundle(t)
	edit(&entry)
	raw, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	e.manifest.Layers[0].Annotations[bundleAnnotation] = string(raw)
}

// signature is a legacy signature's, decoded.
func (e *evidence) signature(t *testing.T) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(e.manifest.Layers[0].Annotations[signatureAnnotation])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// bundle parses the bundle of a signature of that format.
func (e *evidence) bundle(t *testing.T) *protobundle.Bundle {
	t.Helper()
	parsed := &protobundle.Bundle{}
	if err := protojson.Unmarshal(e.layer, parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// editBundle changes the bundle of a signature of that format.
func (e *evidence) editBundle(t *testing.T, edit func(*protobundle.Bundle)) {
	t.Helper()
	parsed := e.bundle(t)
	edit(parsed)
	raw, err := protojson.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	e.layer = raw
}

// content is what an image consists of.
func content(t *testing.T, image stack.Image) v1.Image {
	t.Helper()
	content, err := remote.Image(reference(t, image.ByDigest()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// copyImage pushes image, without what lies beside it, to a repository of its own.
func copyImage(t *testing.T, image stack.Image, registry *stack.Registry) stack.Image {
	t.Helper()
	copied, err := stack.Push(t.Context(), content(t, image), registry.Host, newName(t)+"/app", image.Tag)
	if err != nil {
		t.Fatal(err)
	}
	if copied.Digest != image.Digest {
		t.Fatalf("the copy of %s has digest %s", image.ByDigest(), copied.Digest)
	}
	return copied
}

// flip changes one bit in the middle.
func flip(b []byte) { b[len(b)/2] ^= 1 }
