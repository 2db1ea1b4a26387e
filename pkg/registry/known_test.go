// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestContentKnownByDigestIsNotAskedForAgain(t *testing.T) {
	f := newFake(t)
	f.legacyTag(f.legacyLayer("a"))
	f.list(f.bundleReferrer("b"))
	client, ref := f.client(Limits{}), f.ref(t, "")
	if _, known := client.CachedSignatures(ref, subject, Source{}); known {
		t.Error("something is known before the first question")
	}
	first, err := client.Signatures(t.Context(), ref, subject, Source{})
	if err != nil || len(f.requests()) != 5 {
		t.Fatal(err)
	}
	cached, known := client.CachedSignatures(ref, subject, Source{})
	if diff := cmp.Diff(first, cached); diff != "" || !known || len(f.requests()) != 0 {
		t.Errorf("known %v: %s", known, diff)
	}
	if _, known := client.CachedSignatures(f.ref(t, "-other"), subject, Source{}); known {
		t.Error("the signatures of one repository are known for another")
	}
	second, err := client.Signatures(t.Context(), ref, subject, Source{})
	if diff := cmp.Diff(first, second); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if asked := f.requests(); len(asked) != 2 { // the lists only
		t.Errorf("asked %v", asked)
	}

	t.Run("an outage keeps what is known", func(t *testing.T) {
		f.on(legacyPath, status(503))
		f.on(apiPath, status(503))
		if got, err := client.Signatures(t.Context(), ref, subject, Source{}); reasonOf(t, err) != verify.RegistryUnavailable || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		if _, known := client.CachedSignatures(ref, subject, Source{}); !known {
			t.Error("it was forgotten")
		}
	})
	t.Run("signatures that were taken away are forgotten", func(t *testing.T) {
		f.on(legacyPath, status(404))
		f.on(apiPath, status(404))
		if got, err := client.Signatures(t.Context(), ref, subject, Source{}); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		if _, known := client.CachedSignatures(ref, subject, Source{}); known {
			t.Error("they are still known")
		}
	})
}

func TestContentInTheCacheIsHeldAgainstItsListedSize(t *testing.T) {
	f := newFake(t)
	layer := f.legacyLayer("a")
	f.legacyTag(layer)
	client, ref := f.client(Limits{}), f.ref(t, "")
	if _, err := client.Signatures(t.Context(), ref, subject, Source{}); err != nil {
		t.Fatal(err)
	}
	layer.Size = 7
	f.legacyTag(layer)
	if got, err := client.Signatures(t.Context(), ref, subject, Source{}); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", texts(got), err)
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
			got, err := client.Signatures(t.Context(), ref, subject, Source{})
			if err != nil {
				t.Error(err)
			}
			results <- len(got)
		}()
	}
	waitFor(t, func() bool {
		client.listing.mu.Lock()
		defer client.listing.mu.Unlock()
		c := client.listing.calls[client.place(ref, subject, Source{}, "signatures").key()]
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
