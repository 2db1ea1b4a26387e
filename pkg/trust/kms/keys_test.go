// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const release, other = "hashivault://release", "hashivault://other"

// service is a Provider that answers from fields and counts what it is asked.
type service struct {
	mu       sync.Mutex
	versions []Version
	err      error
	asked    int
	// hold, when set, is how long it takes to answer.
	hold time.Duration
	// panics makes it fail as a library does that does not expect an answer.
	panics bool
}

func (s *service) PublicKeys(ctx context.Context, _ URI) ([]Version, error) {
	s.mu.Lock()
	s.asked++
	hold, versions, err := s.hold, s.versions, s.err
	s.mu.Unlock()
	if s.panics {
		panic("index out of range")
	}
	select {
	case <-time.After(hold):
		return versions, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *service) answers(err error, versions ...Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.versions = err, versions
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func version(t *testing.T, name string) Version {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Version{Name: name, Key: key.Public()}
}

// keysOf returns an index over a service that answers.
func keysOf(t *testing.T) (*Keys, *service) {
	t.Helper()
	vault := &service{versions: []Version{version(t, "1")}}
	return New(Options{Providers: Providers{HashiVault: vault}}), vault
}

// wantKey checks that the key has the names of these versions.
func wantKey(t *testing.T, k *Keys, uri string, names ...string) State {
	t.Helper()
	state := k.Lookup(uri)
	var got []string
	for _, v := range state.Versions {
		got = append(got, v.Name)
	}
	if state.Err != nil || strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("Lookup has %q and %v; want %q", got, state.Err, names)
	}
	return state
}

func wantNone(t *testing.T, k *Keys, uri string, class error) {
	t.Helper()
	state := k.Lookup(uri)
	if len(state.Versions) != 0 || !errors.Is(state.Err, class) {
		t.Errorf("Lookup has %d versions and %v; want none and %v", len(state.Versions), state.Err, class)
	}
}

func wantRefresh(t *testing.T, k *Keys, changed bool, next time.Duration) {
	t.Helper()
	gotChanged, gotNext := k.Refresh(t.Context())
	if gotChanged != changed || gotNext != next {
		t.Errorf("Refresh = %t, %v; want %t, %v", gotChanged, gotNext, changed, next)
	}
}

func TestAKeyIsAskedForOnceAndThenKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		wantNone(t, k, release, ErrUnavailable)
		k.Use(t.Context(), []string{release, release, other})
		for range 1000 {
			wantKey(t, k, release, "1")
		}
		k.Use(t.Context(), []string{release, other})
		if n := vault.count(); n != 2 {
			t.Errorf("two keys were asked for %d times", n)
		}
		wantRefresh(t, k, false, DefaultRefreshInterval)
		time.Sleep(DefaultRefreshInterval)
		wantRefresh(t, k, false, DefaultRefreshInterval)
		if n := vault.count(); n != 4 {
			t.Errorf("two keys were asked for %d times in two intervals", n)
		}
	})
}

func TestAKeyThatNoPolicyNamesIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		k.Use(t.Context(), []string{release, other})
		k.Use(t.Context(), []string{other})
		wantNone(t, k, release, ErrUnavailable)
		wantKey(t, k, other, "1")
		time.Sleep(DefaultRefreshInterval)
		k.Refresh(t.Context())
		if n := vault.count(); n != 3 {
			t.Errorf("asked %d times: a key that nobody names is still asked for", n)
		}
		if n := len(k.States()); n != 1 {
			t.Errorf("%d keys are known", n)
		}
	})
}

// TestAnAnswerForAForgottenKeyIsDropped: it comes while the key is forgotten.
func TestAnAnswerForAForgottenKeyIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		vault.hold = time.Second
		go k.Use(t.Context(), []string{release})
		synctest.Wait()
		k.Use(t.Context(), nil)
		time.Sleep(2 * time.Second)
		if n := len(k.States()); n != 0 {
			t.Errorf("%d keys are known", n)
		}
	})
}

func TestARotationIsSeenAtTheNextRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		k.Use(t.Context(), []string{release})
		first := vault.versions[0]
		vault.answers(nil, version(t, "2"), first)
		wantKey(t, k, release, "1")
		time.Sleep(DefaultRefreshInterval)
		wantRefresh(t, k, true, DefaultRefreshInterval)
		wantKey(t, k, release, "2", "1")
		// The name stays and the key changes: an alias that points to another key.
		vault.answers(nil, version(t, "2"), first)
		time.Sleep(DefaultRefreshInterval)
		wantRefresh(t, k, true, DefaultRefreshInterval)
	})
}

// TestALastGoodKeyOutlivesItsService until the limit, and no longer.
func TestALastGoodKeyOutlivesItsService(t *testing.T) {
	for name, outage := range map[string]error{
		"an outage":              fmt.Errorf("%w: 503", ErrUnavailable),
		"an outage of no name":   errors.New("connection refused"),
		"credentials that ended": fmt.Errorf("%w: 403", ErrForbidden),
		"an address that is gone from the environment": fmt.Errorf("%w: no VAULT_ADDR", ErrMisconfigured),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, vault := keysOf(t)
				k.Use(t.Context(), []string{release})
				read := time.Now()
				good := vault.versions[0]
				vault.answers(outage)
				time.Sleep(DefaultRefreshInterval)
				wantRefresh(t, k, true, retryDelay)
				state := wantKey(t, k, release, "1")
				if state.Stale == nil || !state.ReadAt.Equal(read) || !state.Until.Equal(read.Add(DefaultMaxAge)) {
					t.Errorf("stale %v, read at %v, until %v", state.Stale, state.ReadAt, state.Until)
				}
				// Another text of the same outage is nothing new.
				vault.answers(fmt.Errorf("%w, request 2", outage))
				time.Sleep(retryDelay)
				wantRefresh(t, k, false, retryDelay)

				time.Sleep(time.Until(read.Add(DefaultMaxAge - time.Second)))
				wantRefresh(t, k, false, time.Second)
				wantKey(t, k, release, "1")
				time.Sleep(time.Second)
				wantNone(t, k, release, ErrUnavailable)
				wantRefresh(t, k, true, retryDelay-time.Second)

				vault.answers(nil, good)
				time.Sleep(retryDelay)
				wantRefresh(t, k, true, DefaultRefreshInterval)
				if state := wantKey(t, k, release, "1"); state.Stale != nil {
					t.Errorf("still stale: %v", state.Stale)
				}
			})
		})
	}
}

// TestAKeyThatIsGoneIsGoneAtOnce: what the service says of the key itself counts.
func TestAKeyThatIsGoneIsGoneAtOnce(t *testing.T) {
	many := make([]Version, MaxVersions+1)
	for i := range many {
		many[i] = version(t, fmt.Sprint(i))
	}
	for name, tt := range map[string]struct {
		err      error
		versions []Version
		want     error
	}{
		"no such key":                        {err: fmt.Errorf("%w: 404", ErrNoKey), want: ErrNoKey},
		"a key of another use":               {err: fmt.Errorf("%w: aes256-gcm96", ErrUnusable), want: ErrUnusable},
		"no version":                         {want: ErrNoKey},
		"more versions than anybody needs":   {versions: many, want: ErrUnusable},
		"versions that nobody can read":      {versions: []Version{{Name: "1", Err: errors.New("ML-DSA")}}, want: ErrUnusable},
		"a version that is neither here nor": {versions: []Version{{Name: "1"}}, want: ErrUnusable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, vault := keysOf(t)
				k.Use(t.Context(), []string{release})
				vault.answers(tt.err, tt.versions...)
				time.Sleep(DefaultRefreshInterval)
				wantRefresh(t, k, true, retryDelay)
				wantNone(t, k, release, tt.want)
				// An outage after that does not bring it back.
				vault.answers(ErrUnavailable)
				time.Sleep(retryDelay)
				k.Refresh(t.Context())
				wantNone(t, k, release, ErrUnavailable)
			})
		})
	}
}

func TestWhatWasNeverReadIsNotThere(t *testing.T) {
	for name, tt := range map[string]struct {
		uri    string
		change func(*service)
		want   error
	}{
		"an outage":                   {release, func(s *service) { s.err = errors.New("connection refused") }, ErrUnavailable},
		"no access":                   {release, func(s *service) { s.err = ErrForbidden }, ErrForbidden},
		"a library that panics":       {release, func(s *service) { s.panics = true }, ErrUnavailable},
		"a service that stalls":       {release, func(s *service) { s.hold = time.Hour }, ErrUnavailable},
		"another service":             {"awskms:///alias/release", func(*service) {}, ErrUnsupported},
		"a URI that is none":          {"hashivault://a/b", func(*service) {}, ErrNoKey},
		"a service that says nothing": {release, func(s *service) { s.versions = nil }, ErrNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, vault := keysOf(t)
				tt.change(vault)
				start := time.Now()
				k.Use(t.Context(), []string{tt.uri})
				wantNone(t, k, tt.uri, tt.want)
				if took := time.Since(start); took > askTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestQuestionsAreShared: many who want a key at the same time ask for it once, and
// one that stalls keeps no other waiting.
func TestQuestionsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		stalls := &service{hold: time.Hour}
		k.providers[AWS] = stalls
		vault.hold = time.Second
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { k.Use(t.Context(), []string{release, "awskms:///alias/release"}) })
			all.Go(func() { k.Refresh(t.Context()) })
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantKey(t, k, release, "1")
		all.Wait()
		if vault.count() != 1 || stalls.count() != 1 {
			t.Errorf("asked %d and %d times", vault.count(), stalls.count())
		}
	})
}

// TestAVersionThatNobodyCanReadIsNotInTheWay of others.
func TestAVersionThatNobodyCanReadIsNotInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, vault := keysOf(t)
		vault.versions = append([]Version{{Name: "2", Err: errors.New("ML-DSA")}}, vault.versions...)
		k.Use(t.Context(), []string{release})
		wantKey(t, k, release, "2", "1")
	})
}
