// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Platform is a manifest in an index that some node may run.
type Platform struct {
	// Name is what the index says it is for: "linux/arm64"; "any" if it does not say.
	Name   string
	Digest string
}

// Platforms returns the manifests that the index under a digest lists, all of those
// that a node may run; nil if there is a manifest under the digest and no index. Never
// is it an empty list without an error. The error is an *Error.
//
// What a node runs is its own runtime's choice among them, and the index's bytes are
// those under the digest, so whatever is chosen is among these.
func (c *Client) Platforms(ctx context.Context, ref image.Reference, digest string) ([]Platform, error) {
	if !sha256Digest.MatchString(digest) || ref.Name() == nil {
		return nil, unavailable("no image is named by digest %q", printable(digest))
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	via := c.connections.Load()
	endpoints, err := c.endpoints(via, ref.Context(), Source{})
	if err != nil {
		return nil, err
	}
	key := "platforms " + ref.Context().String() + "@" + digest + " " + scopeOf(endpoints)
	raw, known := c.contents.get(key)
	if !known {
		raw, err = c.fetching.do(ctx, key, func(ctx context.Context) ([]byte, error) {
			return c.manifestAnywhere(ctx, via, endpoints, digest)
		})
		if err != nil {
			return nil, c.explained(failure(ctx, ref.Name().Context().RegistryStr(), err), endpoints)
		}
		c.contents.put(key, raw, int64(len(raw)))
	}
	return platformsOf(digest, raw)
}

// manifestAnywhere asks at each endpoint in turn for what is under a digest.
func (c *core) manifestAnywhere(ctx context.Context, via *connections, endpoints []endpoint, digest string) ([]byte, error) {
	var failed error
	for i, e := range endpoints {
		raw, err := tryEach(c, e, isUnauthorizedOrAbsent, func(as keyring.Credential) ([]byte, error) {
			return c.manifestUnder(ctx, request{
				via: via, repository: e.repository, credential: as, elsewhere: i < len(endpoints)-1,
				method: http.MethodGet, path: "manifests/" + digest, accept: strings.Join(imageTypes, ","), max: c.limits.List,
			}, digest)
		})
		if err == nil {
			return raw, nil
		}
		if failed = worse(failed, err); e.original {
			failed = err
		}
	}
	return nil, failed
}

func (c *core) manifestUnder(ctx context.Context, q request, digest string) ([]byte, error) {
	a, err := c.askHeld(ctx, q)
	host := q.repository.RegistryStr()
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		if err := c.absence(ctx, q, a); err != nil {
			return nil, err
		}
		return nil, &Error{verify.ImageNotFound, "registry " + host + " has no manifest " + digest, nil}
	case a.status != http.StatusOK:
		return nil, statusError(host, "the question for "+digest, a.status, a.code)
	case digestOf(a.body) != digest:
		return nil, unavailable("registry %s sent something else than %s", host, digest)
	}
	return a.body, nil
}

// unreadable refuses an index for good: its bytes will not change.
func unreadable(digest, format string, args ...any) *Error {
	return &Error{verify.ImageNotFound, "which platforms " + digest + " is for cannot be told: " + fmt.Sprintf(format, args...), nil}
}

// listed is what an index says of a manifest (OCI image specification 1.1, "Image Index").
type listed struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`
}

// cannotRun tells whether no node takes this for itself: BuildKit lists attestations
// so, for a platform that no node has. One of which no platform is said may be run by
// any.
func (d listed) cannotRun() bool {
	return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

func (d listed) name() string {
	if d.Platform == nil {
		return "any platform"
	}
	parts := []string{d.Platform.OS, d.Platform.Architecture}
	if d.Platform.Variant != "" {
		parts = append(parts, d.Platform.Variant)
	}
	return printable(strings.Join(parts, "/"))
}

// platformsOf reads an index, whatever type it was sent under: to a node it may be sent
// under another one. What two readers may read as two things is refused.
func platformsOf(digest string, raw []byte) ([]Platform, error) {
	if err := unambiguous(raw); err != nil {
		return nil, unreadable(digest, "%v", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, unreadable(digest, "it is no JSON object")
	}
	_, isIndex := fields["manifests"]
	_, hasConfig := fields["config"]
	_, hasLayers := fields["layers"]
	switch {
	case !isIndex && hasConfig && hasLayers:
		return nil, nil
	case !isIndex || hasConfig || hasLayers:
		return nil, unreadable(digest, "it is neither an index nor a manifest, or both")
	}
	var entries []listed
	if err := json.Unmarshal(fields["manifests"], &entries); err != nil {
		return nil, unreadable(digest, "its list is malformed")
	}
	return runnable(digest, entries)
}

// runnable returns those that a node may run.
func runnable(digest string, entries []listed) ([]Platform, error) {
	var all []Platform
	for _, d := range entries {
		switch {
		case d.cannotRun():
			continue
		case !isManifest(d.MediaType):
			return nil, unreadable(digest, "it lists %q, which is no image manifest", printable(d.MediaType))
		case !sha256Digest.MatchString(d.Digest):
			return nil, unreadable(digest, "it lists what has no sha256 digest")
		}
		if !slices.ContainsFunc(all, func(p Platform) bool { return p.Digest == d.Digest }) {
			all = append(all, Platform{Name: d.name(), Digest: d.Digest})
		}
	}
	switch {
	case len(all) == 0:
		return nil, unreadable(digest, "it lists nothing that can run")
	case len(all) > maxPlatforms:
		return nil, limitExceeded("%s is for %d platforms, more than %d", digest, len(all), maxPlatforms)
	}
	return all, nil
}
