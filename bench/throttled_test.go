// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
	"github.com/countersign-dev/countersign/policy"
)

const (
	throttledPods   = 10_000
	throttledImages = 100
	// byTag is how many Pods, of a hundred, name their image by tag, which the
	// registry is asked about each time.
	byTag = 10
	// atOnce is how many admission requests are under way at a time.
	atOnce = 64
	// admissionDeadline is that of a request, and maxAttempts how often a ReplicaSet
	// makes a Pod that was refused. It waits 50 ms first, and twice as long each time.
	admissionDeadline = 9 * time.Second
	maxAttempts       = 12
)

// throttlingRegistry answers 429 to half of all requests, by lot.
type throttlingRegistry struct {
	*httptest.Server
	content             map[string]typed
	requests, throttled atomic.Int64
}

type typed struct {
	mediaType string
	body      []byte
	digest    string
}

func newThrottlingRegistry(b *testing.B) *throttlingRegistry {
	b.Helper()
	r := &throttlingRegistry{content: map[string]typed{}}
	r.Server = httptest.NewServer(r)
	b.Cleanup(r.Close)
	return r
}

func (r *throttlingRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.requests.Add(1)
	if rand.IntN(2) == 0 {
		r.throttled.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	found, ok := r.content[req.URL.Path]
	switch {
	case req.URL.Path == "/v2/":
	case !ok:
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", found.mediaType)
		w.Header().Set("Docker-Content-Digest", found.digest)
		_, _ = w.Write(found.body)
	}
}

// put serves content under a path; in a path that ends with a slash, its digest
// follows. It returns its descriptor.
func (r *throttlingRegistry) put(path, mediaType string, body []byte) map[string]any {
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if strings.HasSuffix(path, "/") {
		path += digest
	}
	r.content[path] = typed{mediaType, body, digest}
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(body)}
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// push makes an image, with a signature that is in the log, or with none.
func (r *throttlingRegistry) push(b *testing.B, n int, signer *verifytest.Signer, l *tlogtest.Log) (digest string) {
	b.Helper()
	repository := fmt.Sprintf("/v2/app-%d/", n)
	image := r.put(repository+"manifests/v1", ociManifest, fmt.Appendf(nil, `{"schemaVersion":2,"config":{},"layers":[],"annotations":{"n":"%d"}}`, n))
	digest, _ = image["digest"].(string)
	referrers := []any{}
	if signer != nil {
		blob := r.put(repository+"blobs/", bundleType, signer.LoggedBundle(l, verifytest.Statement(digest)).JSON)
		manifest := r.put(repository+"manifests/", ociManifest, encode(b, map[string]any{
			"schemaVersion": 2, "mediaType": ociManifest, "artifactType": bundleType, "config": map[string]any{}, "layers": []any{blob}, "subject": image,
		}))
		manifest["artifactType"] = bundleType
		referrers = append(referrers, manifest)
	}
	r.put(repository+"referrers/"+digest, ociIndex, encode(b, map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": referrers}))
	return digest
}

func encode(b *testing.B, v any) []byte {
	b.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// fresh is a history that was verified a moment ago.
type fresh struct{ *tlog.MemoryHistory }

func (fresh) Freshness(context.Context) (tlog.Freshness, error) {
	return tlog.Freshness{VerifiedAt: time.Now(), Limit: time.Hour}, nil
}

// throttledGate returns an evaluator with one policy for all images of a registry.
func throttledGate(b *testing.B, host string, signer *verifytest.Signer, l *tlogtest.Log) *policy.Evaluator {
	b.Helper()
	server := tlogtest.NewServer(l)
	b.Cleanup(server.Close)
	key, err := cryptoutils.MarshalPublicKeyToPEM(l.PublicKey())
	if err != nil {
		b.Fatal(err)
	}
	logs := trust.NewLogs(func(*v1alpha1.TransparencyLog) tlog.History { return fresh{tlog.NewMemoryHistory()} }, trust.Secrets{}, nil)
	isDefault := true
	if err := logs.Set(b.Context(), &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{server.URL}, Origin: l.Hostname, Default: &isDefault,
			PublicKey: v1alpha1.LogPublicKey{Data: string(key)},
		},
	}); err != nil {
		b.Fatal(err)
	}
	object := &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images:      []v1alpha1.ImagePattern{{Glob: host + "/**"}},
			Authorities: []v1alpha1.Authority{{Name: "release", Key: &v1alpha1.KeyAuthority{Data: string(signer.PEM())}}},
		},
	}
	object.SetDefaults()
	compiled := policy.Compile(b.Context(), object, policy.Trust{Logs: logs, Secrets: trust.Secrets{}})
	return policy.NewEvaluator(policy.Options{
		Policies: policy.NewSet(compiled), Registry: registry.New(registry.Options{InsecureRegistries: []string{host}}),
	})
}

// tally is what came of all Pods.
type tally struct {
	mu                                  sync.Mutex
	admitted, refused, undecided, wrong int
	attempts                            int
	took                                []time.Duration
}

// BenchmarkAThrottlingRegistry has ten thousand Pods of a hundred images admitted,
// every fourth of which nobody signed, through a registry that answers 429 to half of
// the requests. No decision may be wrong: an image that nobody signed is never
// admitted, and one that is signed is refused for no other reason than that nobody
// could tell.
func BenchmarkAThrottlingRegistry(b *testing.B) {
	signer, l := verifytest.NewSigner(), tlogtest.New("rekor.example.test")
	source := newThrottlingRegistry(b)
	host := strings.TrimPrefix(source.URL, "http://")
	digests := make([]string, throttledImages)
	for n := range digests {
		by := signer
		if n%4 == 3 {
			by = nil
		}
		digests[n] = source.push(b, n, by, l)
	}
	for b.Loop() {
		source.requests.Store(0)
		source.throttled.Store(0)
		t, evaluator := &tally{}, throttledGate(b, host, signer, l)
		begin := time.Now()
		var workers sync.WaitGroup
		pods := make(chan int)
		for range atOnce {
			workers.Go(func() {
				for pod := range pods {
					t.run(b, evaluator, host, pod, digests)
				}
			})
		}
		for pod := range throttledPods {
			pods <- pod
		}
		close(pods)
		workers.Wait()
		t.report(b, source, time.Since(begin))
	}
}

// run makes one Pod, as often as it takes.
func (t *tally) run(b *testing.B, evaluator *policy.Evaluator, host string, pod int, digests []string) {
	b.Helper()
	n := pod % throttledImages
	image, isSigned := fmt.Sprintf("%s/app-%d@%s", host, n, digests[n]), n%4 != 3
	if pod/throttledImages%(100/byTag) == 0 {
		image = fmt.Sprintf("%s/app-%d:v1", host, n)
	}
	begin, pause := time.Now(), 50*time.Millisecond
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(b.Context(), admissionDeadline)
		decision := evaluator.Evaluate(ctx, policy.Origin{}, image)
		cancel()
		_, reason, _ := policy.Outcome(decision.Policies[0].Verdict)
		if reason.Unavailable() && attempt < maxAttempts {
			time.Sleep(pause)
			pause *= 2
			continue
		}
		t.count(b, image, digests[n], isSigned, attempt, time.Since(begin), decision)
		return
	}
}

// count judges a decision that is final.
func (t *tally) count(b *testing.B, image, digest string, isSigned bool, attempts int, took time.Duration, decision policy.Decision) {
	b.Helper()
	outcome, reason, detail := policy.Outcome(decision.Policies[0].Verdict)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts += attempts
	t.took = append(t.took, took)
	switch {
	case reason.Unavailable():
		t.undecided++
	case reason == "" && isSigned && decision.Digest == digest:
		t.admitted++
	case reason == verify.NoSignature && !isSigned:
		t.refused++
	default:
		t.wrong++
		b.Errorf("%s, which is signed: %v, got %v %s %s", image, isSigned, outcome, reason, detail)
	}
}

func (t *tally) report(b *testing.B, source *throttlingRegistry, took time.Duration) {
	b.Helper()
	slices.Sort(t.took)
	b.ReportMetric(took.Seconds(), "s/run")
	b.ReportMetric(float64(source.requests.Load()), "requests")
	b.ReportMetric(float64(source.throttled.Load()), "throttled")
	b.ReportMetric(float64(t.attempts-throttledPods), "pods-retried")
	b.ReportMetric(float64(t.undecided), "pods-undecided")
	b.ReportMetric(float64(t.wrong), "wrong")
	b.ReportMetric(t.took[len(t.took)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(t.took[len(t.took)*99/100].Seconds()*1000, "p99-ms")
	if t.admitted+t.refused+t.undecided+t.wrong != throttledPods {
		b.Errorf("%d Pods were forgotten", throttledPods-t.admitted-t.refused-t.undecided-t.wrong)
	}
}
