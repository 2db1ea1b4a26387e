// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	schema1        = "application/vnd.docker.distribution.manifest.v1+json"
	schema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	ociArtifact    = "application/vnd.oci.artifact.manifest.v1+json"
)

// TestAnImageIsResolvedWhateverItHolds: what is pinned is a digest, and the image's
// manifest is not read but to compute one.
func TestAnImageIsResolvedWhateverItHolds(t *testing.T) {
	platforms := index(make([]descriptor, 10_000)...)
	nested := index(descriptor{MediaType: ociIndex, Digest: subject, Size: 5})
	atTheLimit := strings.Repeat(" ", 4*mib)
	for name, tc := range map[string]struct {
		mediaType, content string
		want               verify.Reason
	}{
		"a manifest of OCI":                                {ociManifest, `{}`, ""},
		"a manifest of Docker":                             {dockerManifest, `{}`, ""},
		"an index of OCI":                                  {ociIndex, index(), ""},
		"a manifest list of Docker":                        {dockerList, `{}`, ""},
		"an index of ten thousand platforms":               {ociIndex, platforms, ""},
		"an index of indexes":                              {ociIndex, nested, ""},
		"a manifest of four mebibytes":                     {ociManifest, atTheLimit, ""},
		"a manifest of four mebibytes and a byte":          {ociManifest, atTheLimit + " ", verify.LimitExceeded},
		"a manifest of Docker's schema 1":                  {schema1, `{}`, verify.RegistryUnavailable},
		"a manifest of Docker's schema 1, signed":          {schema1Signed, `{}`, verify.RegistryUnavailable},
		"an artifact of OCI 1.1's release candidate":       {ociArtifact, `{}`, verify.RegistryUnavailable},
		"content that says nothing of its type":            {"application/json", `{}`, verify.RegistryUnavailable},
		"content whose type is followed by another of two": {ociManifest + ", " + dockerList, `{}`, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, byMethod(status(http.StatusMethodNotAllowed), serve(tc.mediaType, tc.content)))
			got, err := f.client(Limits{}).Resolve(t.Context(), f.ref(t, ""))
			if reason := reasonOf(t, err); reason != tc.want {
				t.Fatalf("%v; want %q", err, tc.want)
			}
			if tc.want == "" && got != digestOf([]byte(tc.content)) {
				t.Errorf("digest %s", got)
			}
		})
	}
}

// TestFormatsOfEvidence: what the two places may hold, in every format that there is.
func TestFormatsOfEvidence(t *testing.T) {
	legacyAs := func(mediaType string) func(*fake) {
		return func(f *fake) {
			f.on(legacyPath, serve(mediaType, encode(imageManifest{SchemaVersion: 2, Layers: []descriptor{f.legacyLayer("a")}})))
		}
	}
	for name, tc := range map[string]struct {
		registry func(f *fake)
		reason   verify.Reason
		want     []string
	}{
		"a signature image of OCI":                      {legacyAs(ociManifest), "", []string{"legacy a (sig of a)"}},
		"a signature image of Docker":                   {legacyAs(dockerManifest), "", []string{"legacy a (sig of a)"}},
		"a signature image of schema 1":                 {legacyAs(schema1), verify.RegistryUnavailable, nil},
		"a signature image that is an artifact":         {legacyAs(ociArtifact), verify.RegistryUnavailable, nil},
		"a signature image that is an index of one":     {legacyAs(ociIndex), verify.RegistryUnavailable, nil},
		"a signature image that is a list of Docker":    {legacyAs(dockerList), verify.RegistryUnavailable, nil},
		"a fallback tag that is a list of Docker":       {func(f *fake) { f.on(fallbackPath, serve(dockerList, index(f.bundleReferrer("b")))) }, verify.RegistryUnavailable, nil},
		"a referrers API that answers a list of Docker": {func(f *fake) { f.on(apiPath, serve(dockerList, index(f.bundleReferrer("b")))) }, verify.RegistryUnavailable, nil},
		"a referrer that is an artifact":                {func(f *fake) { d := f.bundleReferrer("b"); d.MediaType = ociArtifact; f.list(d) }, "", nil},
		"a referrer that is a manifest of Docker":       {func(f *fake) { d := f.bundleReferrer("b"); d.MediaType = dockerManifest; f.list(d) }, "", nil},
		"a referrer that is the image itself":           {func(f *fake) { f.list(descriptor{MediaType: ociManifest, Digest: subject, Size: 5}) }, verify.RegistryUnavailable, nil},
		"a referrer that is a signature image": {func(f *fake) {
			f.list(f.manifest(imageManifest{Layers: []descriptor{f.legacyLayer("a")}, Subject: &target{Digest: subject}}))
		}, "", nil},
		"referrers in no order, of many types, and twice": {
			func(f *fake) {
				other := descriptor{MediaType: ociManifest, Digest: subject, Size: 5, ArtifactType: "application/spdx+json"}
				b, a := f.bundleReferrer("b"), f.bundleReferrer("a")
				f.list(other, b, other, a, b, other)
			}, "", []string{"bundle b", "bundle a", "bundle b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			tc.registry(f)
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reason := reasonOf(t, err); reason != tc.reason {
				t.Errorf("%v; want %q", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// lengths sends content under another Content-Length than it has.
func lengths(mediaType, content string, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", mediaType, length, content)
		_ = conn.Close()
	}
}

// zipped sends content as a server does that compresses, though nobody asked for it.
func zipped(t *testing.T, mediaType, content string) http.HandlerFunc {
	t.Helper()
	var body bytes.Buffer
	w, err := gzip.NewWriterLevel(&body, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		serve(mediaType, body.String())(w, nil)
	}
}

func TestAnswersThatAreNotWhatTheySay(t *testing.T) {
	manifest := encode(imageManifest{SchemaVersion: 2, MediaType: ociManifest})
	bomb := `{"layers":[],"x":"` + strings.Repeat("0", 256*mib) + `"}`
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   verify.Reason
	}{
		"an answer that ends before its length":      {lengths(ociManifest, manifest, len(manifest)+1), verify.RegistryUnavailable},
		"an answer that goes on beyond its length":   {lengths(ociManifest, manifest, len(manifest)-1), verify.RegistryUnavailable},
		"an answer whose length is less than zero":   {lengths(ociManifest, manifest, -1), verify.RegistryUnavailable},
		"an answer that says it is beyond the limit": {lengths(ociManifest, manifest, mib+1), verify.LimitExceeded},
		"an answer that was cut in its header":       {halfAnAnswer, verify.RegistryUnavailable},
		"an answer that is compressed":               {zipped(t, ociManifest, manifest), verify.RegistryUnavailable},
		"an answer that is a bomb of 256 MiB":        {zipped(t, ociManifest, bomb), verify.RegistryUnavailable},
		"a header without end": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				w.Header().Set("X-"+strconv.Itoa(i), strings.Repeat("x", kib))
			}
		}, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.list()
			f.on(legacyPath, tc.answer)
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reason := reasonOf(t, err); reason != tc.want || len(got) > 0 {
				t.Errorf("%v, %v; want %s", texts(got), err, tc.want)
			}
		})
	}
}

// TestTenThousandReferrers are more than an image may have: it is refused, and that
// takes few requests.
func TestTenThousandReferrers(t *testing.T) {
	f := newFake(t)
	var pages atomic.Int32
	f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
		pages.Add(1)
		last, _ := strconv.Atoi(r.URL.Query().Get("last"))
		if last < 9000 {
			w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, apiPath, last+1000))
		}
		entries := make([]descriptor, 1000)
		for i := range entries {
			entries[i] = descriptor{MediaType: ociManifest, Digest: digestOf([]byte(strconv.Itoa(last + i))), Size: 5, ArtifactType: "application/spdx+json"}
		}
		serve(ociIndex, index(entries...))(w, r)
	})
	if _, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{}); reasonOf(t, err) != verify.LimitExceeded {
		t.Errorf("%v, want LimitExceeded", err)
	}
	if n := pages.Load(); n != 5 {
		t.Errorf("%d pages were read, want 5", n)
	}
}

// TestAFallbackTagIsReadAnew: clients replace it, and remove what it listed, at any
// time. What is gone by then is not what was never there.
func TestAFallbackTagIsReadAnew(t *testing.T) {
	f := newFake(t)
	gone, kept := f.bundleReferrer("gone"), f.bundleReferrer("kept")
	f.on(repo+"manifests/"+gone.Digest, status(http.StatusNotFound))
	f.on(fallbackPath, serve(ociIndex, index(gone, kept)))
	client, ref := f.client(Limits{}), f.ref(t, "")
	got, err := client.Signatures(t.Context(), ref, subject, Source{})
	if reasonOf(t, err) != verify.RegistryUnavailable || !cmp.Equal(texts(got), []string{"bundle kept"}) {
		t.Errorf("while it lists what is gone: %v, %v", texts(got), err)
	}
	f.on(fallbackPath, serve(ociIndex, index(kept, f.bundleReferrer("new"))))
	got, err = client.Signatures(t.Context(), ref, subject, Source{})
	if err != nil || !cmp.Equal(texts(got), []string{"bundle kept", "bundle new"}) {
		t.Errorf("when it was replaced: %v, %v", texts(got), err)
	}
	f.on(fallbackPath, status(http.StatusNotFound))
	if got, err = client.Signatures(t.Context(), ref, subject, Source{}); err != nil || len(got) > 0 {
		t.Errorf("when it was removed: %v, %v", texts(got), err)
	}
}
