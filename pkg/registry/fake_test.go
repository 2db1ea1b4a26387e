// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	bundleV03   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	subject     = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	subjectTag  = "sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	repo        = "/v2/org/app/"
)

// fake is a registry whose every answer the test chooses. What it was not told
// to answer is 404.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	routes map[string]http.HandlerFunc
	asked  []string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{routes: map[string]http.HandlerFunc{}}
	f.on("/v2/", func(http.ResponseWriter, *http.Request) {})
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.CloseClientConnections)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	handler := f.routes[r.URL.Path]
	if r.URL.Path != "/v2/" {
		f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
	}
	f.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

func (f *fake) on(path string, handler http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes[path] = handler
}

// requests returns what was asked since the last call, pings left out.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fake) host() string { return strings.TrimPrefix(f.URL, "http://") }

func (f *fake) ref(t *testing.T, suffix string) image.Reference {
	t.Helper()
	return parse(t, f.host()+"/org/app"+suffix)
}

func (f *fake) client(limits Limits) *Client {
	return New(Options{InsecureRegistries: []string{f.host()}, Limits: limits})
}

func parse(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// blob serves content and returns its descriptor.
func (f *fake) blob(mediaType, content string) descriptor {
	d := describeContent(mediaType, content)
	f.on(repo+"blobs/"+d.Digest, serve("application/octet-stream", content))
	return d
}

// manifest serves a manifest under its digest and returns its descriptor.
func (f *fake) manifest(m any) descriptor {
	d := describeContent(ociManifest, encode(m))
	f.on(repo+"manifests/"+d.Digest, serve(ociManifest, encode(m)))
	return d
}

func describeContent(mediaType, content string) descriptor {
	return descriptor{MediaType: mediaType, Digest: digestOf([]byte(content)), Size: int64(len(content))}
}

// imageManifest is what a test writes; the fields are as on the wire.
type imageManifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        target       `json:"config"`
	Layers        []descriptor `json:"layers"`
	Subject       *target      `json:"subject,omitempty"`
}

type imageIndex struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Manifests     []descriptor `json:"manifests"`
}

// legacyLayer serves a payload and returns its layer, signed "sig of <payload>".
func (f *fake) legacyLayer(payload string) descriptor {
	d := f.blob(simpleSigningType, payload)
	d.Annotations = annotations{Signature: "sig of " + payload}
	return d
}

// legacyTag serves the signature image.
func (f *fake) legacyTag(layers ...descriptor) {
	f.on(repo+"manifests/"+subjectTag+".sig", serve(ociManifest, encode(imageManifest{SchemaVersion: 2, MediaType: ociManifest, Layers: layers})))
}

// bundleReferrer serves a bundle and its manifest, and returns the entry that lists it.
func (f *fake) bundleReferrer(content string) descriptor {
	d := f.manifest(imageManifest{SchemaVersion: 2, MediaType: ociManifest, ArtifactType: bundleV03,
		Layers: []descriptor{f.blob(bundleV03, content)}, Subject: &target{MediaType: ociManifest, Digest: subject}})
	d.ArtifactType = bundleV03
	return d
}

// list serves the referrers API.
func (f *fake) list(entries ...descriptor) {
	f.on(repo+"referrers/"+subject, serve(ociIndex, index(entries...)))
}

func index(entries ...descriptor) string {
	return encode(imageIndex{SchemaVersion: 2, MediaType: ociIndex, Manifests: append([]descriptor{}, entries...)})
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func serve(mediaType, content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write([]byte(content))
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// endless sends for as long as anybody reads.
func endless(mediaType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		for {
			if _, err := w.Write(make([]byte, 64*kib)); err != nil {
				return
			}
		}
	}
}

// stall begins an answer and never ends it.
func stall(mediaType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write([]byte("{"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

// silent takes the request and never answers.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// reset closes the connection in place of an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func redirect(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// texts shows signatures in short.
func texts(signatures []verify.Signature) []string {
	var out []string
	for _, s := range signatures {
		switch v := s.(type) {
		case verify.LegacySignature:
			out = append(out, fmt.Sprintf("legacy %s (%s)", v.Payload, v.Base64Signature))
		case verify.Bundle:
			out = append(out, "bundle "+string(v.JSON))
		}
	}
	return out
}

// reasonOf returns the reason of err, "" for none, and fails on any other error
// or on a detail that is not fit to be shown.
func reasonOf(t *testing.T, err error) verify.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	known := (*Error)(nil)
	if !errors.As(err, &known) {
		t.Fatalf("error is a %T: %v", err, err)
	}
	if len(known.Detail) > 800 || printable(known.Detail[:min(len(known.Detail), shownText)]) != known.Detail[:min(len(known.Detail), shownText)] {
		t.Errorf("detail is not fit to be shown: %q", known.Detail)
	}
	return known.Reason
}

// patience is a short limit where the deadline is what is expected, and
// otherwise one that a busy machine does not reach.
func patience(want verify.Reason) Limits {
	if want == verify.DeadlineExceeded {
		return Limits{Timeout: time.Second}
	}
	return Limits{}
}
