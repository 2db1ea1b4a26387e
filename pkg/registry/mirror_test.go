// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// mirrored is a registry, its mirrors (in which its repositories lie below
// "copies/"), and a client that knows them.
type mirrored struct {
	original, first, second *fake
	client                  *Client
}

func newMirrored(t *testing.T, edit func(*Host)) *mirrored {
	t.Helper()
	m := &mirrored{original: newFake(t), first: newFake(t), second: newFake(t)}
	h := Host{PlainHTTP: true, Mirrors: []Mirror{{Host: m.first.host(), Path: "copies"}, {Host: m.second.host(), Path: "copies"}}}
	edit(&h)
	m.client = New(Options{Hosts: Hosts{m.original.host(): h, m.first.host(): {PlainHTTP: true}, m.second.host(): {PlainHTTP: true}}})
	return m
}

// copied is the path of something in a mirror.
func copied(path string) string { return strings.Replace(path, "/v2/", "/v2/copies/", 1) }

// asCopy makes f serve below "copies/" what it serves for the repository itself.
func (f *fake) asCopy() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, handler := range f.routes {
		if strings.HasPrefix(path, repo) {
			f.routes[copied(path)] = handler
			delete(f.routes, path)
		}
	}
}

func TestATagIsResolvedByTheFirstCopyThatKnowsIt(t *testing.T) {
	good := withDigest(ociManifest, subject)
	other := withDigest(ociManifest, "sha256:"+strings.Repeat("0", 64))
	for name, tc := range map[string]struct {
		only                    bool
		first, second, original http.HandlerFunc
		want                    verify.Reason
		originalAsked           bool
	}{
		"the first mirror": {false, good, other, other, "", false},
		"the second, when the first does not have it":           {false, status(404), good, other, "", false},
		"the second, when the first is broken":                  {false, status(500), good, other, "", false},
		"the second, when the first forbids":                    {false, status(401), good, other, "", false},
		"the registry, when no mirror has it":                   {false, status(404), status(404), good, "", true},
		"the registry, when the mirrors throttle":               {false, status(429), status(429), good, "", true},
		"nobody, as the registry says, whatever the mirrors do": {false, status(500), status(429), status(404), verify.ImageNotFound, true},
		"nobody who answers":                                    {false, status(404), status(404), status(500), verify.RegistryUnavailable, true},
		"a mirror, the only ones that are asked":                {true, status(404), good, other, "", false},
		"no mirror, the only ones that are asked":               {true, status(404), status(404), good, verify.ImageNotFound, false},
		"no mirror that answers, the only ones that are asked":  {true, status(429), status(404), good, verify.RegistryThrottled, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, func(h *Host) { h.MirrorsOnly = tc.only })
			m.first.on(copied(latest), tc.first)
			m.second.on(copied(latest), tc.second)
			m.original.on(latest, tc.original)
			got, err := m.client.Resolve(t.Context(), m.original.ref(t, ""))
			if reasonOf(t, err) != tc.want || (err == nil && got != subject) {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
			if asked := m.original.requests(); (len(asked) > 0) != tc.originalAsked {
				t.Errorf("the registry was asked %v", asked)
			}
		})
	}
}

func TestEvidenceIsFetchedFromTheFirstCopyThatHasSome(t *testing.T) {
	legacy := func(f *fake) { f.legacyTag(f.legacyLayer("a")); f.list() }
	bundle := func(f *fake) { f.list(f.bundleReferrer("b")) }
	none := func(*fake) {}
	broken := func(f *fake) { f.on(legacyPath, status(500)); f.on(apiPath, status(500)) }
	for name, tc := range map[string]struct {
		only            bool
		first, original func(f *fake)
		want            []string
		reason          verify.Reason
	}{
		"in the mirror":         {false, legacy, none, []string{"legacy a (sig of a)"}, ""},
		"in the registry alone": {false, none, bundle, []string{"bundle b"}, ""},
		"signatures in the mirror, bundles in the registry":         {false, legacy, bundle, []string{"legacy a (sig of a)", "bundle b"}, ""},
		"in the registry, while the mirror is broken":               {false, broken, legacy, []string{"legacy a (sig of a)"}, ""},
		"nowhere, as the registry says":                             {false, none, none, nil, ""},
		"nowhere, as the registry says, while the mirror is broken": {false, broken, none, nil, ""},
		"nowhere, while the registry is broken":                     {false, none, broken, nil, verify.RegistryUnavailable},
		"in the mirror alone, while the registry is broken, which may have bundles": {
			false, func(f *fake) { f.legacyTag(f.legacyLayer("a")) }, broken, []string{"legacy a (sig of a)"}, verify.RegistryUnavailable,
		},
		"nowhere in the only one that is asked":        {true, none, legacy, nil, ""},
		"nowhere in the only ones, one of them broken": {true, broken, legacy, nil, verify.RegistryUnavailable},
		"a mirror that lists what it does not have": {
			false, func(f *fake) { f.legacyTag(describeContent(simpleSigningType, "gone")) }, legacy, []string{"legacy a (sig of a)"}, "",
		},
		"a mirror that sends other bytes than it lists": {
			false, func(f *fake) {
				d := f.legacyLayer("a")
				f.on(repo+"blobs/"+d.Digest, serve("application/octet-stream", "b"))
				f.legacyTag(d)
			}, legacy, []string{"legacy a (sig of a)"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, func(h *Host) { h.MirrorsOnly, h.Mirrors = tc.only, h.Mirrors[:1] })
			tc.first(m.first)
			m.first.asCopy()
			tc.original(m.original)
			ref := m.original.ref(t, "")
			got, err := m.client.Signatures(t.Context(), ref, subject, Source{})
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" || reasonOf(t, err) != tc.reason {
				t.Errorf("%v, want %q; found (-want +got):\n%s", err, tc.reason, diff)
			}
			if asked := m.original.requests(); tc.only && len(asked) > 0 {
				t.Errorf("the registry was asked %v", asked)
			}
			if _, known := m.client.CachedSignatures(ref, subject, Source{}); known != (len(tc.want) > 0) {
				t.Errorf("known by the name of the image: %v", known)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	hosts := Hosts{
		"docker.io":     {Mirrors: []Mirror{{Host: "registry.corp.example:5000", Path: "mirror/hub"}, {Host: "cache.example"}}},
		"quay.io":       {Mirrors: []Mirror{{Host: "cache.example", Path: "quay"}}, MirrorsOnly: true},
		"cache.example": {Mirrors: []Mirror{{Host: "elsewhere.example"}}},
		"far.example":   {Mirrors: []Mirror{{Host: "cache.example", Path: strings.Repeat("a", 250)}}},
	}
	for image, want := range map[string][]string{
		"nginx":                    {"registry.corp.example:5000/mirror/hub/library/nginx", "cache.example/library/nginx", "index.docker.io/library/nginx (original)"},
		"index.docker.io/org/app":  {"registry.corp.example:5000/mirror/hub/org/app", "cache.example/org/app", "index.docker.io/org/app (original)"},
		"quay.io/org/app":          {"cache.example/quay/org/app"},
		"quay.io:443/org/app":      {"cache.example/quay/org/app"},
		"quay.io:8443/org/app":     {"quay.io:8443/org/app (original)"},
		"ghcr.io/org/app":          {"ghcr.io/org/app (original)"},
		"far.example/org/too-long": nil,
	} {
		endpoints, err := hosts.endpoints(parse(t, image).Context())
		var got []string
		for _, e := range endpoints {
			text := e.repository.Name()
			if e.original {
				text += " (original)"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%s: %v (-want +got):\n%s", image, err, diff)
		}
	}
}

func TestEvidenceLiesInTheRepositoryThatIsConfiguredForTheRegistry(t *testing.T) {
	home, apart, source := newFake(t), newFake(t), newFake(t)
	repository, err := image.ParseRepository(apart.host() + "/org/app")
	if err != nil {
		t.Fatal(err)
	}
	home.legacyTag(home.legacyLayer("beside"))
	apart.legacyTag(apart.legacyLayer("apart"))
	source.legacyTag(source.legacyLayer("source"))
	client := New(Options{
		Hosts:              Hosts{home.host(): {Signatures: repository}},
		InsecureRegistries: []string{home.host(), apart.host(), source.host()},
	})
	for name, tc := range map[string]struct {
		from Source
		want string
	}{
		"unless a policy says otherwise": {Source{}, "legacy apart (sig of apart)"},
		"as a policy says otherwise":     {source.source(t, ""), "legacy source (sig of source)"},
	} {
		got, err := client.Signatures(t.Context(), home.ref(t, ""), subject, tc.from)
		if diff := cmp.Diff([]string{tc.want}, texts(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if asked := home.requests(); len(asked) != 0 {
		t.Errorf("the image's registry was asked %v", asked)
	}
}

func TestHostsThatChangeCountFromTheNextRequestOn(t *testing.T) {
	f := newFake(t)
	f.behindTLS(t, nil, tls.NoClientCert)
	f.on(latest, withDigest(ociManifest, subject))
	client := New(Options{Hosts: Hosts{f.host(): {}}})
	steps := []struct {
		what  string
		hosts Hosts
		want  verify.Reason
	}{
		{"its certificate is trusted", Hosts{f.host(): {RootCAs: f.roots()}}, ""},
		{"its certificate is trusted no more", Hosts{f.host(): {}}, verify.RegistryUnavailable},
		{"it is spoken to by plain HTTP", Hosts{f.host(): {PlainHTTP: true}}, verify.RegistryUnavailable},
		{"it is not named", nil, verify.RegistryUnavailable},
		{"its certificate is trusted again", Hosts{f.host(): {RootCAs: f.roots()}}, ""},
	}
	for _, step := range steps {
		client.SetHosts(step.hosts)
		if _, err := client.Resolve(t.Context(), f.ref(t, "")); reasonOf(t, err) != step.want {
			t.Errorf("%s: %v, want %q", step.what, err, step.want)
		}
	}
}
