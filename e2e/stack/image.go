// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Image is an image in a registry of the stack.
type Image struct {
	Registry   string // host:port
	Repository string // path
	Tag        string
	Digest     string // sha256:…
}

// Ref is the image by tag.
func (i Image) Ref() string { return i.Registry + "/" + i.Repository + ":" + i.Tag }

// ByDigest is the image by digest.
func (i Image) ByDigest() string { return i.Registry + "/" + i.Repository + "@" + i.Digest }

// Pinned is the image by tag and digest: what a pinned Pod's image field reads.
func (i Image) Pinned() string { return i.Ref() + "@" + i.Digest }

// PushImage pushes a new image with random content.
func PushImage(ctx context.Context, registry, repository, tag string) (Image, error) {
	img, err := random.Image(512, 1)
	if err != nil {
		return Image{}, err
	}
	return Push(ctx, img, registry, repository, tag)
}

// Push pushes img, over whatever the tag meant before.
func Push(ctx context.Context, img v1.Image, registry, repository, tag string) (Image, error) {
	pushed := Image{Registry: registry, Repository: repository, Tag: tag}
	ref, err := name.NewTag(pushed.Ref(), name.StrictValidation, name.Insecure)
	if err != nil {
		return Image{}, err
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return Image{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return Image{}, err
	}
	pushed.Digest = digest.String()
	return pushed, nil
}
