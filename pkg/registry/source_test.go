// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// source is the repository of f, as a place for evidence about other images.
func (f *fake) source(t *testing.T, prefix string) Source {
	t.Helper()
	repository, err := image.ParseRepository(f.host() + "/org/app")
	if err != nil {
		t.Fatal(err)
	}
	return Source{Repository: repository, TagPrefix: prefix}
}

func TestEvidenceIsLookedForInTheSource(t *testing.T) {
	const prefixed = repo + "manifests/rel-" + subjectTag + ".sig"
	for name, tc := range map[string]struct {
		prefix string
		there  func(f *fake) // in the source
		want   []string
		reason verify.Reason
	}{
		"nothing is there, whatever lies beside the image": {"", func(*fake) {}, nil, ""},
		"a legacy signature": {"", func(f *fake) { f.legacyTag(f.legacyLayer("a")) }, []string{"legacy a (sig of a)"}, ""},
		"a bundle in the referrers API": {
			"", func(f *fake) { f.list(f.bundleReferrer("b")) }, []string{"bundle b"}, "",
		},
		"a bundle in the fallback tag": {
			"", func(f *fake) { f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, []string{"bundle b"}, "",
		},
		"a legacy signature under a prefix": {
			"rel-", func(f *fake) {
				f.on(prefixed, serve(ociManifest, encode(imageManifest{Layers: []descriptor{f.legacyLayer("p")}})))
			}, []string{"legacy p (sig of p)"}, "",
		},
		"a legacy signature without the prefix is another's": {
			"rel-", func(f *fake) { f.legacyTag(f.legacyLayer("a")) }, nil, "",
		},
		"a legacy signature with a prefix that nobody named": {
			"", func(f *fake) {
				f.on(prefixed, serve(ociManifest, encode(imageManifest{Layers: []descriptor{f.legacyLayer("p")}})))
			}, nil, "",
		},
		"a bundle, which no prefix concerns": {
			"rel-", func(f *fake) { f.list(f.bundleReferrer("b")) }, []string{"bundle b"}, "",
		},
		"a bundle in the fallback tag, which no prefix concerns": {
			"rel-", func(f *fake) { f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, []string{"bundle b"}, "",
		},
		"a referrer of another image in the same repository": {
			"", func(f *fake) {
				d := f.manifest(imageManifest{ArtifactType: bundleV03, Layers: []descriptor{f.blob(bundleV03, "b")},
					Subject: &target{Digest: "sha256:" + strings.Repeat("0", 64)}})
				d.ArtifactType = bundleV03
				f.list(d)
			}, nil, "",
		},
		"a source that is broken is not an empty one": {
			"", func(f *fake) { f.on(legacyPath, status(500)); f.list() }, nil, verify.RegistryUnavailable,
		},
		"a source that forbids is not an empty one": {
			"", func(f *fake) { f.on(legacyPath, status(403)); f.list() }, nil, verify.RegistryUnauthorized,
		},
		"a source that throttles is not an empty one": {
			"", func(f *fake) { f.on(legacyPath, status(429)); f.list() }, nil, verify.RegistryThrottled,
		},
		"a source without end": {
			"", func(f *fake) { f.on(legacyPath, endless(ociManifest)); f.list() }, nil, verify.LimitExceeded,
		},
		"a source that sends us to a host of our own": {
			"", func(f *fake) { f.on(legacyPath, redirect("http://localhost:1/")); f.list() }, nil, verify.RegistryUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			home, away := newFake(t), newFake(t)
			home.legacyTag(home.legacyLayer("beside the image"))
			home.list(home.bundleReferrer("beside the image"))
			tc.there(away)
			client := New(Options{InsecureRegistries: []string{home.host(), away.host()}})
			got, err := client.Signatures(t.Context(), home.ref(t, ":v1"), subject, away.source(t, tc.prefix))
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" || reasonOf(t, err) != tc.reason {
				t.Errorf("%v, want %q; found (-want +got):\n%s", err, tc.reason, diff)
			}
			if err != nil && !strings.Contains(err.Error(), away.host()) {
				t.Errorf("the error does not name the source: %v", err)
			}
			if asked := home.requests(); len(asked) != 0 {
				t.Errorf("the image's registry was asked %v", asked)
			}
		})
	}
}

func TestAPrefixBesideTheImage(t *testing.T) {
	f := newFake(t)
	f.on(repo+"manifests/rel-"+subjectTag+".sig", serve(ociManifest, encode(imageManifest{Layers: []descriptor{f.legacyLayer("p")}})))
	f.legacyTag(f.legacyLayer("a"))
	got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{TagPrefix: "rel-"})
	if diff := cmp.Diff([]string{"legacy p (sig of p)"}, texts(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAttestationsAreLookedForInTheSource(t *testing.T) {
	home, away := newFake(t), newFake(t)
	for path, envelope := range map[string]string{subjectTag + ".att": "plain", "rel-" + subjectTag + ".att": "prefixed"} {
		away.on(repo+"manifests/"+path, serve(ociManifest, encode(imageManifest{Layers: []descriptor{away.blob(dsseType, envelope)}})))
	}
	client := New(Options{InsecureRegistries: []string{home.host(), away.host()}})
	for prefix, want := range map[string]string{"": "plain", "rel-": "prefixed"} {
		got, err := client.Attestations(t.Context(), home.ref(t, ""), subject, away.source(t, prefix))
		if diff := cmp.Diff([]verify.Signature{verify.LegacyAttestation{Envelope: []byte(want)}}, got); err != nil || diff != "" {
			t.Errorf("prefix %q: %v (-want +got):\n%s", prefix, err, diff)
		}
	}
	if got, err := client.Attestations(t.Context(), home.ref(t, ""), subject, Source{}); err != nil || len(got) != 0 || len(home.requests()) != 1 {
		t.Errorf("beside the image: %v, %v", got, err)
	}
}

func TestWhatIsKnownOfOneSourceIsNotKnownOfAnother(t *testing.T) {
	home, away := newFake(t), newFake(t)
	away.legacyTag(away.legacyLayer("a"))
	client := New(Options{InsecureRegistries: []string{home.host(), away.host()}})
	from, ref := away.source(t, ""), home.ref(t, "")
	if got, err := client.Signatures(t.Context(), ref, subject, from); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if got, known := client.CachedSignatures(ref, subject, from); !known || len(got) != 1 {
		t.Error("it is forgotten")
	}
	// One repository holds the evidence of many images: of the same digest under
	// another name it is the same.
	if _, known := client.CachedSignatures(home.ref(t, "-mirrored"), subject, from); !known {
		t.Error("what lies in a source depends on the name of the image")
	}
	for name, other := range map[string]Source{
		"beside the image": {}, "another prefix": away.source(t, "rel-"), "another repository": home.source(t, ""),
	} {
		if _, known := client.CachedSignatures(ref, subject, other); known {
			t.Errorf("%s: it is known", name)
		}
	}
	if _, known := client.CachedAttestations(ref, subject, from); known {
		t.Error("signatures are known as attestations")
	}
}

func TestASourceIsAskedWithItsOwnCredentials(t *testing.T) {
	home, away := newFake(t), newFake(t)
	var seen []string
	away.on("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="away"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	away.on(legacyPath, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		http.NotFound(w, r)
	})
	away.list()
	client := New(Options{InsecureRegistries: []string{home.host(), away.host()}, Keychain: keychain{host: home.host()}})
	if _, err := client.Signatures(t.Context(), home.ref(t, ""), subject, away.source(t, "")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{""}, seen); diff != "" {
		t.Errorf("the credentials of the image's registry went to the source (-want +got):\n%s", diff)
	}
}

func TestASourceSaysWhereItIs(t *testing.T) {
	repository, err := image.ParseRepository("registry.corp.example/signatures")
	if err != nil {
		t.Fatal(err)
	}
	for want, source := range map[string]Source{
		"beside the image": {},
		`beside the image (tags that begin with "rel-")`:                    {TagPrefix: "rel-"},
		"in registry.corp.example/signatures":                               {Repository: repository},
		`in registry.corp.example/signatures (tags that begin with "rel-")`: {Repository: repository, TagPrefix: "rel-"},
	} {
		if got := source.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
