// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

var sha256Digest = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

// imageTypes are the manifests that container runtimes run, in the order in
// which containerd asks for them, so that we are given the same one.
var imageTypes = []string{
	string(types.DockerManifestSchema2),
	string(types.DockerManifestList),
	string(types.OCIManifestSchema1),
	string(types.OCIImageIndex),
}

// Resolve returns the digest, "sha256:<hex>", of the manifest that the
// reference's tag names now. A reference that has a digest is answered without
// a request. The error is an *Error.
//
// The digest is what the registry says. It is for the caller to use nothing but
// this digest from then on.
func (c *Client) Resolve(ctx context.Context, ref image.Reference) (string, error) {
	if ref.Digest() != "" {
		return ref.Digest(), nil
	}
	if ref.Name() == nil {
		return "", &Error{verify.ImageNotFound, "no image is named", nil}
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	digest, err := c.resolving.do(ctx, ref.Name().Name(), func(ctx context.Context) (string, error) {
		return c.resolve(ctx, ref.Name())
	})
	if err != nil {
		return "", failure(ctx, hostOf(ref), err)
	}
	return digest, nil
}

func (c *Client) resolve(ctx context.Context, ref name.Reference) (string, error) {
	q := request{
		repository: ref.Context(),
		method:     http.MethodHead,
		path:       "manifests/" + ref.Identifier(),
		accept:     strings.Join(imageTypes, ","),
		max:        c.limits.Manifest,
	}
	a, err := c.ask(ctx, q)
	if err != nil {
		return "", err
	}
	if digest := a.header.Get("Docker-Content-Digest"); a.status == http.StatusOK && isImage(a) && sha256Digest.MatchString(digest) {
		return digest, nil
	}
	// Not every registry answers HEAD, or with a digest; none says to HEAD why not.
	if !refuses(a.status) {
		q.method = http.MethodGet
		if a, err = c.ask(ctx, q); err != nil {
			return "", err
		}
	}
	host := ref.Context().RegistryStr()
	switch {
	case a.status == http.StatusNotFound:
		return "", &Error{verify.ImageNotFound, "registry " + host + " has no image " + ref.Name(), nil}
	case a.status != http.StatusOK:
		return "", statusError(host, "the question for "+ref.Name(), a.status, a.code)
	case !isImage(a):
		return "", unavailable("registry %s has, as %s, a manifest of type %q, which is not an image", host, ref.Name(), printable(a.mediaType))
	}
	return digestOf(a.body), nil
}

// refuses tells whether a registry that gave this status would say the same to GET.
func refuses(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

func isImage(a answer) bool {
	return slices.Contains(imageTypes, a.mediaType)
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
