// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"
	kjson "sigs.k8s.io/json"
)

// descriptor points to content, OCI image specification 1.1, "Descriptors".
type descriptor struct {
	MediaType    string      `json:"mediaType"`
	Digest       string      `json:"digest"`
	Size         int64       `json:"size"`
	ArtifactType string      `json:"artifactType"`
	Annotations  annotations `json:"annotations"`
}

// annotations are those of a layer that describe a legacy signature. All others
// are left out unread: a map of them can take forty times its length in JSON.
type annotations struct {
	Signature        string `json:"dev.cosignproject.cosign/signature,omitempty"`
	Certificate      string `json:"dev.sigstore.cosign/certificate,omitempty"`
	Chain            string `json:"dev.sigstore.cosign/chain,omitempty"`
	RekorBundle      string `json:"dev.sigstore.cosign/bundle,omitempty"`
	RFC3161Timestamp string `json:"dev.sigstore.cosign/rfc3161timestamp,omitempty"`
}

// target is what is used of a descriptor where its content is not read.
type target struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
}

// manifest is an image manifest, OCI or Docker schema 2.
type manifest struct {
	ArtifactType string
	Config       target
	Layers       []descriptor
	Subject      *target
}

// document is a manifest or an index whose lists have not been read yet, so
// that their lengths can be bounded first: 1 MiB holds 300,000 empty layers.
type document struct {
	MediaType    string          `json:"mediaType"`
	ArtifactType string          `json:"artifactType"`
	Config       target          `json:"config"`
	Layers       json.RawMessage `json:"layers"`
	Manifests    json.RawMessage `json:"manifests"`
	Subject      *target         `json:"subject"`
}

var (
	errMalformed = errors.New("malformed")
	errTooMany   = errors.New("too many entries")
)

var manifestTypes = []string{string(types.OCIManifestSchema1), string(types.DockerManifestSchema2)}

func isManifest(mediaType string) bool {
	return mediaType == manifestTypes[0] || mediaType == manifestTypes[1]
}

// parseManifest reads an image manifest that came under mediaType and has at
// most maxLayers layers. Errors are errMalformed and errTooMany.
func parseManifest(raw []byte, mediaType string, maxLayers int) (manifest, error) {
	d, err := parseDocument(raw, mediaType)
	if err != nil {
		return manifest{}, err
	}
	if !isManifest(mediaType) || d.Manifests != nil {
		return manifest{}, fmt.Errorf("%w: not an image manifest", errMalformed)
	}
	layers, err := parseList(d.Layers, maxLayers)
	if err != nil {
		return manifest{}, err
	}
	return manifest{ArtifactType: d.ArtifactType, Config: d.Config, Layers: layers, Subject: d.Subject}, nil
}

// parseIndex reads the entries of an OCI image index, at most maxEntries.
func parseIndex(raw []byte, mediaType string, maxEntries int) ([]descriptor, error) {
	d, err := parseDocument(raw, mediaType)
	if err != nil {
		return nil, err
	}
	if mediaType != string(types.OCIImageIndex) || d.Layers != nil || d.Manifests == nil {
		return nil, fmt.Errorf("%w: not an image index", errMalformed)
	}
	return parseList(d.Manifests, maxEntries)
}

// parseDocument refuses a document that says it is of another type than the one
// under which it came: two readers could read it as two things (CVE-2021-41190).
func parseDocument(raw []byte, mediaType string) (document, error) {
	var d document
	strict, err := kjson.UnmarshalStrict(raw, &d, kjson.DisallowDuplicateFields)
	if err != nil || len(strict) > 0 {
		return document{}, fmt.Errorf("%w: not a JSON document of its type", errMalformed)
	}
	if d.MediaType != "" && d.MediaType != mediaType {
		return document{}, fmt.Errorf("%w: it says that it is another type than the one it was sent as", errMalformed)
	}
	return d, nil
}

// parseList reads descriptors one by one, and stops at the bound.
func parseList(raw json.RawMessage, limit int) ([]descriptor, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	decoder := kjson.NewDecoderCaseSensitivePreserveInts(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return nil, fmt.Errorf("%w: not a list", errMalformed)
	}
	var list []descriptor
	for decoder.More() {
		if len(list) == limit {
			return nil, errTooMany
		}
		var d descriptor
		if err := decoder.Decode(&d); err != nil {
			return nil, fmt.Errorf("%w: not a descriptor", errMalformed)
		}
		list = append(list, d)
	}
	return list, nil
}
