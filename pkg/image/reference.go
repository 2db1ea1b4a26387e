// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image reads image references and the globs that policies match them
// with, and finds where a Kubernetes object holds its images.
//
// One rule runs through it: what Countersign verifies must be what the kubelet
// pulls. A spelling that two readers could take for two repositories is refused
// rather than interpreted.
package image

import (
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

const (
	dockerHub        = "docker.io"
	dockerHubLibrary = "library"
	defaultTag       = "latest"
	digestPrefix     = "sha256:"
)

// Reference is an image reference, parsed and normalised. It is immutable; the
// zero value names no image and is only ever returned beside an error.
type Reference struct {
	text     string
	registry string // normalised: docker.io for every name of Docker Hub, no :443
	path     string // below the registry, "library/" added where Docker Hub implies it
	tag      string
	digest   string
	name     name.Reference
}

// SyntaxError says why a text is not an image reference or not a glob that
// Countersign accepts. It is the error type of Parse and ParseGlob.
type SyntaxError struct {
	// Kind is "image reference" or "image glob".
	Kind string
	// Text is what was parsed, as given. It may hold any bytes.
	Text string
	// Problem is one clause for a person. It holds no unescaped input.
	Problem string
}

func (e *SyntaxError) Error() string {
	text := e.Text
	if len(text) > shownLength {
		text = text[:shownLength] + "…"
	}
	return fmt.Sprintf("%s %q %s", e.Kind, text, e.Problem)
}

// shownLength is how much of a text that was refused is repeated in an error.
const shownLength = 200

// Parse reads an image reference in the grammar of the container runtimes
// (github.com/distribution/reference, which the kubelet and containerd use) and
// refuses whatever that grammar and go-containerregistry, with which Countersign
// fetches, do not read alike. It is stricter than both: registry hosts are lower
// case and canonical, digests are sha256, and nothing is read that a runtime
// could take for the ID of a local image. The error is a *SyntaxError.
func Parse(s string) (Reference, error) {
	p, err := splitReference(s)
	if err == nil {
		err = p.check()
	}
	if err == nil {
		err = p.agree(s)
	}
	if err != nil {
		return Reference{}, &SyntaxError{Kind: "image reference", Text: s, Problem: err.Error()}
	}
	r := Reference{text: s, registry: normaliseHost(p.host), path: p.path, tag: p.tag, digest: p.digest}
	if r.tag == "" && r.digest == "" {
		r.tag = defaultTag
	}
	if r.name, err = r.build(p.host); err != nil {
		return Reference{}, &SyntaxError{Kind: "image reference", Text: s, Problem: "is not accepted by the registry client"}
	}
	return r, nil
}

// build makes the reference with which the image is fetched. The host stays as
// it was written, port included, because credentials are looked up by it.
func (r Reference) build(host string) (name.Reference, error) {
	if isDockerHub(host) {
		host = dockerHub
	}
	repository, err := name.NewRepository(host + "/" + r.path)
	if err != nil {
		return nil, err
	}
	if r.digest != "" {
		return repository.Digest(r.digest), nil
	}
	return repository.Tag(r.tag), nil
}

// agree asks both libraries how they read s.
func (p parts) agree(s string) error {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return errors.New("is not accepted by container runtimes")
	}
	theirs := parts{host: reference.Domain(named), path: reference.Path(named)}
	if t, ok := named.(reference.Tagged); ok {
		theirs.tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		theirs.digest = d.Digest().String()
	}
	ours := p
	if ours.host == hubIndex {
		ours.host = dockerHub
	}
	fetched, err := name.ParseReference(s)
	if err != nil || theirs != ours {
		return errAmbiguous
	}
	host := fetched.Context().RegistryStr()
	if host == hubIndex {
		host = dockerHub
	}
	if host != ours.host || fetched.Context().RepositoryStr() != ours.path {
		return errAmbiguous
	}
	return nil
}

var errAmbiguous = errors.New("is read differently by different container runtimes")

// String returns the reference as the user wrote it.
func (r Reference) String() string { return r.text }

// Registry returns the registry's normalised name: "docker.io" for every name
// of Docker Hub, otherwise host[:port] without the default port 443.
func (r Reference) Registry() string { return r.registry }

// Repository returns the normalised full name, "docker.io/library/nginx".
func (r Reference) Repository() string { return r.registry + "/" + r.path }

// Tag returns the tag: "latest" when neither tag nor digest was given, "" when
// only a digest was.
func (r Reference) Tag() string { return r.tag }

// Digest returns "sha256:<hex>", or "" where the reference has none.
func (r Reference) Digest() string { return r.digest }

// Name returns the reference for go-containerregistry; a digest wins over a tag.
func (r Reference) Name() name.Reference { return r.name }

// Pinned returns what the image field of a pinned container reads: the
// reference as written with its tag and "@"+digest. A reference that had neither
// tag nor digest gets its implied ":latest" written out, so that a policy which
// covers `nginx:latest` still covers the image once it is pinned. A digest that
// the reference already has is replaced.
func (r Reference) Pinned(digest string) string {
	base := r.text
	if r.digest != "" {
		return base[:len(base)-len(r.digest)] + digest
	}
	if _, _, tagged := cutTag(base); !tagged {
		base += ":" + r.tag
	}
	return base + "@" + digest
}
