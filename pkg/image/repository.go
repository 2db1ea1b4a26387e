// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Repository is a repository of a registry, parsed and normalised. It is
// comparable; the zero value names none.
type Repository struct {
	registry string // normalised, as a Reference's
	path     string
	name     name.Repository
}

// ParseRepository reads the name of a repository in the grammar of Parse, with
// its rules for hosts, and without a tag or a digest. Unlike an image, it is
// named in full: "signatures" and "registry.example" would otherwise be
// repositories of Docker Hub. The error is a *SyntaxError.
func ParseRepository(s string) (Repository, error) {
	refused := func(problem string) (Repository, error) {
		return Repository{}, &SyntaxError{Kind: "repository", Text: s, Problem: problem}
	}
	if first, _, several := strings.Cut(s, "/"); s != "" && (!several || !namesRegistry(first)) {
		return refused("does not begin with the host of a registry and '/'; write docker.io/… for Docker Hub")
	}
	if strings.Contains(s, "@") {
		return refused("has a digest; name the repository alone")
	}
	if _, tag, tagged := cutTag(s); tagged && tag != "" {
		return refused("has a tag; name the repository alone")
	}
	ref, err := Parse(s)
	if syntax := (*SyntaxError)(nil); errors.As(err, &syntax) {
		return refused(syntax.Problem)
	}
	return ref.Context(), err
}

// Context returns the repository that the reference is in.
func (r Reference) Context() Repository {
	if r.name == nil {
		return Repository{}
	}
	return Repository{registry: r.registry, path: r.path, name: r.name.Context()}
}

// IsZero reports whether r names no repository.
func (r Repository) IsZero() bool { return r.path == "" }

// Registry returns the registry's normalised name, as Reference.Registry.
func (r Repository) Registry() string { return r.registry }

// Path returns the repository's name below its registry.
func (r Repository) Path() string { return r.path }

// String returns the normalised full name, as Reference.Repository.
func (r Repository) String() string { return r.registry + "/" + r.path }

// Name returns the repository for go-containerregistry.
func (r Repository) Name() name.Repository { return r.name }

// maxTagPrefix leaves room for the longest of cosign's tags, sha256-<hex>.sig.
const maxTagPrefix = maxTag - len("sha256-.sig") - 64

// CheckTagPrefix returns an error unless cosign's tag for a digest, with prefix in
// front, is a tag of the OCI distribution specification. No prefix is one, too.
func CheckTagPrefix(prefix string) error {
	switch {
	case len(prefix) > maxTagPrefix:
		return fmt.Errorf("is longer than %d characters", maxTagPrefix)
	case prefix != "" && !tagPattern.MatchString(prefix):
		return errors.New("must be letters, digits, '_', '-' and '.', the first neither '-' nor '.'")
	}
	return nil
}
