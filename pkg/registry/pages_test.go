// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

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
		"a second page by path":                            {"<" + apiPath + `?page=2>; rel="next"`, "", []string{"bundle a", "bundle b"}},
		"a second page by query":                           {`<?page=2>; rel=next`, "", []string{"bundle a", "bundle b"}},
		"a second page among other links":                  {`</x>; rel="first", <` + apiPath + `?page=2>; title=x; rel="next"`, "", []string{"bundle a", "bundle b"}},
		"a link to something else":                         {`</x>; rel="help"`, "", []string{"bundle a"}},
		"a second page on another host":                    {`<https://evil.example` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page on another host by the same scheme": {`<//evil.example` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page by another scheme":                  {`<file://` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page with user information":              {`<//user@host` + apiPath + `?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page of another image":                   {`<` + repo + `referrers/sha256:0?page=2>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page without a query":                    {"<" + apiPath + `>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page that is no URL":                     {`<%zz>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
		"a second page with a very long name":              {`<?page=` + strings.Repeat("2", 5000) + `>; rel="next"`, verify.RegistryUnavailable, []string{"bundle a"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			page(f, tc.link, index(f.bundleReferrer("a")), index(f.bundleReferrer("b")))
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
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
		_, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
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
		_, err := f.client(Limits{Entries: 100}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
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
		if _, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{}); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
}
