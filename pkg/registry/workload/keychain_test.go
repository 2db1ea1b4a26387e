// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// counting is a provider whose tokens are numbered.
type counting struct {
	asked int
	err   error
	waits time.Duration
}

func (c *counting) Place(host string) (string, bool) {
	return strings.TrimSuffix(host, ".cloud.example"), strings.HasSuffix(host, ".cloud.example")
}

func (c *counting) Token(ctx context.Context, place string) (Token, error) {
	c.asked++
	if c.err != nil {
		return Token{}, c.err
	}
	select {
	case <-time.After(c.waits):
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
	if place == "panic" {
		panic("hostile")
	}
	return Token{Auth: authn.AuthConfig{Username: place, Password: "p"}, Until: time.Now().Add(time.Hour)}, nil
}

func resolve(t *testing.T, k *Keychain, host string) (string, error) {
	t.Helper()
	registry, err := name.NewRegistry(host)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := authn.Resolve(t.Context(), k, registry)
	if err != nil {
		return "", err
	}
	config, err := auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return config.Username, nil
}

func TestTokensAreKeptForAsLongAsTheyAreGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &counting{}
		k := NewKeychain(p)
		for _, tc := range []struct {
			host, user string
			asked      int
			after      time.Duration
		}{
			{"other.example", "", 0, 0},
			{"one.cloud.example", "one", 1, 0},
			{"one.cloud.example", "one", 1, time.Hour - early - time.Second},
			{"one.cloud.example", "one", 2, time.Second},
			{"two.cloud.example", "two", 3, 0},
		} {
			time.Sleep(tc.after)
			if got, err := resolve(t, k, tc.host); err != nil || got != tc.user || p.asked != tc.asked {
				t.Errorf("%s: %q, %v, %d tokens; want %q and %d", tc.host, got, err, p.asked, tc.user, tc.asked)
			}
		}
	})
}

func TestAProviderThatFailsIsNotAskedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &counting{err: errors.New("no identity")}
		k := NewKeychain(p)
		for range 3 {
			if _, err := resolve(t, k, "one.cloud.example"); !errors.Is(err, p.err) {
				t.Error(err)
			}
		}
		if p.asked != 1 {
			t.Errorf("asked %d times", p.asked)
		}
		p.err = nil
		time.Sleep(failureLifetime)
		if got, err := resolve(t, k, "one.cloud.example"); err != nil || got != "one" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestAProviderIsAskedOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &counting{waits: time.Second}
		k := NewKeychain(p)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if got, err := resolve(t, k, "one.cloud.example"); err != nil || got != "one" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		group.Wait()
		if p.asked != 1 {
			t.Errorf("asked %d times", p.asked)
		}
		p.waits = time.Hour
		start := time.Now()
		if _, err := resolve(t, k, "two.cloud.example"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > patience {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		p.waits = 0
		if _, err := resolve(t, k, "panic.cloud.example"); err == nil {
			t.Error("a panic is a token")
		}
	})
}

func TestWhatProvidersAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"a token":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"t":"x"}`)) }, ""},
		"a refusal":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusForbidden) }, "answered 403"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) }, "answered 302"},
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<hunter2>")) }, "did not answer with a token"},
		"more than is read": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"t":"` + strings.Repeat("x", maxAnswer) + `"}`))
		}, "did not answer with a token"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ T string }
			err = Ask(NewHTTPClient(), req, &answer)
			switch {
			case tc.says == "" && (err != nil || answer.T != "x"):
				t.Errorf("%v, %v", answer, err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("%v, want it to say %q", err, tc.says)
			}
		})
	}
}
