// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	legacyPath   = repo + "manifests/" + subjectTag + ".sig"
	fallbackPath = repo + "manifests/" + subjectTag
	apiPath      = repo + "referrers/" + subject
)

func TestSignatures(t *testing.T) {
	cases := map[string]struct {
		registry func(f *fake)
		want     []string
	}{
		"there are none": {
			func(*fake) {}, nil,
		},
		"there are none, and the registry has the referrers API": {
			func(f *fake) { f.list() }, nil,
		},
		"a null list is an empty one": {
			func(f *fake) { f.on(apiPath, serve(ociIndex, `{"manifests":null}`)) }, nil,
		},
		"a legacy signature": {
			func(f *fake) { f.legacyTag(f.legacyLayer("a")) }, []string{"legacy a (sig of a)"},
		},
		"legacy signatures keep their order, and layers of other types are left out": {
			func(f *fake) {
				f.legacyTag(f.legacyLayer("a"), f.blob("application/octet-stream", "x"), f.legacyLayer("b"))
			},
			[]string{"legacy a (sig of a)", "legacy b (sig of b)"},
		},
		"two signatures over one payload are two signatures": {
			func(f *fake) {
				one, two := f.legacyLayer("a"), f.legacyLayer("a")
				two.Annotations = map[string]string{signatureAnnotation: "other"}
				f.legacyTag(one, two)
			},
			[]string{"legacy a (sig of a)", "legacy a (other)"},
		},
		"a layer without a signature is still evidence, for the verifier to refuse": {
			func(f *fake) { f.legacyTag(f.blob(simpleSigningType, "a")) }, []string{"legacy a ()"},
		},
		"a bundle in the referrers API": {
			func(f *fake) { f.list(f.bundleReferrer("b")) }, []string{"bundle b"},
		},
		"a bundle in the fallback tag": {
			func(f *fake) { f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, []string{"bundle b"},
		},
		"both forms are found": {
			func(f *fake) { f.legacyTag(f.legacyLayer("a")); f.list(f.bundleReferrer("b")) },
			[]string{"legacy a (sig of a)", "bundle b"},
		},
		"an entry without artifact type is looked at": {
			func(f *fake) { d := f.bundleReferrer("b"); d.ArtifactType = ""; f.list(d) }, []string{"bundle b"},
		},
		"an entry with the config's type in place of the artifact type is looked at": {
			func(f *fake) {
				d := f.bundleReferrer("b")
				d.ArtifactType = "application/vnd.oci.empty.v1+json"
				f.list(d)
			}, []string{"bundle b"},
		},
		"an entry of another artifact type is not": {
			func(f *fake) {
				f.list(descriptor{MediaType: ociManifest, Digest: subject, Size: 5, ArtifactType: "application/spdx+json"})
			}, nil,
		},
		"cosign's experimental form is read as legacy signatures": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, Config: descriptor{MediaType: cosignSignatureType},
					Layers: []descriptor{f.legacyLayer("a")}, Subject: &descriptor{Digest: subject}})
				d.ArtifactType = cosignSignatureType
				f.list(d)
			}, []string{"legacy a (sig of a)"},
		},
		"the registry's fallback tag is not asked where it has the API": {
			func(f *fake) { f.list(); f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, nil,
		},
		"a referrer of another image is left out": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{f.blob(bundleV03, "b")},
					Subject: &descriptor{Digest: "sha256:" + strings.Repeat("0", 64)}})
				d.ArtifactType = bundleV03
				f.list(d, f.bundleReferrer("c"))
			}, []string{"bundle c"},
		},
		"a referrer of nothing is left out": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{f.blob(bundleV03, "b")}})
				d.ArtifactType = bundleV03
				f.list(d)
			}, nil,
		},
		"a bundle beside another layer is left out": {
			func(f *fake) {
				b := f.blob(bundleV03, "b")
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{b, b}, Subject: &descriptor{Digest: subject}})
				d.ArtifactType = bundleV03
				f.list(d)
			}, nil,
		},
		"a referrer that is an index is left out": {
			func(f *fake) { d := f.bundleReferrer("b"); d.MediaType = ociIndex; f.list(d) }, nil,
		},
		"a referrer that is an index and a manifest at once is left out": {
			func(f *fake) {
				raw := `{"schemaVersion":2,"manifests":[],"layers":[],"subject":{"digest":"` + subject + `"}}`
				d := describeContent(ociManifest, raw)
				d.ArtifactType = bundleV03
				f.on(repo+"manifests/"+d.Digest, serve(ociManifest, raw))
				f.list(d)
			}, nil,
		},
		"an entry without a digest is left out": {
			func(f *fake) { f.list(descriptor{MediaType: ociManifest, ArtifactType: bundleV03}) }, nil,
		},
		"an entry with a path for a digest is left out": {
			func(f *fake) {
				f.list(descriptor{MediaType: ociManifest, ArtifactType: bundleV03, Digest: "../../../../admin", Size: 5})
			}, nil,
		},
		"a layer with a negative size is left out": {
			func(f *fake) { d := f.legacyLayer("a"); d.Size = -1; f.legacyTag(d, f.legacyLayer("b")) }, []string{"legacy b (sig of b)"},
		},
		"registries that have no referrers API say so in many ways: 400": {
			func(f *fake) {
				f.on(apiPath, status(400))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			}, []string{"bundle b"},
		},
		"registries that have no referrers API say so in many ways: 405": {
			func(f *fake) {
				f.on(apiPath, status(405))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			}, []string{"bundle b"},
		},
		"registries that have no referrers API say so in many ways: 406": {
			func(f *fake) { f.on(apiPath, status(406)) }, nil,
		},
		"registries that have no referrers API say so in many ways: 501": {
			func(f *fake) { f.on(apiPath, status(501)) }, nil,
		},
		"registries that have no referrers API say so in many ways: a redirect to a login page elsewhere": {
			func(f *fake) {
				f.on(apiPath, redirect("https://login.example/"))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			},
			[]string{"bundle b"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			tc.registry(f)
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ":v1"), subject)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLegacySignatureCarriesItsAnnotations(t *testing.T) {
	f := newFake(t)
	layer := f.blob(simpleSigningType, "payload")
	layer.Annotations = map[string]string{
		"dev.cosignproject.cosign/signature":   "c2ln",
		"dev.sigstore.cosign/bundle":           "{}",
		"dev.sigstore.cosign/certificate":      "cert",
		"dev.sigstore.cosign/chain":            "chain",
		"dev.sigstore.cosign/rfc3161timestamp": "time",
		"other":                                "left out",
	}
	f.legacyTag(layer)
	got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject)
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Signature{verify.LegacySignature{Payload: []byte("payload"), Base64Signature: "c2ln", RekorBundle: "{}",
		Certificate: "cert", Chain: "chain", RFC3161Timestamp: "time"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCouldNotTellIsNeverNone: whatever goes wrong with a list or with what it
// names is an error, and what was found elsewhere is returned beside it.
func TestCouldNotTellIsNeverNone(t *testing.T) {
	good := []string{"legacy good (sig of good)"}
	api := func(handler http.HandlerFunc) func(*fake) {
		return func(f *fake) { f.legacyTag(f.legacyLayer("good")); f.on(apiPath, handler) }
	}
	legacy := func(handler http.HandlerFunc) func(*fake) {
		return func(f *fake) { f.list(); f.on(legacyPath, handler) }
	}
	cases := map[string]struct {
		registry func(f *fake)
		reason   verify.Reason
		want     []string
	}{
		"the signature image answers 401":                    {legacy(status(401)), verify.RegistryUnauthorized, nil},
		"the signature image answers 403":                    {legacy(status(403)), verify.RegistryUnauthorized, nil},
		"the signature image answers 429":                    {legacy(status(429)), verify.RegistryThrottled, nil},
		"the signature image answers 500":                    {legacy(status(500)), verify.RegistryUnavailable, nil},
		"the signature image answers 400":                    {legacy(status(400)), verify.RegistryUnavailable, nil},
		"the signature image answers 204":                    {legacy(status(204)), verify.RegistryUnavailable, nil},
		"the signature image's connection is reset":          {legacy(reset), verify.RegistryUnavailable, nil},
		"the signature image is endless":                     {legacy(endless(ociManifest)), verify.LimitExceeded, nil},
		"the signature image stalls":                         {legacy(stall(ociManifest)), verify.DeadlineExceeded, nil},
		"the signature image is a page for people":           {legacy(serve("text/html", "<html>")), verify.RegistryUnavailable, nil},
		"the signature image is an index":                    {legacy(serve(ociIndex, index())), verify.RegistryUnavailable, nil},
		"the signature image is an index sent as a manifest": {legacy(serve(ociManifest, `{"manifests":[]}`)), verify.RegistryUnavailable, nil},
		"the signature image says that it is another type":   {legacy(serve(ociManifest, `{"mediaType":"`+ociIndex+`","layers":[]}`)), verify.RegistryUnavailable, nil},
		"the signature image has layers twice":               {legacy(serve(ociManifest, `{"layers":[],"layers":[]}`)), verify.RegistryUnavailable, nil},
		"the signature image's layers are no list":           {legacy(serve(ociManifest, `{"layers":{}}`)), verify.RegistryUnavailable, nil},
		"the signature image's layers are no descriptors":    {legacy(serve(ociManifest, `{"layers":[1]}`)), verify.RegistryUnavailable, nil},
		"the signature image is cut off":                     {legacy(serve(ociManifest, `{"layers":[`)), verify.RegistryUnavailable, nil},
		"the signature image has ten thousand layers": {
			func(f *fake) { f.list(); f.legacyTag(make([]descriptor, 10_000)...) }, verify.LimitExceeded, nil,
		},
		"a payload has other bytes than its digest": {
			func(f *fake) {
				d := f.legacyLayer("evil")
				f.on(repo+"blobs/"+d.Digest, serve("", "live"))
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.RegistryUnavailable, good,
		},
		"a payload is listed but not there": {
			func(f *fake) {
				d := f.legacyLayer("gone")
				f.on(repo+"blobs/"+d.Digest, status(404))
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.RegistryUnavailable, good,
		},
		"a payload may not be read": {
			func(f *fake) {
				d := f.legacyLayer("secret")
				f.on(repo+"blobs/"+d.Digest, status(403))
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.RegistryUnauthorized, good,
		},
		"a payload says that it is huge": {
			func(f *fake) {
				d := f.legacyLayer("huge")
				d.Size = 1 << 40
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.LimitExceeded, good,
		},
		"a payload is endless": {
			func(f *fake) {
				d := f.legacyLayer("endless")
				f.on(repo+"blobs/"+d.Digest, endless(""))
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.LimitExceeded, good,
		},
		"a payload redirects to the metadata service": {
			func(f *fake) {
				d := f.legacyLayer("elsewhere")
				f.on(repo+"blobs/"+d.Digest, redirect("http://169.254.169.254/"))
				f.legacyTag(d, f.legacyLayer("good"))
			}, verify.RegistryUnavailable, good,
		},
		"the referrers API answers 401":                       {api(status(401)), verify.RegistryUnauthorized, good},
		"the referrers API answers 429":                       {api(status(429)), verify.RegistryThrottled, good},
		"the referrers API answers 500":                       {api(status(500)), verify.RegistryUnavailable, good},
		"the referrers API's connection is reset":             {api(reset), verify.RegistryUnavailable, good},
		"the referrers API is endless":                        {api(endless(ociIndex)), verify.LimitExceeded, good},
		"the referrers API answers 200 and a page for people": {api(serve("text/html", "<html>")), verify.RegistryUnavailable, good},
		"the referrers API answers 200 and an image manifest": {api(serve(ociManifest, `{"layers":[]}`)), verify.RegistryUnavailable, good},
		"the referrers API answers without a list":            {api(serve(ociIndex, `{}`)), verify.RegistryUnavailable, good},
		"the referrers API answers with layers":               {api(serve(ociIndex, `{"layers":[],"manifests":[]}`)), verify.RegistryUnavailable, good},
		"the referrers API answers broken JSON":               {api(serve(ociIndex, `{"manifests":[`)), verify.RegistryUnavailable, good},
		"the referrers API lists ten thousand entries":        {api(serve(ociIndex, index(make([]descriptor, 10_000)...))), verify.LimitExceeded, good},
		"the referrers API lists a thousand bundles": {
			func(f *fake) {
				f.legacyTag(f.legacyLayer("good"))
				d := f.bundleReferrer("b")
				entries := make([]descriptor, 1000)
				for i := range entries {
					entries[i] = d
				}
				f.list(entries...)
			}, verify.LimitExceeded, good,
		},
		"the referrers API answers a page for people, and the fallback tag has a bundle": {
			func(f *fake) {
				f.on(apiPath, serve("text/html", "<html>"))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			}, verify.RegistryUnavailable, []string{"bundle b"},
		},
		"the fallback tag answers 500": {
			func(f *fake) { f.legacyTag(f.legacyLayer("good")); f.on(fallbackPath, status(500)) }, verify.RegistryUnavailable, good,
		},
		"the fallback tag answers 403": {
			func(f *fake) { f.legacyTag(f.legacyLayer("good")); f.on(fallbackPath, status(403)) }, verify.RegistryUnauthorized, good,
		},
		"the fallback tag is an image": {
			func(f *fake) {
				f.legacyTag(f.legacyLayer("good"))
				f.on(fallbackPath, serve(ociManifest, `{"layers":[]}`))
			},
			verify.RegistryUnavailable, good,
		},
		"a bundle is too large": {
			func(f *fake) { f.list(f.bundleReferrer(strings.Repeat("x", mib+1)), f.bundleReferrer("b")) },
			verify.LimitExceeded, []string{"bundle b"},
		},
		"a bundle's manifest has other bytes than its digest": {
			func(f *fake) {
				d := f.bundleReferrer("a")
				f.on(repo+"manifests/"+d.Digest, serve(ociManifest, strings.Repeat("x", int(d.Size))))
				f.list(d, f.bundleReferrer("b"))
			}, verify.RegistryUnavailable, []string{"bundle b"},
		},
		"a bundle's manifest is listed but not there": {
			func(f *fake) {
				d := f.bundleReferrer("a")
				f.on(repo+"manifests/"+d.Digest, status(404))
				f.list(d, f.bundleReferrer("b"))
			}, verify.RegistryUnavailable, []string{"bundle b"},
		},
		"one place is throttled while the other exceeds a limit": {
			func(f *fake) { f.legacyTag(make([]descriptor, 2000)...); f.on(apiPath, status(429)) }, verify.RegistryThrottled, nil,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			tc.registry(f)
			start := time.Now()
			got, err := f.client(Limits{Timeout: 2 * time.Second}).Signatures(t.Context(), f.ref(t, ""), subject)
			if reason := reasonOf(t, err); reason != tc.reason {
				t.Errorf("%v; want %s", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("took %v", took)
			}
			if asked := f.requests(); len(asked) > 20 {
				t.Errorf("%d requests", len(asked))
			}
		})
	}
}

func TestReferrersInPages(t *testing.T) {
	page := func(f *fake, link string, first, second string) {
		f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("page") == "" {
				w.Header().Set("Link", link)
				serve(ociIndex, first)(w, r)
				return
			}
			serve(ociIndex, second)(w, r)
		})
	}
	cases := map[string]struct {
		link   string
		reason verify.Reason
		want   []string
	}{
		"a second page by path":               {"<" + apiPath + `?page=2>; rel="next"`, "", []string{"bundle a", "bundle b"}},
		"a second page by query":              {`<?page=2>; rel=next`, "", []string{"bundle a", "bundle b"}},
		"a second page among other links":     {`</x>; rel="first", <` + apiPath + `?page=2>; title=x; rel="next"`, "", []string{"bundle a", "bundle b"}},
		"a link to something else":            {`</x>; rel="help"`, "", []string{"bundle a"}},
		"a second page on another host":       {`<https://evil.example` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page by another scheme":     {`<file://` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page with user information": {`<//user@host` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page of another image":      {`<` + repo + `referrers/sha256:0?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page without a query":       {"<" + apiPath + `>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page that is no URL":        {`<%zz>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page with a very long name": {`<?page=` + strings.Repeat("2", 5000) + `>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			page(f, tc.link, index(f.bundleReferrer("a")), index(f.bundleReferrer("b")))
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject)
			if reason := reasonOf(t, err); reason != tc.reason {
				t.Errorf("%v; want %q", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("pages without end stop at the limit", func(t *testing.T) {
		f := newFake(t)
		var pages atomic.Int32
		f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
			pages.Add(1)
			w.Header().Set("Link", `<?page=again>; rel="next"`)
			serve(ociIndex, index())(w, r)
		})
		_, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject)
		if reason := reasonOf(t, err); reason != verify.LimitExceeded {
			t.Errorf("%v", err)
		}
		if n := int(pages.Load()); n != DefaultLimits().Pages {
			t.Errorf("%d pages were read", n)
		}
	})
	t.Run("entries are counted across pages", func(t *testing.T) {
		f := newFake(t)
		f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<?page=again>; rel="next"`)
			serve(ociIndex, index(make([]descriptor, 30)...))(w, r)
		})
		_, err := f.client(Limits{Entries: 100}).Signatures(t.Context(), f.ref(t, ""), subject)
		if reason := reasonOf(t, err); reason != verify.LimitExceeded || len(f.requests()) != 5 { // and the signature image
			t.Errorf("%v", err)
		}
	})
	t.Run("a second page that fails is not the end of the list", func(t *testing.T) {
		f := newFake(t)
		f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Link", `<?page=2>; rel="next"`)
			serve(ociIndex, index())(w, r)
		})
		if _, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestTotalsOfAnImage(t *testing.T) {
	t.Run("bytes are counted together", func(t *testing.T) {
		f := newFake(t)
		f.legacyTag(f.legacyLayer(strings.Repeat("a", 3000)), f.legacyLayer(strings.Repeat("b", 3000)))
		got, err := f.client(Limits{Total: 11_000, Parallel: 1}).Signatures(t.Context(), f.ref(t, ""), subject)
		if reasonOf(t, err) != verify.LimitExceeded || len(got) != 1 {
			t.Errorf("%d signatures, %v", len(got), err)
		}
	})
	t.Run("signatures are counted together", func(t *testing.T) {
		f := newFake(t)
		f.legacyTag(f.legacyLayer("a"), f.legacyLayer("b"))
		f.list(f.bundleReferrer("c"), f.bundleReferrer("d"))
		got, err := f.client(Limits{Signatures: 3}).Signatures(t.Context(), f.ref(t, ""), subject)
		if reasonOf(t, err) != verify.LimitExceeded || len(got) > 3 {
			t.Errorf("%d signatures, %v", len(got), err)
		}
	})
}

func TestContentKnownByDigestIsNotAskedForAgain(t *testing.T) {
	f := newFake(t)
	f.legacyTag(f.legacyLayer("a"))
	f.list(f.bundleReferrer("b"))
	client, ref := f.client(Limits{}), f.ref(t, "")
	if _, known := client.CachedSignatures(ref, subject); known {
		t.Error("something is known before the first question")
	}
	first, err := client.Signatures(t.Context(), ref, subject)
	if err != nil || len(f.requests()) != 5 {
		t.Fatal(err)
	}
	cached, known := client.CachedSignatures(ref, subject)
	if diff := cmp.Diff(first, cached); diff != "" || !known || len(f.requests()) != 0 {
		t.Errorf("known %v: %s", known, diff)
	}
	if _, known := client.CachedSignatures(f.ref(t, "-other"), subject); known {
		t.Error("the signatures of one repository are known for another")
	}
	second, err := client.Signatures(t.Context(), ref, subject)
	if diff := cmp.Diff(first, second); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if asked := f.requests(); len(asked) != 2 { // the lists only
		t.Errorf("asked %v", asked)
	}

	t.Run("an outage keeps what is known", func(t *testing.T) {
		f.on(legacyPath, status(503))
		f.on(apiPath, status(503))
		if got, err := client.Signatures(t.Context(), ref, subject); reasonOf(t, err) != verify.RegistryUnavailable || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		if _, known := client.CachedSignatures(ref, subject); !known {
			t.Error("it was forgotten")
		}
	})
	t.Run("signatures that were taken away are forgotten", func(t *testing.T) {
		f.on(legacyPath, status(404))
		f.on(apiPath, status(404))
		if got, err := client.Signatures(t.Context(), ref, subject); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		if _, known := client.CachedSignatures(ref, subject); known {
			t.Error("they are still known")
		}
	})
}

func TestContentInTheCacheIsHeldAgainstItsListedSize(t *testing.T) {
	f := newFake(t)
	layer := f.legacyLayer("a")
	f.legacyTag(layer)
	client, ref := f.client(Limits{}), f.ref(t, "")
	if _, err := client.Signatures(t.Context(), ref, subject); err != nil {
		t.Fatal(err)
	}
	layer.Size = 7
	f.legacyTag(layer)
	if got, err := client.Signatures(t.Context(), ref, subject); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", texts(got), err)
	}
}

func TestSignaturesOfNothing(t *testing.T) {
	client := New(Options{})
	if _, err := client.Signatures(t.Context(), image.Reference{}, subject); reasonOf(t, err) != verify.RegistryUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := client.Signatures(t.Context(), parse(t, "nginx"), "latest\n"); reasonOf(t, err) != verify.RegistryUnavailable {
		t.Errorf("%v", err)
	}
	if _, known := client.CachedSignatures(image.Reference{}, subject); known {
		t.Error("signatures of the zero reference are known")
	}
}

func TestManySearchesAtOnceAskOnce(t *testing.T) {
	f := newFake(t)
	release := make(chan struct{})
	layer := f.legacyLayer("a")
	f.on(legacyPath, func(w http.ResponseWriter, r *http.Request) {
		<-release
		serve(ociManifest, encode(imageManifest{Layers: []descriptor{layer}}))(w, r)
	})
	client, ref := f.client(Limits{}), f.ref(t, "")
	results := make(chan int, 50)
	for range cap(results) {
		go func() {
			got, err := client.Signatures(t.Context(), ref, subject)
			if err != nil {
				t.Error(err)
			}
			results <- len(got)
		}()
	}
	waitFor(t, func() bool {
		client.listing.mu.Lock()
		defer client.listing.mu.Unlock()
		c := client.listing.calls[foundKey(ref, subject)]
		return c != nil && c.waiting == cap(results)
	})
	close(release)
	for range cap(results) {
		if n := <-results; n != 1 {
			t.Errorf("%d signatures", n)
		}
	}
	if asked := f.requests(); len(asked) != 4 {
		t.Errorf("asked %v", asked)
	}
}
