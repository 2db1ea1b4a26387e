// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// Source says where evidence about images is looked for. The zero value is
// beside the image, in its own repository. Whatever the place, evidence counts
// by the digest that it is about: the repository proves nothing.
type Source struct {
	// Repository holds the evidence in the place of the image's own: what cosign
	// calls COSIGN_REPOSITORY. That of many images may lie in one repository.
	Repository image.Repository
	// TagPrefix stands before cosign's tags sha256-<hex>.sig and .att (cosign
	// --attachment-tag-prefix). Bundles are found as referrers, which have no
	// such tags: it does not concern them.
	TagPrefix string
	// Credentials are those that belong to the place, besides those of whoever
	// asks. nil is none.
	Credentials *keyring.Keyring
}

// String says for a person where that is.
func (s Source) String() string {
	where := "beside the image"
	if !s.Repository.IsZero() {
		where = "in " + s.Repository.String()
	}
	if s.TagPrefix != "" {
		where += fmt.Sprintf(" (tags that begin with %q)", s.TagPrefix)
	}
	return where
}
