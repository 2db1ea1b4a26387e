// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// configFor is a configuration with a password for each pattern: the pattern.
func configFor(t *testing.T, patterns ...string) Config {
	t.Helper()
	return configWith(t, "", patterns...)
}

// configWith puts a text before each.
func configWith(t *testing.T, before string, patterns ...string) Config {
	t.Helper()
	auths := map[string]authn.AuthConfig{}
	for _, p := range patterns {
		auths[p] = authn.AuthConfig{Username: "robot", Password: before + p}
	}
	raw, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfigJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func passwordsOf(t *testing.T, credentials []Credential) []string {
	t.Helper()
	var passwords []string
	for _, c := range credentials {
		auth, err := c.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		passwords = append(passwords, auth.Password)
	}
	return passwords
}

// TestACredentialIsShownToTheRegistryThatItNames: what the kubelet does is what is
// wanted, see pkg/credentialprovider/keyring_test.go there.
func TestACredentialIsShownToTheRegistryThatItNames(t *testing.T) {
	cases := map[string]struct {
		patterns   []string
		repository string
		want       []string
	}{
		"the host":                                     {[]string{"registry.example"}, "registry.example/team/app", []string{"registry.example"}},
		"the host as a URL":                            {[]string{"https://registry.example/"}, "registry.example/app", []string{"https://registry.example/"}},
		"the host as the URL of its API":               {[]string{"https://registry.example/v2/"}, "registry.example/app", []string{"https://registry.example/v2/"}},
		"host and port":                                {[]string{"registry.example:5000"}, "registry.example:5000/app", []string{"registry.example:5000"}},
		"another port":                                 {[]string{"registry.example:5000"}, "registry.example:5001/app", nil},
		"a port that the pattern does not have":        {[]string{"registry.example"}, "registry.example:5000/app", nil},
		"another host":                                 {[]string{"registry.example"}, "evil.example/registry.example/app", nil},
		"a host that only ends so":                     {[]string{"registry.example"}, "evil-registry.example/app", nil},
		"a host below":                                 {[]string{"registry.example"}, "evil.registry.example/app", nil},
		"a host above":                                 {[]string{"registry.example"}, "registry.example.evil.test/app", nil},
		"a user in the place of the host":              {[]string{"https://registry.example@evil.example"}, "registry.example/app", nil},
		"a glob for a label":                           {[]string{"*.example"}, "registry.example/app", []string{"*.example"}},
		"a glob is one label":                          {[]string{"*.example"}, "a.b.example/app", nil},
		"a glob for a part of a label":                 {[]string{"reg*.example"}, "registry.example/app", []string{"reg*.example"}},
		"a glob that cannot be read":                   {[]string{"[.example"}, "registry.example/app", nil},
		"a glob does not stand for ports":              {[]string{"registry.example:*"}, "registry.example:5000/app", nil},
		"a repository":                                 {[]string{"registry.example/team"}, "registry.example/team/app", []string{"registry.example/team"}},
		"another repository":                           {[]string{"registry.example/team"}, "registry.example/other/app", nil},
		"the longest pattern first":                    {[]string{"registry.example", "registry.example/team/app", "registry.example/team"}, "registry.example/team/app", []string{"registry.example/team/app", "registry.example/team", "registry.example"}},
		"Docker Hub as Docker writes it":               {[]string{"https://index.docker.io/v1/"}, "nginx", []string{"https://index.docker.io/v1/"}},
		"Docker Hub by the name in images":             {[]string{"docker.io"}, "index.docker.io/team/app", []string{"docker.io"}},
		"of both, the one that images have":            {[]string{"docker.io", "index.docker.io"}, "nginx", []string{"docker.io"}},
		"Docker Hub is no other registry":              {[]string{"https://index.docker.io/v1/"}, "registry.example/app", nil},
		"no more than are tried":                       {[]string{"r.example", "*.example", "r*.example", "r.example/a", "r.example/ap", "r.example/app", "*.example/a", "*.example/ap", "*.example/app"}, "r.example/app", []string{"r.example/app", "r.example/ap", "r.example/a", "r.example", "r*.example", "*.example/app", "*.example/ap", "*.example/a"}},
		"a pattern that is a path alone":               {[]string{"/team"}, "registry.example/team/app", nil},
		"a pattern with a query is not part of a path": {[]string{"registry.example?x"}, "registry.example/app", []string{"registry.example?x"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := passwordsOf(t, New(Part{Owner: "it", Config: configFor(t, tc.patterns...)}).Lookup(repository(t, tc.repository)))
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q for %s; want %q", got, tc.repository, tc.want)
			}
		})
	}
}

func repository(t *testing.T, s string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConfigurationsAreRead(t *testing.T) {
	padded := base64.StdEncoding.EncodeToString([]byte("robot:pass:word"))
	cases := map[string]struct {
		parse func([]byte) (Config, error)
		raw   string
		want  authn.AuthConfig
		err   error
	}{
		"user and password":        {ParseConfigJSON, `{"auths":{"r.example":{"username":"robot","password":"pass:word"}}}`, authn.AuthConfig{Username: "robot", Password: "pass:word"}, nil},
		"auth":                     {ParseConfigJSON, `{"auths":{"r.example":{"auth":"` + padded + `"}}}`, authn.AuthConfig{Username: "robot", Password: "pass:word"}, nil},
		"auth without padding":     {ParseConfigJSON, `{"auths":{"r.example":{"auth":"` + strings.TrimRight(padded, "=") + `"}}}`, authn.AuthConfig{Username: "robot", Password: "pass:word"}, nil},
		"an identity token":        {ParseConfigJSON, `{"auths":{"r.example":{"identitytoken":"it"}}}`, authn.AuthConfig{IdentityToken: "it"}, nil},
		"what else Docker writes":  {ParseConfigJSON, `{"credsStore":"desktop","HttpHeaders":{"X":"y"},"auths":{"r.example":{"auth":"` + padded + `","email":"a@b"}}}`, authn.AuthConfig{Username: "robot", Password: "pass:word"}, nil},
		"the older form":           {ParseDockercfg, `{"r.example":{"auth":"` + padded + `"}}`, authn.AuthConfig{Username: "robot", Password: "pass:word"}, nil},
		"an entry that is empty":   {ParseConfigJSON, `{"auths":{"r.example":{}}}`, authn.AuthConfig{}, nil},
		"an entry that is null":    {ParseConfigJSON, `{"auths":{"r.example":null}}`, authn.AuthConfig{}, nil},
		"none":                     {ParseConfigJSON, `{}`, authn.AuthConfig{}, nil},
		"no JSON":                  {ParseConfigJSON, `hunter2`, authn.AuthConfig{}, errMalformed},
		"nothing":                  {ParseConfigJSON, ``, authn.AuthConfig{}, errMalformed},
		"another type":             {ParseConfigJSON, `{"auths":{"r.example":"hunter2"}}`, authn.AuthConfig{}, errMalformed},
		"auth that is not base64":  {ParseConfigJSON, `{"auths":{"r.example":{"auth":"hunter2!"}}}`, authn.AuthConfig{}, errMalformed},
		"auth without a colon":     {ParseConfigJSON, `{"auths":{"r.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hunter2")) + `"}}}`, authn.AuthConfig{}, errMalformed},
		"the older form, no JSON":  {ParseDockercfg, `hunter2`, authn.AuthConfig{}, errMalformed},
		"more than are read":       {ParseConfigJSON, many(MaxEntries + 1), authn.AuthConfig{}, errTooMany},
		"as many as are read":      {ParseConfigJSON, many(MaxEntries), authn.AuthConfig{}, nil},
		"a list, as an older form": {ParseDockercfg, `[]`, authn.AuthConfig{}, errMalformed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := tc.parse([]byte(tc.raw))
			if err != tc.err { //nolint:errorlint // there is nothing in it
				t.Fatalf("%v; want %v", err, tc.err)
			}
			got := authn.AuthConfig{}
			if found := New(Part{Config: c}).Lookup(repository(t, "r.example/app")); len(found) > 0 {
				auth, err := found[0].Authorization()
				if err != nil {
					t.Fatal(err)
				}
				got = *auth
			}
			got.Auth = ""
			if got != tc.want {
				t.Errorf("%+v; want %+v", got, tc.want)
			}
		})
	}
}

func TestSecretsOfBothTypesAreRead(t *testing.T) {
	for name, tc := range map[string]struct {
		data map[string][]byte
		want error
	}{
		"dockerconfigjson": {map[string][]byte{".dockerconfigjson": []byte(`{"auths":{"r.example":{"username":"u","password":"p"}}}`)}, nil},
		"dockercfg":        {map[string][]byte{".dockercfg": []byte(`{"r.example":{"username":"u","password":"p"}}`)}, nil},
		"malformed":        {map[string][]byte{".dockercfg": []byte(`{"r.example":"hunter2"}`)}, errMalformed},
		"something else":   {map[string][]byte{"tls.key": []byte("hunter2")}, errNoConfig},
		"nothing":          {nil, errNoConfig},
	} {
		c, err := ParseSecret(tc.data)
		if err != tc.want || c.IsEmpty() != (tc.want != nil) { //nolint:errorlint // there is nothing in it
			t.Errorf("%s: %v", name, err)
		}
	}
}

func many(n int) string {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`"r%d.example":{"username":"u","password":"p"}`, i))
	}
	return `{"auths":{` + strings.Join(entries, ",") + `}}`
}

func TestCredentialsAreToldApartByTheirContent(t *testing.T) {
	id := func(c authn.AuthConfig) string { return newCredential("x", c).ID }
	base := authn.AuthConfig{Username: "ab", Password: "c"}
	if id(base) != newCredential("somebody else", base).ID {
		t.Error("the same content has two IDs")
	}
	for name, other := range map[string]authn.AuthConfig{
		"another password":      {Username: "ab", Password: "d"},
		"a password for a user": {Username: "a", Password: "bc"},
		"a token":               {Username: "ab", RegistryToken: "c"},
		"another token":         {Username: "ab", IdentityToken: "c"},
		"nothing":               {},
	} {
		if id(other) == id(base) || id(other) == Anonymous().ID {
			t.Errorf("%s has the ID of another", name)
		}
	}
}

func TestNothingShowsACredential(t *testing.T) {
	k := New(Part{Owner: `Secret "pull"`, Config: configFor(t, "r.example")})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if shown := fmt.Sprintf(verb, k.Lookup(repository(t, "r.example/app"))); strings.Contains(shown, "robot") || strings.Contains(shown, "726f626f74") || !strings.Contains(shown, "pull") {
			t.Errorf("%s shows %s", verb, shown)
		}
	}
}

func TestPartsComeInTheirOrder(t *testing.T) {
	bad := Part{Owner: `Secret "bad"`, Problem: "does not exist"}
	one, err := ParseDockercfg([]byte(`{"r.example":{"username":"u","password":"one"}}`))
	if err != nil {
		t.Fatal(err)
	}
	two, err := ParseDockercfg([]byte(`{"r.example":{"username":"u","password":"two"},"r.example/app":{"username":"u","password":"longer"}}`))
	if err != nil {
		t.Fatal(err)
	}
	k := New(Part{Owner: "1", Config: one}, bad, Part{Owner: "2", Config: two}, Part{Owner: "3", Config: one})
	if got := passwordsOf(t, k.Lookup(repository(t, "r.example/app"))); !slices.Equal(got, []string{"longer", "one", "two"}) {
		t.Errorf("%q", got)
	}
	if got := k.Problems(); !slices.Equal(got, []string{`Secret "bad" does not exist`}) {
		t.Errorf("%q", got)
	}
	var none *Keyring
	if !none.IsEmpty() || !New().IsEmpty() || k.IsEmpty() || New(bad).IsEmpty() || none.Lookup(repository(t, "r.example/app")) != nil || none.Problems() != nil {
		t.Error("what is empty is not, or the reverse")
	}
}

func TestOfAConfigurationOnlyOneRegistryIsTaken(t *testing.T) {
	c := configFor(t, "r.example", "r.example/team", "*.example", "other.test", "https://index.docker.io/v1/")
	for host, want := range map[string]int{"r.example": 3, "other.test": 1, "docker.io": 1, "r.example:5000": 0} {
		if got := c.For(host); len(got.entries) != want || got.IsEmpty() != (want == 0) {
			t.Errorf("%d for %s, want %d", len(got.entries), host, want)
		}
	}
}
