// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// errNoReferrersAPI says that the registry answered, and has no such API.
var errNoReferrersAPI = errors.New("the registry has no referrers API")

// errOpaque marks an answer of the referrers API that may well come from a
// registry, or a proxy before it, which does not know the API.
var errOpaque = errors.New("no answer of the referrers API")

// referrersAPI reads all pages of the list.
func (s *search) referrersAPI(ctx context.Context) ([]descriptor, error) {
	q := request{
		via:        s.via,
		repository: s.repository,
		credential: s.credential,
		method:     http.MethodGet,
		path:       "referrers/" + s.digest,
		accept:     string(types.OCIImageIndex),
		stay:       true,
	}
	var listed []descriptor
	for page := range s.limits.Pages {
		a, err := s.askForList(ctx, q)
		if err != nil {
			return listed, err
		}
		if err := s.checkPage(a, page); err != nil {
			return listed, err
		}
		entries, err := s.readIndex(a, s.limits.Entries-len(listed))
		if err != nil {
			return listed, err
		}
		listed = append(listed, entries...)
		if q.query, err = s.nextPage(q, a.header); err != nil || q.query == "" {
			return listed, err
		}
	}
	return listed, limitExceeded("the referrers of %s are listed in more than %d pages", s.digest, s.limits.Pages)
}

// checkPage tells an answer of the API from all others.
func (s *search) checkPage(a answer, page int) error {
	if a.status == http.StatusOK && a.mediaType == string(types.OCIImageIndex) {
		return nil
	}
	if page == 0 && lacksAPI(a.status) {
		return errNoReferrersAPI
	}
	var e *Error
	if a.status == http.StatusOK {
		e = unavailable("registry %s answered the question for referrers of %s with %q, which is not a list", s.host(), s.digest, printable(a.mediaType))
	} else {
		e = statusError(s.host(), "the question for referrers of "+s.digest, a.status, a.code)
	}
	if page == 0 && a.status < http.StatusInternalServerError && a.status != http.StatusTooManyRequests {
		e.Err = errOpaque
	}
	return e
}

// lacksAPI tells whether a status is what registries without the API answer: 404
// is what the specification asks for, Artifactory says 406, others 400, 405 or
// 501, and Google's and GitHub's redirect to a page for people on another host.
func lacksAPI(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return status >= 300 && status < 400
}

var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;[^,<>]*\brel="?next"?(?:[\s;,]|$)`)

// nextPage returns the query of the next page, "" when there is none. A next
// page is the same list of the same registry with another query, nothing else.
func (s *search) nextPage(q request, header http.Header) (string, error) {
	link := strings.Join(header.Values("Link"), ", ")
	if link == "" {
		return "", nil
	}
	refused := &Error{verify.RegistryUnavailable, "registry " + s.host() + " continues the referrers of " + s.digest + " elsewhere", errRefused}
	if len(link) > maxLink {
		return "", refused
	}
	match := nextLink.FindStringSubmatch(link)
	if match == nil {
		return "", nil
	}
	target, err := url.Parse(match[1])
	if err != nil {
		return "", refused
	}
	here := q.url()
	next := here.ResolveReference(target)
	if next.Scheme != here.Scheme || next.Host != here.Host || next.Path != here.Path || next.User != nil || next.RawQuery == "" {
		return "", refused
	}
	return next.RawQuery, nil
}
