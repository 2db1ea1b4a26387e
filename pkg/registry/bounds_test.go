// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// maxAllocation is what docs/design/limits.md says that one question makes us
// allocate at most, one thing after the other, whatever a registry answers.
const maxAllocation = 192 * mib

// full is what a registry can send that is as large as it may be.
func full(t *testing.T) map[string]func(f *fake) {
	t.Helper()
	pad := func(head, unit, tail string) string {
		return head + strings.TrimSuffix(strings.Repeat(unit, (mib-len(head)-len(tail)-1)/len(unit)), ",") + tail
	}
	legacy := func(handler http.HandlerFunc) func(*fake) { return func(f *fake) { f.on(legacyPath, handler) } }
	return map[string]func(f *fake){
		"an endless list":                legacy(endless(ociManifest)),
		"a list of empty layers":         legacy(serve(ociManifest, pad(`{"layers":[`, `{},`, `]}`))),
		"a list of numbers":              legacy(serve(ociManifest, pad(`{"layers":[`, `0,`, `]}`))),
		"lists in lists":                 legacy(serve(ociManifest, pad(`{"x":`, `[`, `]}`))),
		"objects in objects":             legacy(serve(ociManifest, pad(`{"x":`, `{"":`, `}`))),
		"a million fields":               legacy(serve(ociManifest, pad(`{"":0,`, `"a":0,`, `"b":0}`))),
		"a layer of a million fields":    legacy(serve(ociManifest, pad(`{"layers":[{`, `"a":0,`, `"b":0}]}`))),
		"annotations of a million names": legacy(serve(ociManifest, pad(`{"layers":[{"annotations":{`, `"a":"",`, `"b":""}}]}`))),
		"a text of escapes":              legacy(serve(ociManifest, pad(`{"mediaType":"`, `\u0000`, `"}`))),
		"an error without end":           legacy(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden); endless("")(w, r) }),
		"a handshake without end":        func(f *fake) { f.on("/v2/", endless("")) },
		"a token without end":            func(f *fake) { f.protect(endless("application/json")) },
		"sixteen pages of a mebibyte": func(f *fake) {
			page := []byte(pad(`{"manifests":[{"digest":"`, `x`, `"}]}`))
			f.on(apiPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", `<?page=again>; rel="next"`)
				w.Header().Set("Content-Type", ociIndex)
				_, _ = w.Write(page)
			})
		},
		"as many bundles as there may be, each as large": func(f *fake) {
			var entries []descriptor
			for i := range DefaultLimits().Bundles {
				entries = append(entries, f.bundleReferrer(fmt.Sprintf("%d%s", i, strings.Repeat("x", mib-8))))
			}
			f.list(entries...)
		},
		"a thousand payloads as large as they may be": func(f *fake) {
			layer := f.legacyLayer(strings.Repeat("x", 64*kib))
			layers := make([]descriptor, 1000)
			for i := range layers {
				layers[i] = layer
			}
			f.legacyTag(layers...)
		},
	}
}

// TestARegistryCannotMakeUsAllocate more than a bound. The fakes run in this process,
// so what they allocate counts, too.
func TestARegistryCannotMakeUsAllocate(t *testing.T) {
	for name, registry := range full(t) {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			registry(f)
			client, ref := f.client(Limits{}), f.ref(t, "")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			got, err := client.Signatures(t.Context(), ref, subject, Source{})
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d MiB allocated, %d signatures, %v", allocated/mib, len(got), err)
			if allocated > allocationUnderTest*maxAllocation {
				t.Errorf("one question allocated %d MiB, want %d at most", allocated/mib, allocationUnderTest*maxAllocation/mib)
			}
		})
	}
}

// inside counts the goroutines that run code of this package which is not a test.
func inside() int {
	stacks := make([]byte, 16*mib)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "pkg/registry.(*core)") || strings.Contains(stack, "pkg/registry.(*search)") ||
			strings.Contains(stack, "pkg/registry.(*lane)") || strings.Contains(stack, "pkg/registry.(*circuit)") {
			count++
		}
	}
	return count
}

// TestNobodyIsHeldBeyondTheDeadline, at whatever point a registry stops to answer.
func TestNobodyIsHeldBeyondTheDeadline(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ociManifest)
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	for name, registry := range map[string]func(f *fake){
		"the handshake never answers":    func(f *fake) { f.on("/v2/", silent) },
		"the token server never answers": func(f *fake) { f.protect(silent); f.on(legacyPath, status(401)) },
		"a list never comes":             func(f *fake) { f.on(legacyPath, silent); f.on(apiPath, silent) },
		"a list never ends":              func(f *fake) { f.on(legacyPath, stall(ociManifest)) },
		"a list comes byte by byte":      func(f *fake) { f.on(legacyPath, slow) },
		"a blob never comes":             func(f *fake) { d := f.legacyLayer("a"); f.on(repo+"blobs/"+d.Digest, silent); f.legacyTag(d) },
		"it throttles for ever":          func(f *fake) { f.on(legacyPath, status(429)) },
		"it breaks for ever":             func(f *fake) { f.on(legacyPath, status(500)) },
		"a redirect leads to a stall":    func(f *fake) { f.on(legacyPath, redirect("/stall")); f.on("/stall", silent) },
		"a next page never comes": func(f *fake) {
			f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" {
					silent(w, r)
					return
				}
				w.Header().Set("Link", `<?page=2>; rel="next"`)
				serve(ociIndex, index())(w, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			registry(f)
			client := f.client(Limits{Timeout: 1200 * time.Millisecond})
			start := time.Now()
			answered := make(chan error, 1)
			go func() {
				_, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
				answered <- err
			}()
			waitFor(t, func() bool { return inside() > 0 })
			if err := <-answered; err == nil {
				t.Error("want an error")
			}
			if took := time.Since(start); took > 5*time.Second { // a busy machine
				t.Errorf("took %v", took)
			}
			waitFor(t, func() bool { return inside() == 0 })
			if l := client.connections.Load().lane(f.host()); l.total != 0 || len(l.queues) != 0 {
				t.Errorf("%d requests are held to be under way, and %d repositories wait", l.total, len(l.queues))
			}
			if !client.memory.TryAcquire(client.limits.Memory) {
				t.Error("memory is held that nobody uses")
			}
		})
	}
}

// TestNoHostIsAskedButThoseThatAreNamed by the image, the configuration, or a registry in a
// redirect: not a host of a next page, of a descriptor, or of an annotation.
func TestNoHostIsAskedButThoseThatAreNamed(t *testing.T) {
	f := newFake(t)
	d := f.bundleReferrer("b")
	f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `<https://evil.example`+apiPath+`?page=2>; rel="next"`)
		w.Header().Set("Location", "https://evil.example/")
		w.Header().Set("Refresh", "0; url=https://evil.example/")
		w.Header().Set("Alt-Svc", `h2="evil.example:443"; ma=86400`)
		serve(ociIndex, fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"artifactType":%q,"urls":["https://evil.example/"],
			"annotations":{"org.opencontainers.image.source":"https://evil.example/"}}]}`, d.MediaType, d.Digest, d.Size, d.ArtifactType))(w, r)
	})
	var seen exchanges
	client := New(Options{InsecureRegistries: []string{f.host()}, Trace: seen.add, dialer: net.Dialer{Resolver: names(nil)}})
	for range 3 {
		got, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
		if reasonOf(t, err) != verify.RegistryUnavailable || len(got) != 1 {
			t.Errorf("%v, %v", texts(got), err)
		}
	}
	for _, x := range seen.texts(map[string]string{f.host(): "f"}) {
		if !strings.Contains(x, " http://f/v2/") {
			t.Errorf("a request went elsewhere: %s", x)
		}
	}
}
