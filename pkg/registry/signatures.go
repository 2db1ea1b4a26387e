// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Signatures returns the signatures of a digest ("sha256:<hex>") that lie in a
// source, by default beside it in ref's repository: layers of cosign's tag
// sha256-<hex>.sig in their order, then sigstore bundles found through the
// referrers API or, where the registry has none, the tag sha256-<hex>. Nothing
// about them is verified but that their bytes are those which the registry listed.
//
// nil, nil means that the registry said clearly that there are none. An error,
// an *Error, means that the list may be incomplete; the signatures returned
// beside it were found all the same. So a good signature among them admits, but
// their lack may be reported only as the error.
//
// The registry is asked for its lists each time, and for content only if it is
// not known by digest. The result is shared: do not change it.
func (c *Client) Signatures(ctx context.Context, ref image.Reference, digest string, from Source) ([]verify.Signature, error) {
	return c.list(ctx, c.place(ref, digest, from, "signatures"), func(ctx context.Context, s *search) ([]verify.Signature, error) {
		return s.all(ctx)
	})
}

// place is where evidence of one kind about one digest is looked for, and as whom.
type place struct {
	via        *connections
	repository image.Repository
	endpoints  []endpoint
	failure    error  // if it is nowhere
	prefix     string // of cosign's tags
	digest     string
	kind       string
}

func (c *Client) place(ref image.Reference, digest string, from Source, kind string) place {
	via := c.reached()
	p := place{via: via, repository: via.hosts.evidence(ref, from), prefix: from.TagPrefix, digest: digest, kind: kind}
	if !p.repository.IsZero() {
		p.endpoints, p.failure = c.endpoints(via, p.repository, from)
	}
	return p
}

// key keeps repositories apart, and prefixes in them: a signature that lies beside
// an image in one says nothing about the same image in another. Whoever would ask
// with other credentials is not told what was found with these.
func (p place) key() string {
	return p.kind + " " + p.repository.String() + "@" + p.digest + " " + p.prefix + " " + scopeOf(p.endpoints)
}

// list returns what look finds in a place, and remembers it. Work that is joined is
// done as whoever began it reaches registries.
func (c *Client) list(ctx context.Context, p place, look func(context.Context, *search) ([]verify.Signature, error)) ([]verify.Signature, error) {
	if !sha256Digest.MatchString(p.digest) || p.repository.IsZero() {
		return nil, unavailable("no image is named by digest %q", printable(p.digest))
	}
	if p.failure != nil {
		return nil, p.failure
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	key := p.key()
	found, err := c.listing.do(ctx, key, func(ctx context.Context) ([]verify.Signature, error) {
		s := c.newSearch(p)
		defer s.release()
		return look(ctx, s)
	})
	if len(found) > 0 {
		c.found.put(key, found, footprint(found))
	} else if err == nil {
		c.found.remove(key)
	}
	if err != nil {
		return found, c.explained(failure(ctx, p.repository.Name().RegistryStr(), err), p.endpoints)
	}
	return found, nil
}

// CachedSignatures returns signatures of digest that an earlier call of
// Signatures found in that source, without a request, and whether there are any.
// They may only be used to admit: before a denial, call Signatures.
func (c *Client) CachedSignatures(ref image.Reference, digest string, from Source) ([]verify.Signature, bool) {
	return c.cached(c.place(ref, digest, from, "signatures"))
}

func (c *Client) cached(p place) ([]verify.Signature, bool) { return c.found.get(p.key()) }

// all looks in both places at once.
func (s *search) all(ctx context.Context) ([]verify.Signature, error) {
	places := []func(context.Context, *search) ([]verify.Signature, error){
		func(ctx context.Context, s *search) ([]verify.Signature, error) { return s.legacy(ctx) },
		func(ctx context.Context, s *search) ([]verify.Signature, error) { return s.referrers(ctx) },
	}
	return inParallel(len(places), len(places), func(i int) ([]verify.Signature, error) {
		return s.copies(ctx, places[i])
	})
}

// inParallel calls work for 0 … n-1, at most limit at a time, and returns all
// that was found, in order, beside the error to report. A panic is an error.
func inParallel(n, limit int, work func(i int) ([]verify.Signature, error)) ([]verify.Signature, error) {
	found := make([][]verify.Signature, n)
	errs := make([]error, n)
	var group errgroup.Group
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			found[i], errs[i] = work(i)
			return nil
		})
	}
	_ = group.Wait() // errors are in errs
	var worst error
	for _, err := range errs {
		worst = worse(worst, err)
	}
	return slices.Concat(found...), worst
}

// leaveOut drops what cannot be a signature, with a line in the log, and passes
// every other error on.
func (s *search) leaveOut(d descriptor, err error) error {
	if !errors.Is(err, errNotOurs) && !errors.Is(err, errMalformed) {
		return err
	}
	s.log.V(1).Info("left out content beside an image", "repository", s.repository.Name(), "digest", s.digest,
		"content", printable(d.Digest), "why", printable(err.Error()))
	return nil
}

// footprint is what a list of signatures takes in memory, roughly.
func footprint(found []verify.Signature) int64 {
	var bytes int
	for _, signature := range found {
		switch v := signature.(type) {
		case verify.LegacySignature:
			bytes += len(v.Payload) + len(v.Base64Signature) + len(v.RekorBundle) + len(v.Certificate) + len(v.Chain) + len(v.RFC3161Timestamp)
		case verify.LegacyAttestation:
			bytes += len(v.Envelope) + len(v.RekorBundle) + len(v.Certificate) + len(v.RFC3161Timestamp)
		case verify.Bundle:
			bytes += len(v.JSON)
		}
		bytes += entryOverhead
	}
	return int64(bytes)
}
