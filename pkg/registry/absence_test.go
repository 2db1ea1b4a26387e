// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestThatThereIsNothingIsARegistrysWord: a gateway says 404, too, when the registry
// behind it is gone. That is an outage, in which a policy may accept what it knows.
func TestThatThereIsNothingIsARegistrysWord(t *testing.T) {
	gateway := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "default backend - 404", http.StatusNotFound)
	}
	for name, tc := range map[string]struct {
		// none answers that there is nothing, ping the second question whether it is a
		// registry.
		none, ping     http.HandlerFunc
		tag, signature verify.Reason
	}{
		"in the words of the specification":           {says(404, "MANIFEST_UNKNOWN"), gateway, verify.ImageNotFound, ""},
		"with the header of Docker's distribution":    {absent, gateway, verify.ImageNotFound, ""},
		"without a word, of one that is a registry":   {status(404), status(200), verify.ImageNotFound, ""},
		"without a word, of one that wants to know":   {status(404), status(401), verify.ImageNotFound, ""},
		"as a page, of one that is a registry":        {serve404("text/html", "<html>"), status(200), verify.ImageNotFound, ""},
		"as a gateway whose registry is gone":         {gateway, gateway, verify.RegistryUnavailable, verify.RegistryUnavailable},
		"without a word, of one that is no registry":  {status(404), status(404), verify.RegistryUnavailable, verify.RegistryUnavailable},
		"as a gateway whose registry is just gone":    {status(404), status(503), verify.RegistryUnavailable, verify.RegistryUnavailable},
		"as a gateway that has forgotten the address": {status(404), reset, verify.RegistryUnavailable, verify.RegistryUnavailable},
		"in JSON of somebody else's":                  {serve404("application/json", `{"error":"no route"}`), gateway, verify.RegistryUnavailable, verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			client := f.client(Limits{})
			f.on("/v2/org/app/manifests/good", withDigest(ociManifest, subject))
			if _, err := client.Resolve(t.Context(), f.ref(t, ":good")); err != nil { // from now on there is a session
				t.Fatal(err)
			}
			f.on("/v2/", tc.ping)
			for _, path := range []string{latest, legacyPath, apiPath, fallbackPath} {
				f.on(path, tc.none)
			}
			if _, err := client.Resolve(t.Context(), f.ref(t, "")); reasonOf(t, err) != tc.tag {
				t.Errorf("the tag: %v; want %q", err, tc.tag)
			}
			found, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			if reasonOf(t, err) != tc.signature || len(found) != 0 {
				t.Errorf("the signatures: %v, %v; want %q", found, err, tc.signature)
			}
		})
	}
}

func serve404(mediaType, content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(content))
	}
}

// TestConnectionsAreUsedAgain: for the next question, and for the next image, whatever the
// answers are.
func TestConnectionsAreUsedAgain(t *testing.T) {
	f := newFake(t)
	f.Close()
	var connections, requests atomic.Int32
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		f.ServeHTTP(w, r)
	}))
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	f.on(latest, withDigest(ociManifest, subject))
	f.legacyTag(f.legacyLayer("good"))
	for i := range 20 {
		// Nothing is known from before, but how it is reached.
		client := f.client(Limits{})
		for range 10 {
			if _, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Resolve(t.Context(), f.ref(t, ":gone")); reasonOf(t, err) != verify.ImageNotFound {
				t.Fatal(err)
			}
		}
		if got, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{}); err != nil || len(got) != 1 {
			t.Fatalf("%d: %v, %v", i, got, err)
		}
	}
	if c, r := connections.Load(), requests.Load(); c > r/4 {
		t.Errorf("%d connections for %d requests", c, r)
	}
}
