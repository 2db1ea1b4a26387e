// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
	"github.com/countersign-dev/countersign/policy"
)

// shelf is a registry that holds one tag, its digest and its signatures, and
// knows them from then on.
type shelf struct {
	digest     string
	signatures []verify.Signature
	asked      int
}

func (s *shelf) Resolve(context.Context, image.Reference) (string, error) {
	s.asked++
	return s.digest, nil
}

func (s *shelf) Signatures(context.Context, image.Reference, string, registry.Source) ([]verify.Signature, error) {
	s.asked++
	return s.signatures, nil
}

func (s *shelf) CachedSignatures(image.Reference, string, registry.Source) ([]verify.Signature, bool) {
	return s.signatures, s.asked > 0
}

func (s *shelf) Attestations(context.Context, image.Reference, string, registry.Source) ([]verify.Signature, error) {
	return nil, nil
}

func (s *shelf) CachedAttestations(image.Reference, string, registry.Source) ([]verify.Signature, bool) {
	return nil, false
}

// TestAPodThroughBothWebhooks takes a Pod the way of a request: pinned by one
// handler, judged by the other, with real signatures and a log that is asked.
func TestAPodThroughBothWebhooks(t *testing.T) {
	signer, log := verifytest.NewSigner(), tlogtest.New("rekor.corp.example")
	log.Grow(5)
	digest := strings.TrimPrefix(pinned, "@")
	source := &shelf{digest: digest, signatures: []verify.Signature{
		signer.LoggedLegacy(log, verifytest.SimpleSigning("corp.example/good", digest)),
	}}
	server := tlogtest.NewServer(log)
	defer server.Close()
	evaluator := policy.NewEvaluator(policy.Options{Policies: policy.NewSet(compiled(t, signer, log, server.URL)), Registry: source})

	pods := &Pods{Extractor: image.NewExtractor(), Pinner: evaluator, Metrics: NewMetrics(nil), Log: logr.Discard()}
	patched := send(t, pods, create("", "Pod", pod(goodTag)))
	if want := `[{"op":"replace","path":"/spec/containers/0/image","value":"` + good + `"}]`; string(patched.Patch) != want {
		t.Fatalf("patch = %s, want %s", patched.Patch, want)
	}
	images := newImages(evaluator)
	answer := send(t, images, create("", "Pod", pod(good)))
	if !answer.Allowed {
		t.Fatalf("refused: %s", answer.Result.Message)
	}
	var record auditedImage
	if err := json.Unmarshal([]byte(answer.AuditAnnotations["image-0"]), &record); err != nil {
		t.Fatal(err)
	}
	want := auditedImage{Image: good, Digest: digest, Policies: []auditedPolicy{{
		Policy: "payments@4", Mode: "enforce", Outcome: "Verified", Format: "legacy", Signer: record.Policies[0].Signer,
		Logs: []auditedLog{{Origin: log.Origin(), Index: 5, Size: 6, Root: hex.EncodeToString(log.Root(6))}},
	}}}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("audit record (-want +got):\n%s", diff)
	}

	askedRegistry, askedLog := source.asked, server.Requests.Load()
	if again := send(t, images, create("", "Pod", pod(good))); !again.Allowed {
		t.Errorf("the second Pod was refused: %s", again.Result.Message)
	}
	if source.asked != askedRegistry || server.Requests.Load() != askedLog {
		t.Errorf("the second Pod asked the registry %d times and the log %d times", source.asked-askedRegistry, server.Requests.Load()-askedLog)
	}

	if unpinnedPod := send(t, images, create("", "Pod", pod(goodTag))); unpinnedPod.Allowed || !strings.Contains(unpinnedPod.Result.Message, "DigestRequired") {
		t.Errorf("a Pod that was not pinned: allowed = %v: %s", unpinnedPod.Allowed, unpinnedPod.Result.Message)
	}
}

// stalled is a registry that never answers.
type stalled struct{ shelf }

func (*stalled) Resolve(ctx context.Context, _ image.Reference) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestARegistryThatStallsIsAnsweredForInTime(t *testing.T) {
	signer, log := verifytest.NewSigner(), tlogtest.New("rekor.corp.example")
	set := policy.NewSet(compiled(t, signer, log, "http://127.0.0.1:1"))
	synctest.Test(t, func(t *testing.T) {
		evaluator := policy.NewEvaluator(policy.Options{Policies: set, Registry: &stalled{}})
		for name, h := range map[string]admission.Handler{
			"images": newImages(evaluator),
			"pods":   &Pods{Extractor: image.NewExtractor(), Pinner: evaluator, Metrics: NewMetrics(nil), Log: logr.Discard()},
		} {
			start := time.Now()
			answer := send(t, h, create("", "Pod", pod(goodTag)))
			if took := time.Since(start); took != 9*time.Second {
				t.Errorf("%s: it took %s, want 9s of the caller's 10s", name, took)
			}
			switch {
			case name == "pods" && (!answer.Allowed || answer.Patch != nil):
				t.Errorf("pods: allowed = %v with patch %s, want the Pod left as it is", answer.Allowed, answer.Patch)
			case name == "images" && (answer.Allowed || !strings.Contains(answer.Result.Message, "DeadlineExceeded")):
				t.Errorf("images: allowed = %v: %s", answer.Allowed, answer.Result.Message)
			}
		}
	})
}

// compiled is the policy payments: corp.example, one key, one log.
func compiled(t *testing.T, signer *verifytest.Signer, log *tlogtest.Log, url string) *policy.Policy {
	t.Helper()
	key, err := cryptoutils.MarshalPublicKeyToPEM(log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	isDefault := true
	logs := []v1alpha1.TransparencyLog{{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{url}, Origin: log.Hostname, Default: &isDefault,
			PublicKey: v1alpha1.LogPublicKey{Data: string(key)},
		},
	}}
	obj := &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "payments", Generation: 4},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images:      []v1alpha1.ImagePattern{{Glob: "corp.example/**"}},
			Authorities: []v1alpha1.Authority{{Name: "release", Key: &v1alpha1.KeyAuthority{Data: string(signer.PEM())}}},
		},
	}
	obj.SetDefaults()
	p := policy.Compile(t.Context(), obj, policy.Trust{Logs: trust.LogsFromObjects(t.Context(), logs, trust.Secrets{}), Secrets: trust.Secrets{}})
	for _, problem := range p.Problems() {
		t.Fatalf("%s: %v", problem.Path, problem.Err)
	}
	return p
}
