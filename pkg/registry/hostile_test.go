// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

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
			got, err := f.client(patience(tc.reason)).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reason := reasonOf(t, err); reason != tc.reason {
				t.Errorf("%v; want %s", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
			if asked := f.requests(); len(asked) > 20 {
				t.Errorf("%d requests", len(asked))
			}
		})
	}
}
