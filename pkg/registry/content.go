// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// search is the work of one call of Signatures: where to look, and for which image.
type search struct {
	*core
	*budget
	via *connections
	// memory is that of which bytes are held.
	memory *share
	// endpoints are where the place is found, repository is the one of them that is
	// asked, credential is as whom, and elsewhere whether another one will be asked.
	endpoints  []endpoint
	repository name.Repository
	credential keyring.Credential
	elsewhere  bool
	prefix     string // of cosign's tags
	digest     string
}

// budget is what may still be read in one call of Signatures, and what is held of
// the memory that all calls share.
type budget struct {
	bytes, held, signatures atomic.Int64
}

func (c *core) newSearch(p place) *search {
	s := &search{
		core: c, budget: &budget{}, via: p.via, memory: c.share(p.via.lane(p.repository.Name().RegistryStr())),
		endpoints: p.endpoints, prefix: p.prefix, digest: p.digest,
	}
	s.bytes.Store(c.limits.Total)
	s.signatures.Store(int64(c.limits.Signatures))
	return s
}

// copies asks one question at each endpoint in turn, until one of them has an
// answer. That there is none is the original's to say: what a copy lacks, or fails
// to answer, it may have. All that was found is returned, beside an error.
func (s *search) copies(ctx context.Context, look func(context.Context, *search) ([]verify.Signature, error)) ([]verify.Signature, error) {
	var all []verify.Signature
	var failed error
	for i, e := range s.endpoints {
		found, err := tryEach(s.core, e, isUnauthorized, func(as keyring.Credential) ([]verify.Signature, error) {
			at := *s
			at.repository, at.credential, at.elsewhere = e.repository, as, i < len(s.endpoints)-1
			return look(ctx, &at)
		})
		if err == nil && len(found) > 0 {
			return found, nil
		}
		all = append(all, found...)
		if failed = worse(failed, err); e.original {
			failed = err
		}
	}
	return all, failed
}

// ask is Client.ask, with what is known of the endpoint.
func (s *search) ask(ctx context.Context, q request) (answer, error) {
	q.elsewhere = s.elsewhere
	return s.core.ask(ctx, q)
}

func (s *search) host() string { return s.repository.RegistryStr() }

// spend takes n bytes of what may be read.
func (s *search) spend(n int64) error {
	if s.bytes.Add(-n) < 0 {
		return limitExceeded("the signatures of %s hold more than %d bytes", s.digest, s.limits.Total)
	}
	return nil
}

// hold waits until n more bytes may be held in memory, until release.
func (s *search) hold(ctx context.Context, n int64) error {
	if err := s.memory.acquire(ctx, n); err != nil {
		return err
	}
	s.held.Add(n)
	return nil
}

// release ends the search.
func (s *search) release() { s.memory.release(s.held.Swap(0)) }

// askForList asks for a list of signatures, whose length only its answer says.
func (s *search) askForList(ctx context.Context, q request) (answer, error) {
	q.max = s.limits.List
	if err := s.hold(ctx, q.max); err != nil {
		return answer{}, err
	}
	a, err := s.ask(ctx, q)
	surplus := q.max - int64(len(a.body))
	s.held.Add(-surplus)
	s.memory.release(surplus)
	if err != nil {
		return answer{}, err
	}
	return a, s.spend(int64(len(a.body)))
}

// count takes n of the signatures that the image may have.
func (s *search) count(n int) error {
	if s.signatures.Add(-int64(n)) < 0 {
		return limitExceeded("%s has more than %d signatures", s.digest, s.limits.Signatures)
	}
	return nil
}

// errNotOurs marks content, known by digest, that cannot be a signature: that is
// final, unlike a failure to get it.
var errNotOurs = errors.New("no signature")

// content fetches what d points to, kind "manifests" or "blobs", and checks it
// against d's digest and size. It is kept for ever, for who has the credential that
// it was got with: content under a digest does not change.
func (s *search) content(ctx context.Context, kind string, d descriptor, limit int64) ([]byte, error) {
	if !sha256Digest.MatchString(d.Digest) || d.Size < 0 {
		return nil, fmt.Errorf("%w: it is listed without a sha256 digest or size", errNotOurs)
	}
	if d.Size > limit {
		return nil, limitExceeded("%s, which belongs to the signatures of %s, has %d bytes, more than %d", d.Digest, s.digest, d.Size, limit)
	}
	if err := s.spend(d.Size); err != nil {
		return nil, err
	}
	if known, ok := s.contents.get(s.contentKey(d)); ok {
		return s.fits(known, d)
	}
	if err := s.hold(ctx, d.Size); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %s %d %s", s.repository.Name(), kind, d.Size, s.contentKey(d))
	fetched, err := s.fetching.do(ctx, key, func(ctx context.Context) ([]byte, error) {
		return s.fetch(ctx, kind, d)
	})
	if err != nil {
		return nil, failure(ctx, s.host(), err)
	}
	return fetched, nil
}

func (s *search) contentKey(d descriptor) string { return d.Digest + " " + s.credential.ID }

func (s *search) fetch(ctx context.Context, kind string, d descriptor) ([]byte, error) {
	q := request{via: s.via, repository: s.repository, credential: s.credential, method: http.MethodGet, path: kind + "/" + d.Digest, accept: "*/*", max: d.Size}
	if kind == "manifests" {
		q.accept = d.MediaType
	}
	a, err := s.ask(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		return nil, unavailable("registry %s lists %s beside %s but does not have it", s.host(), d.Digest, s.digest)
	case a.status != http.StatusOK:
		return nil, statusError(s.host(), "the question for "+d.Digest, a.status, a.code)
	case digestOf(a.body) != d.Digest:
		return nil, unavailable("registry %s sent something else than %s", s.host(), d.Digest)
	}
	s.contents.put(s.contentKey(d), a.body, int64(len(a.body)))
	return s.fits(a.body, d)
}

// fits checks the size that d claims. The digest has been verified.
func (s *search) fits(content []byte, d descriptor) ([]byte, error) {
	if int64(len(content)) != d.Size {
		return nil, fmt.Errorf("%w: it is listed with another size than it has", errNotOurs)
	}
	return content, nil
}

// malformed turns an error of the parsers, about a list that the registry gave,
// into an *Error: what cannot be read is not the same as nothing.
func (s *search) malformed(what string, err error) *Error {
	if errors.Is(err, errTooMany) {
		return &Error{verify.LimitExceeded, fmt.Sprintf("%s of %s lists more than is read", what, s.digest), err}
	}
	e := unavailable("%s of %s, as registry %s has it, cannot be read: %s", what, s.digest, s.host(), printable(err.Error()))
	e.Err = err
	return e
}
