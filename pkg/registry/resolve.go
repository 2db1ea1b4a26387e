// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
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
	via := c.reached()
	endpoints, err := c.endpoints(via, ref.Context(), Source{})
	if err != nil {
		return "", err
	}
	digest, err := c.resolving.do(ctx, resolvingKey(ref, endpoints), func(ctx context.Context) (string, error) {
		return c.resolveAnywhere(ctx, via, endpoints, ref.Tag())
	})
	if err != nil {
		return "", c.explained(failure(ctx, ref.Name().Context().RegistryStr(), err), endpoints)
	}
	return digest, nil
}

// resolvingKey joins those who ask for the same tag with the same credentials.
func resolvingKey(ref image.Reference, endpoints []endpoint) string {
	return ref.Name().Name() + " " + scopeOf(endpoints)
}

// resolveAnywhere asks at each endpoint in turn, until one of them knows the tag.
func (c *core) resolveAnywhere(ctx context.Context, via *connections, endpoints []endpoint, tag string) (string, error) {
	var failed error
	for i, e := range endpoints {
		digest, err := tryEach(c, e, isUnauthorizedOrAbsent, func(as keyring.Credential) (string, error) {
			return c.resolve(ctx, request{via: via, credential: as, elsewhere: i < len(endpoints)-1}, e.repository.Tag(tag))
		})
		if err == nil {
			return digest, nil
		}
		if failed = worse(failed, err); e.original {
			failed = err
		}
	}
	return "", failed
}

// isUnauthorizedOrAbsent reports whether another credential may find the image: there
// are registries that hide what one may not see.
func isUnauthorizedOrAbsent(err error) bool {
	known := (*Error)(nil)
	return isUnauthorized(err) || (errors.As(err, &known) && known.Reason == verify.ImageNotFound)
}

// resolve asks one endpoint, in the way that q says.
func (c *core) resolve(ctx context.Context, q request, ref name.Reference) (string, error) {
	q.repository, q.method, q.path = ref.Context(), http.MethodHead, "manifests/"+ref.Identifier()
	q.accept, q.max = strings.Join(imageTypes, ","), c.limits.Manifest
	a, err := c.ask(ctx, q)
	if err != nil {
		return "", err
	}
	if digest := a.header.Get("Docker-Content-Digest"); a.status == http.StatusOK && isImage(a) && sha256Digest.MatchString(digest) {
		return digest, nil
	}
	// Not every registry answers HEAD, or with a digest; none says to HEAD why not.
	if !refuses(a.status) && !clearlyAbsent(a) {
		q.method = http.MethodGet
		if a, err = c.askHeld(ctx, q); err != nil {
			return "", err
		}
	}
	host := ref.Context().RegistryStr()
	switch {
	case a.status == http.StatusNotFound:
		if err := c.absence(ctx, q, a); err != nil {
			return "", err
		}
		return "", &Error{verify.ImageNotFound, "registry " + host + " has no image " + ref.Name(), nil}
	case a.status != http.StatusOK:
		return "", statusError(host, "the question for "+ref.Name(), a.status, a.code)
	case !isImage(a):
		return "", unavailable("registry %s has, as %s, a manifest of type %q, which is not an image", host, ref.Name(), printable(a.mediaType))
	}
	return digestOf(a.body), nil
}

// askHeld is ask, once there is room for the answer.
func (c *core) askHeld(ctx context.Context, q request) (answer, error) {
	memory := c.share(q.via.lane(q.repository.RegistryStr()))
	if err := memory.acquire(ctx, q.max); err != nil {
		return answer{}, err
	}
	defer memory.release(q.max)
	return c.ask(ctx, q)
}

// clearlyAbsent tells whether the answer to HEAD is a registry's word that there
// is no such manifest: a 404 that says what it is, which one from a proxy, or
// from a server that does not know HEAD, does not. Asking again with GET would
// count against the registry's limit of requests and say the same.
func clearlyAbsent(a answer) bool {
	return a.status == http.StatusNotFound && saysWhatItIs(a)
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
