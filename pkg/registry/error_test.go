// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestWorse(t *testing.T) {
	final, passing := limitExceeded("final"), unavailable("passing")
	unknown := errors.New("unknown")
	cases := map[string]struct{ a, b, want error }{
		"nothing":                     {nil, nil, nil},
		"one error":                   {final, nil, final},
		"the other":                   {nil, final, final},
		"what could not be told wins": {final, passing, passing},
		"what could not be told wins, either way":    {passing, final, passing},
		"an error that nobody knows is no final one": {final, unknown, unknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := worse(tc.a, tc.b); !errors.Is(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"plain text stays":         {"dial tcp: refused", "dial tcp: refused"},
		"control characters go":    {"a\x1b[31m\nb", "a?[31m?b"},
		"other alphabets go":       {"\u202eevil", "?evil"},
		"broken text goes":         {"\xff\xfe", "??"},
		"a long text is cut short": {strings.Repeat("x", 500), strings.Repeat("x", shownText) + "..."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := printable(tc.in); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheCodeOfARegistrysErrorIsShown(t *testing.T) {
	cases := map[string]struct{ body, want string }{
		"a code of the specification": {`{"errors":[{"code":"DENIED","message":"\u001b[31m secret"}]}`, "(DENIED)"},
		"no code":                     {`{"errors":[]}`, "401 to"},
		"a code that is none":         {`{"errors":[{"code":"<script>"}]}`, "401 to"},
		"no JSON":                     {"<html>", "401 to"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(legacyPath, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(tc.body))
			})
			_, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reasonOf(t, err) != verify.RegistryUnauthorized {
				t.Fatal(err)
			}
			text := err.Error()
			if !strings.Contains(text, tc.want) || strings.Contains(text, "secret") || strings.Contains(text, "script") {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestADenialDoesNotRepeatWhatTheNetworkSaid(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	reached := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(reached.Close)
	for name, tc := range map[string]struct{ host, want string }{
		"a closed port":     {strings.TrimPrefix(closed.URL, "http://"), "it refuses connections"},
		"a certificate":     {strings.TrimPrefix(reached.URL, "https://"), "its certificate is not trusted"},
		"a host of no name": {"registry.invalid", "its host name does not resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{Hosts: Hosts{tc.host: {}}}).Resolve(t.Context(), parse(t, tc.host+"/org/app"))
			if reasonOf(t, err) != verify.RegistryUnavailable || !strings.HasSuffix(err.Error(), "cannot be reached: "+tc.want) {
				t.Errorf("%v, want that %s", err, tc.want)
			}
		})
	}
}
