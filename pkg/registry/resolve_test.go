// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const latest = repo + "manifests/latest"

func withDigest(mediaType, digest string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", digest)
	}
}

// byMethod answers GET and HEAD each in its way.
func byMethod(head, get http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			head(w, r)
			return
		}
		get(w, r)
	}
}

func TestResolve(t *testing.T) {
	const content = `{"schemaVersion":2}`
	computed := digestOf([]byte(content))
	cases := map[string]struct {
		answer http.HandlerFunc
		want   string
		asked  []string
	}{
		"HEAD suffices where the registry gives the digest": {
			withDigest(ociIndex, subject), subject, []string{"HEAD " + latest},
		},
		"a media type may have parameters": {
			withDigest(ociIndex+"; charset=utf-8", subject), subject, []string{"HEAD " + latest},
		},
		"GET is asked where HEAD is not allowed": {
			byMethod(status(405), serve(ociManifest, content)), computed, []string{"HEAD " + latest, "GET " + latest},
		},
		"GET is asked where HEAD says not found": {
			byMethod(status(404), serve(ociManifest, content)), computed, []string{"HEAD " + latest, "GET " + latest},
		},
		"GET is asked where HEAD gives no digest": {
			serve(ociManifest, content), computed, []string{"HEAD " + latest, "GET " + latest},
		},
		"a digest that is none is not believed": {
			byMethod(withDigest(ociManifest, "sha256:evil"), serve(ociManifest, content)), computed, []string{"HEAD " + latest, "GET " + latest},
		},
		"a digest of another algorithm is not believed": {
			byMethod(withDigest(ociManifest, "sha512:"+strings.Repeat("a", 128)), serve(ociManifest, content)), computed, []string{"HEAD " + latest, "GET " + latest},
		},
		"a redirect on the same host is followed": {
			redirect("/elsewhere"), subject, []string{"HEAD " + latest, "HEAD /elsewhere"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, tc.answer)
			f.on("/elsewhere", withDigest(ociManifest, subject))
			got, err := f.client(Limits{}).Resolve(t.Context(), f.ref(t, ""))
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("digest %s, want %s", got, tc.want)
			}
			if diff := cmp.Diff(tc.asked, f.requests()); diff != "" {
				t.Errorf("requests (-want +got)\n%s", diff)
			}
		})
	}
}

// absent is how a registry says that there is no such manifest.
func absent(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.WriteHeader(http.StatusNotFound)
}

func TestResolveFails(t *testing.T) {
	head, get := "HEAD "+latest, "GET "+latest
	cases := map[string]struct {
		answer http.HandlerFunc
		want   verify.Reason
		asked  []string // nil: not compared
	}{
		"404 of a registry that says what it is":           {absent, verify.ImageNotFound, []string{head}},
		"404 twice is no image":                            {status(404), verify.ImageNotFound, []string{head, get}},
		"401 is not authorized":                            {status(401), verify.RegistryUnauthorized, []string{head}},
		"403 is not authorized":                            {status(403), verify.RegistryUnauthorized, []string{head}},
		"401 to GET alone is not authorized":               {byMethod(status(404), status(401)), verify.RegistryUnauthorized, []string{head, get}},
		"429 is throttled, and tried again after pauses":   {status(429), verify.RegistryThrottled, nil},
		"429 for an hour is throttled at once":             {throttle("3600"), verify.RegistryThrottled, []string{head}},
		"503 for an hour is unavailable at once":           {unavailableFor("3600"), verify.RegistryUnavailable, []string{head}},
		"500 is unavailable, and tried twice more":         {status(500), verify.RegistryUnavailable, []string{head, head, head}},
		"503 is unavailable, and tried twice more":         {status(503), verify.RegistryUnavailable, []string{head, head, head}},
		"501 is unavailable":                               {status(501), verify.RegistryUnavailable, []string{head}},
		"a status that nobody knows is unavailable":        {status(418), verify.RegistryUnavailable, []string{head, get}},
		"204 is no image":                                  {status(204), verify.RegistryUnavailable, []string{head, get}},
		"a reset connection is unavailable":                {reset, verify.RegistryUnavailable, nil},
		"a page for people is unavailable":                 {serve("text/html", "<html>"), verify.RegistryUnavailable, []string{head, get}},
		"a schema 1 manifest is not verified":              {withDigest("application/vnd.docker.distribution.manifest.v1+prettyjws", subject), verify.RegistryUnavailable, []string{head, get}},
		"an endless manifest is beyond the limit":          {byMethod(status(405), endless(ociManifest)), verify.LimitExceeded, []string{head, get}},
		"a manifest that says it is huge is not read":      {byMethod(status(405), hugeLength), verify.LimitExceeded, []string{head, get}},
		"a manifest that stalls ends at the deadline":      {byMethod(status(405), stall(ociManifest)), verify.DeadlineExceeded, []string{head, get}},
		"an answer that never comes ends at the deadline":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, verify.DeadlineExceeded, []string{head}},
		"a redirect to itself without end is refused":      {redirect(latest), verify.RegistryUnavailable, nil},
		"a redirect to another name of our own is refused": {redirect("http://localhost:1/x"), verify.RegistryUnavailable, []string{head}},
		"a redirect to the metadata service is refused":    {redirect("http://169.254.169.254/latest/meta-data"), verify.RegistryUnavailable, []string{head}},
		"a redirect to a file is refused":                  {redirect("file:///etc/passwd"), verify.RegistryUnavailable, []string{head}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, tc.answer)
			start := time.Now()
			got, err := f.client(patience(tc.want)).Resolve(t.Context(), f.ref(t, ""))
			if got != "" || reasonOf(t, err) != tc.want {
				t.Fatalf("%q, %v; want %s", got, err, tc.want)
			}
			if diff := cmp.Diff(tc.asked, f.requests()); tc.asked != nil && diff != "" {
				t.Errorf("requests (-want +got)\n%s", diff)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func hugeLength(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", ociManifest)
	w.Header().Set("Content-Length", "1099511627776")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestResolveSucceedsWhenTheSecondTryDoes(t *testing.T) {
	f := newFake(t)
	var tries atomic.Int32
	f.on(latest, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		withDigest(ociManifest, subject)(w, r)
	})
	if got, err := f.client(Limits{}).Resolve(t.Context(), f.ref(t, "")); err != nil || got != subject {
		t.Errorf("%q, %v", got, err)
	}
}

func TestResolveOfADigestAsksNobody(t *testing.T) {
	f := newFake(t)
	got, err := f.client(Limits{}).Resolve(t.Context(), f.ref(t, ":v1@"+subject))
	if err != nil || got != subject || len(f.requests()) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := New(Options{}).Resolve(t.Context(), image.Reference{}); reasonOf(t, err) != verify.ImageNotFound {
		t.Errorf("the zero reference: %v", err)
	}
}

func TestOneCallersCancellationFailsNobodyElse(t *testing.T) {
	f := newFake(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	f.on(latest, func(w http.ResponseWriter, r *http.Request) {
		close(arrived) // a second request would panic
		<-release
		withDigest(ociManifest, subject)(w, r)
	})
	client, ref := f.client(Limits{}), f.ref(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := client.Resolve(ctx, ref)
		first <- err
	}()
	<-arrived
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if got, err := client.Resolve(t.Context(), ref); err != nil || got != subject {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	endpoints, err := client.endpoints(client.connections.Load(), ref.Context(), Source{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		client.resolving.mu.Lock()
		defer client.resolving.mu.Unlock()
		c := client.resolving.calls[resolvingKey(ref, endpoints)]
		return c != nil && c.waiting == 11
	})
	cancel()
	if err := <-first; reasonOf(t, err) != verify.DeadlineExceeded {
		t.Errorf("the cancelled caller: %v", err)
	}
	close(release)
	group.Wait()
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 500 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}
