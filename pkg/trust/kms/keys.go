// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

const (
	// askTimeout bounds one question to a service, authentication included.
	askTimeout = 5 * time.Second
	// retryDelay is how long to wait after a service did not answer, or refused,
	// unless it is asked more often anyway.
	retryDelay = 30 * time.Second
	// concurrentAsks is how many keys are asked for at a time, so that a service
	// that stalls does not keep the others waiting.
	concurrentAsks = 8
	// MaxVersions is the most versions of one key that verify: a signature is tried
	// under each.
	MaxVersions = 64
)

// How long keys are believed, where Options say nothing.
const (
	DefaultRefreshInterval = 10 * time.Minute
	DefaultMaxAge          = 24 * time.Hour
)

// Options configure Keys.
type Options struct {
	// Providers are the services that this program speaks to.
	Providers Providers
	// RefreshInterval is how long a key is believed before its service is asked
	// again. It defaults to ten minutes.
	RefreshInterval time.Duration
	// MaxAge is how long a key that was read is believed while its service cannot
	// be asked. It defaults to a day.
	MaxAge time.Duration
}

// Keys is the index of the keys that policies name by a URI: for each, its public
// keys as they were read last. Looking one up asks nobody. Safe for concurrent use;
// callers who ask for one key at the same time share one question.
type Keys struct {
	providers       Providers
	interval, limit time.Duration

	asking singleflight.Group // by URI
	mu     sync.RWMutex
	keys   map[string]held
}

// held is what is known of one key.
type held struct {
	versions []Version
	// readAt is when the service said so; the zero time if it never did.
	readAt time.Time
	// askedAt is when it was asked last; the zero time if it never was.
	askedAt time.Time
	// err is why it did not say anything when it was asked last.
	err error
	// told is what Refresh saw of the key last.
	told summary
}

// State is what is known of a key.
type State struct {
	// Versions are its versions, the newest first. None: Err says why.
	Versions []Version
	// Err is why there are no versions. It wraps one of this package's errors.
	Err error
	// ReadAt is when the service said what Versions are, and Until when they stop
	// being believed, unless it says so again.
	ReadAt, Until time.Time
	// Stale is why Versions are not what the service says now; nil when they are.
	Stale error
}

// New returns an empty index.
func New(o Options) *Keys {
	k := &Keys{providers: o.Providers, interval: o.RefreshInterval, limit: o.MaxAge, keys: map[string]held{}}
	if k.interval <= 0 {
		k.interval = DefaultRefreshInterval
	}
	if k.limit <= 0 {
		k.limit = DefaultMaxAge
	}
	return k
}

// Use says which keys policies name now. Those that are new are asked for, once,
// before it returns; those that are no longer named are forgotten. What cannot be
// had is known, and Lookup says why.
func (k *Keys) Use(ctx context.Context, uris []string) {
	k.mu.Lock()
	maps.DeleteFunc(k.keys, func(uri string, _ held) bool { return !slices.Contains(uris, uri) })
	var unknown []string
	for _, uri := range uris {
		if _, ok := k.keys[uri]; !ok {
			k.keys[uri] = held{}
			unknown = append(unknown, uri)
		}
	}
	k.mu.Unlock()
	k.ask(ctx, unknown)
	k.tell()
}

// Refresh asks again for the keys that are due. It returns whether what Lookup says
// of any of them has changed since Use or Refresh returned last, and how long it is
// until one is due.
func (k *Keys) Refresh(ctx context.Context) (changed bool, next time.Duration) {
	var due []string
	for uri, key := range k.snapshot() {
		if k.due(key) <= 0 {
			due = append(due, uri)
		}
	}
	k.ask(ctx, due)
	return k.tell()
}

// tell notes what is known of every key, and returns whether that is new, and how
// long it stays so.
func (k *Keys) tell() (changed bool, next time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next = k.interval
	for uri, key := range k.keys {
		state := k.state(key)
		if now := summaryOf(state); now != key.told {
			key.told, changed = now, true
			k.keys[uri] = key
		}
		next = min(next, max(0, k.due(key)))
		if state.Stale != nil {
			next = min(next, max(0, time.Until(state.Until)))
		}
	}
	return changed, next
}

// due is how long it is until a key is to be asked for again.
func (k *Keys) due(key held) time.Duration {
	wait := k.interval
	if key.err != nil {
		wait = min(wait, retryDelay)
	}
	return time.Until(key.askedAt.Add(wait))
}

// Lookup returns what is known of the key that a policy names. It asks nobody.
func (k *Keys) Lookup(uri string) State {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.keys[uri]
	if !ok {
		key = held{}
	}
	return k.state(key)
}

// state says what a key that was read, or not, means now.
func (k *Keys) state(key held) State {
	switch {
	case key.askedAt.IsZero():
		return State{Err: fmt.Errorf("%w: it has not been asked yet", ErrUnavailable)}
	case len(key.versions) == 0:
		return State{Err: key.err}
	}
	state := State{Versions: key.versions, ReadAt: key.readAt, Until: key.readAt.Add(k.limit), Stale: key.err}
	if time.Now().Before(state.Until) {
		return state
	}
	// Whoever could not be asked for so long counts as one who never answered.
	return State{Err: fmt.Errorf("%w: what was read at %s is too old: %w", ErrUnavailable, key.readAt.UTC().Format(time.RFC3339), key.err)}
}

// States returns what is known of every key, by URI.
func (k *Keys) States() map[string]State {
	states := map[string]State{}
	for uri, key := range k.snapshot() {
		states[uri] = k.state(key)
	}
	return states
}

func (k *Keys) snapshot() map[string]held {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return maps.Clone(k.keys)
}

// ask asks for keys, several at a time, and keeps what their services say.
func (k *Keys) ask(ctx context.Context, uris []string) {
	var group errgroup.Group
	group.SetLimit(concurrentAsks)
	for _, uri := range uris {
		group.Go(func() error {
			_, _, _ = k.asking.Do(uri, func() (any, error) {
				versions, err := k.fetch(ctx, uri)
				k.keep(uri, versions, err)
				return versions, err
			})
			return nil
		})
	}
	_ = group.Wait() // the functions above return no error
}

// keep takes what a service said of a key. That it could not be asked leaves what
// it said before; that there is no such key does not.
func (k *Keys) keep(uri string, versions []Version, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[uri]
	if !ok {
		return // it was forgotten meanwhile
	}
	key.askedAt, key.err = time.Now(), err
	switch {
	case err == nil:
		key.versions, key.readAt = versions, key.askedAt
	case errors.Is(err, ErrNoKey), errors.Is(err, ErrUnusable):
		key.versions = nil
	}
	k.keys[uri] = key
}

// fetch asks the service of a key for it. The error wraps one of this package's.
func (k *Keys) fetch(ctx context.Context, text string) (versions []Version, err error) {
	uri, err := ParseURI(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	provider, ok := k.providers[uri.Scheme]
	if !ok {
		return nil, fmt.Errorf("%w: %s:// needs a program that was built with it", ErrUnsupported, uri.Scheme)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	defer func() {
		// What a service answers is parsed by libraries that are not ours.
		if cause := recover(); cause != nil {
			versions, err = nil, fmt.Errorf("%w: its answer could not be read: %v", ErrUnavailable, cause)
		}
	}()
	versions, err = provider.PublicKeys(ctx, uri)
	versions = slices.Clone(versions)
	for i := range versions {
		if versions[i].Key == nil && versions[i].Err == nil {
			versions[i].Err = errors.New("it has no public key")
		}
	}
	if err != nil {
		if class(err) == nil {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil, err
	}
	return versions, check(versions)
}

// check refuses versions that nothing can be verified with.
func check(versions []Version) error {
	switch {
	case len(versions) == 0:
		return fmt.Errorf("%w: it has no version that verifies", ErrNoKey)
	case len(versions) > MaxVersions:
		return fmt.Errorf("%w: it has %d versions, more than %d: retire old ones, or name one in the URI", ErrUnusable, len(versions), MaxVersions)
	case !slices.ContainsFunc(versions, func(v Version) bool { return v.Err == nil }):
		return fmt.Errorf("%w: version %s: %w", ErrUnusable, versions[0].Name, versions[0].Err)
	}
	return nil
}

// class is the error of this package that err wraps, or nil.
func class(err error) error {
	for _, class := range []error{ErrUnavailable, ErrForbidden, ErrMisconfigured, ErrNoKey, ErrUnusable, ErrUnsupported} {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}

// summary is what of a State matters to those who use the key. Of errors it is the
// class: their text has names of requests and ports in it, which are new each time.
type summary struct {
	versions   string
	err, stale error
}

func summaryOf(state State) summary {
	s := summary{err: class(state.Err), stale: class(state.Stale)}
	for _, v := range state.Versions {
		spki, err := x509.MarshalPKIXPublicKey(v.Key)
		s.versions += fmt.Sprintf("%s %x %t\n", v.Name, spki, err == nil)
	}
	return s
}
