// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	evidence "github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/webhook"
)

// town is a registry with one signed image, and the log that has its entry, both
// behind HTTP.
type town struct {
	host, repository, digest string
	objects                  []v1alpha1.TransparencyLog
	policy                   *v1alpha1.ClusterImagePolicy
	asked                    atomic.Int64 // requests to either
}

func newTown(b testing.TB) *town {
	b.Helper()
	w := &town{}
	counted := func(h http.Handler) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.asked.Add(1)
			h.ServeHTTP(rw, r)
		}))
		b.Cleanup(server.Close)
		return server
	}
	w.host = strings.TrimPrefix(counted(registry.New(registry.Logger(stdlog.New(io.Discard, "", 0)))).URL, "http://")
	w.repository = w.host + "/team/app"
	log, signer := tlogtest.New("rekor.corp.example"), verifytest.NewSigner()
	log.Grow(1000)
	server := tlogtest.NewServer(log)
	b.Cleanup(server.Close)

	content, err := random.Image(64, 1)
	must(b, err)
	digest, err := content.Digest()
	must(b, err)
	w.digest = digest.String()
	must(b, remote.Write(w.reference(b, ":v1"), content))
	signed := signer.LoggedLegacy(log, verifytest.SimpleSigning(w.repository, w.digest))
	signature, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer(signed.Payload, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{
			"dev.cosignproject.cosign/signature": signed.Base64Signature, "dev.sigstore.cosign/bundle": signed.RekorBundle,
		},
	})
	must(b, err)
	must(b, remote.Write(w.reference(b, ":"+strings.Replace(w.digest, ":", "-", 1)+".sig"), signature))
	w.configure(b, log, signer, server.URL)
	return w
}

func (w *town) configure(b testing.TB, log *tlogtest.Log, signer *verifytest.Signer, url string) {
	b.Helper()
	key, err := cryptoutils.MarshalPublicKeyToPEM(log.PublicKey())
	must(b, err)
	isDefault := true
	w.objects = []v1alpha1.TransparencyLog{{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{url}, Origin: log.Hostname, Default: &isDefault, PublicKey: v1alpha1.LogPublicKey{Data: string(key)},
		},
	}}
	w.policy = &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "corp", Generation: 1},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images:      []v1alpha1.ImagePattern{{Glob: w.host + "/**"}},
			Authorities: []v1alpha1.Authority{{Name: "release", Key: &v1alpha1.KeyAuthority{Data: string(signer.PEM())}}},
		},
	}
	w.policy.SetDefaults()
}

func (w *town) reference(b testing.TB, suffix string) name.Reference {
	b.Helper()
	ref, err := name.ParseReference(w.repository+suffix, name.Insecure)
	must(b, err)
	return ref
}

// gate is Countersign as it has just started.
type gate struct{ pods, images http.Handler }

func (w *town) newGate(b testing.TB) gate {
	b.Helper()
	compiled := policy.Compile(b.Context(), w.policy, policy.Trust{Logs: trust.LogsFromObjects(b.Context(), w.objects, trust.Secrets{}), Secrets: trust.Secrets{}})
	for _, problem := range compiled.Problems() {
		b.Fatal(problem)
	}
	evaluator := policy.NewEvaluator(policy.Options{
		Policies: policy.NewSet(compiled), Registry: evidence.New(evidence.Options{InsecureRegistries: []string{w.host}}),
	})
	extractor, metrics, inFlight := image.NewExtractor(), webhook.NewMetrics(nil), webhook.NewInFlight()
	serve := func(h admission.Handler) http.Handler { return webhook.Handler(h, inFlight) }
	return gate{
		pods:   serve(&webhook.Pods{Extractor: extractor, Pinner: evaluator, Metrics: metrics, Log: logr.Discard()}),
		images: serve(&webhook.Images{Extractor: extractor, Decider: evaluator, NoMatch: policy.NoMatchDeny, PinDigests: true, Metrics: metrics, Log: logr.Discard()}),
	}
}

// admit sends the creation of an object with one image, which has to be admitted.
func admit(b testing.TB, h http.Handler, group, kind, image string) {
	b.Helper()
	spec := fmt.Sprintf(`{"containers":[{"name":"app","image":%q}]}`, image)
	if kind != "Pod" {
		spec = `{"template":{"spec":` + spec + `}}`
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind},
			Object: runtime.RawExtension{Raw: []byte(`{"spec":` + spec + `}`)},
		},
	}
	body, err := json.Marshal(review)
	must(b, err)
	r := httptest.NewRequest(http.MethodPost, "/?timeout=10s", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"allowed":true`) {
		b.Fatal(w.Body)
	}
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeploymentOfThreeReplicas compares what a Deployment, its ReplicaSet and
// three Pods cost a Countersign that has just started with what one Pod does.
func BenchmarkDeploymentOfThreeReplicas(b *testing.B) {
	w := newTown(b)
	pinned := w.repository + ":v1@" + w.digest
	var requests [2]int64
	count := func(i int, run func(g gate)) func() {
		return func() {
			before := w.asked.Load()
			run(w.newGate(b))
			requests[i] += w.asked.Load() - before
		}
	}
	pod := func(g gate) {
		admit(b, g.pods, "", "Pod", w.repository+":v1")
		admit(b, g.images, "", "Pod", pinned)
	}
	ratio(b, "x-one-Pod",
		count(0, func(g gate) {
			admit(b, g.images, "apps", "Deployment", w.repository+":v1")
			admit(b, g.images, "apps", "ReplicaSet", w.repository+":v1")
			for range 3 {
				pod(g)
			}
		}),
		count(1, pod))
	b.ReportMetric(float64(requests[0])/float64(b.N), "registry-requests/ours")
	b.ReportMetric(float64(requests[1])/float64(b.N), "registry-requests/theirs")
}

// TestADeploymentOfThreeReplicasIsVerifiedOnce: beside what one Pod costs, each further object
// that names the tag costs one question, what it points to now. Nothing remembers
// that: a tag moves.
func TestADeploymentOfThreeReplicasIsVerifiedOnce(t *testing.T) {
	w := newTown(t)
	pinned := w.repository + ":v1@" + w.digest
	g := w.newGate(t)
	asked := func(admissions func()) int64 {
		before := w.asked.Load()
		admissions()
		return w.asked.Load() - before
	}
	first := asked(func() { admit(t, g.images, "apps", "Deployment", w.repository+":v1") })
	if first < 3 {
		t.Fatalf("%d requests for a verification", first)
	}
	for what, run := range map[string]func(){
		"its ReplicaSet": func() { admit(t, g.images, "apps", "ReplicaSet", w.repository+":v1") },
		"a Pod, to pin":  func() { admit(t, g.pods, "", "Pod", w.repository+":v1") },
	} {
		if got := asked(run); got != 1 {
			t.Errorf("%s: %d requests, want 1", what, got)
		}
	}
	if got := asked(func() { admit(t, g.images, "", "Pod", pinned) }); got != 0 {
		t.Errorf("a Pod that is pinned: %d requests, want none", got)
	}
}
