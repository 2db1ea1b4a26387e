// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

const (
	enforce = v1alpha1.ModeEnforce
	warn    = v1alpha1.ModeWarn
	audit   = v1alpha1.ModeAudit
)

// deciderFunc decides about each image on its own.
type deciderFunc func(ctx context.Context, image string) policy.Decision

func (f deciderFunc) EvaluateAll(ctx context.Context, _ policy.Origin, images []string) map[string]policy.Decision {
	decisions := map[string]policy.Decision{}
	for _, i := range images {
		decisions[i] = f(ctx, i)
	}
	return decisions
}

// verdicts decides with the verdict that the image's name asks for, under one
// policy for each mode: "corp.example/good:1" is verified, others are unsigned.
func verdicts(modes ...v1alpha1.Mode) deciderFunc {
	return func(_ context.Context, image string) policy.Decision {
		d := policy.Decision{Image: image, Digest: "sha256:" + strings.Repeat("1", 64), Pinned: strings.Contains(image, "@")}
		var verdict verify.Verdict = verify.Rejected{Reason: verify.NoSignature, Detail: "no signature was found"}
		if strings.Contains(image, "/good") {
			verdict = verify.Verified{Evidence: verify.Evidence{Format: "bundle", Signer: "key sha256:00"}}
		}
		for _, m := range modes {
			d.Policies = append(d.Policies, policy.PolicyResult{
				Policy: policy.ClusterPolicy("p-" + string(m)), Generation: 2, Mode: m, Threshold: 1, Verdict: verdict,
				Authorities: []policy.AuthorityResult{{Name: "release", Verdict: verdict}},
			})
		}
		return d
	}
}

func newImages(d Decider) *Images {
	custom, err := image.ShippedCustomKinds()
	if err != nil {
		panic(err)
	}
	return &Images{Extractor: image.NewExtractor(custom...), Decider: d, NoMatch: policy.NoMatchAllow, PinDigests: true, Metrics: NewMetrics(nil), Log: logr.Discard()}
}

// send sends a request to a handler as the API server does: an AdmissionReview
// in JSON over HTTP, with the timeout as a query parameter.
func send(t *testing.T, h admission.Handler, req admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	req.UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &req,
	})
	if err != nil {
		t.Fatal(err)
	}
	return post(t, h, body)
}

func post(t *testing.T, h admission.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/validate/images?timeout=10s", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	Handler(h, NewInFlight()).ServeHTTP(w, r)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil {
		t.Fatalf("answer is no AdmissionReview: %v: %.300s", err, w.Body)
	}
	return review.Response
}

// create is the request to create an object of that kind.
func create(group, kind, object string) admissionv1.AdmissionRequest {
	req := admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: "shop", Name: "api",
		Kind: metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind},
	}
	if object != "" {
		req.Object = runtime.RawExtension{Raw: []byte(object)}
	}
	return req
}

// update is the request to change an object of that kind.
func update(group, kind, before, after string) admissionv1.AdmissionRequest {
	req := create(group, kind, after)
	req.Operation = admissionv1.Update
	if before != "" {
		req.OldObject = runtime.RawExtension{Raw: []byte(before)}
	}
	return req
}

// pod is a Pod with one container for each image, named c0, c1, ….
func pod(images ...string) string {
	return podWith("containers", images...)
}

func podWith(list string, images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q}`, i, image))
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api"},"spec":{%q:[%s]}}`, list, strings.Join(containers, ","))
}

func deployment(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q}`, i, image))
	}
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api"},"spec":{"template":{"spec":{"containers":[%s]}}}}`,
		strings.Join(containers, ","))
}

const (
	pinned   = "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	good     = "corp.example/good:1" + pinned
	bad      = "corp.example/bad:1"
	goodTag  = "corp.example/good:1"
	otherBad = "corp.example/bad:2"
)
