// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Whoever creates a Pod chooses which of his namespace's credentials go with it. So
// one rule holds for all that is kept or joined here: what a registry answered to a
// credential is told only to who has that credential. Content and sessions go by the
// credential (keyring.Credential.ID) that they were got with. What several may have
// answered, a tag's digest or a list, goes by the set of those that could be tried
// (scopeOf): the same question by somebody with others is another question.

// ownID stands for what Options.Keychain has for a repository. Its content changes,
// as tokens of cloud providers do, while it remains this program's own.
const ownID = "own"

// errNoneOwned says that Options.Keychain has nothing for a repository.
var errNoneOwned = errors.New("no credentials")

// credentialsFor returns what to try at a repository, in this order: credentials of
// whoever is asked for, of the source, those configured for the registry, those of
// this program's surroundings, and none.
func (c *Client) credentialsFor(via *connections, repository name.Repository, from Source) []keyring.Credential {
	entry, _, _ := via.hosts.find(repository.RegistryStr())
	all := slices.Concat(c.keyring.Lookup(repository), from.Credentials.Lookup(repository), entry.Credentials.Lookup(repository))
	if c.keychain != nil {
		all = append(all, keyring.Credential{Owner: "those in countersign's environment", ID: ownID})
	}
	all = append(all, keyring.Anonymous())
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(c keyring.Credential) bool {
		repeated := seen[c.ID]
		seen[c.ID] = true
		return repeated
	})
}

// endpoints returns where a repository is found, in the order in which to ask, with
// what to show there.
func (c *Client) endpoints(via *connections, repository image.Repository, from Source) ([]endpoint, error) {
	endpoints, err := via.hosts.endpoints(repository)
	for i := range endpoints {
		endpoints[i].credentials = c.credentialsFor(via, endpoints[i].repository, from)
	}
	return endpoints, err
}

// scopeOf is the same for all who would try the same credentials at the same places.
func scopeOf(endpoints []endpoint) string {
	digest := sha256.New()
	for _, e := range endpoints {
		fmt.Fprintf(digest, "%s\n", e.repository.Name())
		for _, credential := range e.credentials {
			fmt.Fprintf(digest, " %s\n", credential.ID)
		}
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// Scope tells apart callers whose credentials may matter to what is known of an image
// by its own repository and by sources: it differs for those who would present other
// ones there, and is "" for all who have none. It makes no request.
func (c *Client) Scope(ref image.Reference, sources []Source) string {
	if c.keyring.IsEmpty() || ref.Name() == nil {
		return ""
	}
	via := c.reached()
	repositories := []image.Repository{ref.Context(), via.hosts.evidence(ref, Source{})}
	for _, from := range sources {
		repositories = append(repositories, via.hosts.evidence(ref, from))
	}
	digest, matters := sha256.New(), false
	for _, repository := range repositories {
		endpoints, _ := via.hosts.endpoints(repository) // what cannot be named is not asked
		for _, e := range endpoints {
			fmt.Fprintf(digest, "%s\n", e.repository.Name())
			for _, credential := range c.keyring.Lookup(e.repository) {
				fmt.Fprintf(digest, " %s\n", credential.ID)
				matters = true
			}
		}
	}
	if !matters {
		return ""
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// refusal is that a registry did not know a credential.
type refusal struct {
	err   error
	until time.Time
}

// tryEach works at an endpoint with one credential after the other until one is not
// refused, and remembers which: the next question begins with it. What work returns
// then stands. next reports whether an error is worth another credential.
func tryEach[V any](c *core, e endpoint, next func(error) bool, work func(keyring.Credential) (V, error)) (V, error) {
	scope := scopeOf([]endpoint{e})
	var last V
	var failed error
	for i, credential := range c.inPreference(scope, e.credentials) {
		value, err := work(credential)
		if errors.Is(err, errNoneOwned) {
			continue
		}
		if err == nil || !next(err) {
			if i > 0 && err == nil {
				c.preferred.Add(scope, credential.ID)
			}
			return value, err
		}
		if failed == nil || (isUnauthorized(failed) && !isUnauthorized(err)) {
			last, failed = value, err
		}
	}
	return last, failed
}

// inPreference moves the credential to the front that was taken the last time.
func (c *core) inPreference(scope string, credentials []keyring.Credential) []keyring.Credential {
	id, known := c.preferred.Get(scope)
	at := slices.IndexFunc(credentials, func(c keyring.Credential) bool { return c.ID == id })
	if !known || at <= 0 {
		return credentials
	}
	rest := slices.Delete(slices.Clone(credentials), at, at+1)
	return slices.Insert(rest, 0, credentials[at])
}

func isUnauthorized(err error) bool {
	known := (*Error)(nil)
	return errors.As(err, &known) && known.Reason == verify.RegistryUnauthorized
}

// explained adds to a refusal which credentials there were to try, and what is wrong
// with others. It is said to each caller apart: others may have the same
// credentials under other names.
func (c *Client) explained(e *Error, endpoints []endpoint) *Error {
	if e == nil || e.Reason != verify.RegistryUnauthorized {
		return e
	}
	var tried []string
	for _, at := range endpoints {
		for _, credential := range at.credentials {
			if !slices.Contains(tried, credential.Owner) {
				tried = append(tried, credential.Owner)
			}
		}
	}
	said := append([]string{"; credentials tried: " + strings.Join(tried, ", ")}, c.keyring.Problems()...)
	return &Error{e.Reason, e.Detail + printableUpTo(strings.Join(said, "; "), shownCredentials), e.Err}
}
