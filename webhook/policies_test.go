// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// unlisted is a Reader that can list nothing.
type unlisted struct{ client.Reader }

func (unlisted) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("no API server")
}

func TestPoliciesThatCannotWorkAreRefused(t *testing.T) {
	object := func(spec string) string {
		return `{"apiVersion":"policy.countersign.dev/v1alpha1","kind":"ClusterImagePolicy","metadata":{"name":"p"},"spec":` + spec + `}`
	}
	static := object(`{"images":[{"glob":"corp.example/**"}],"authorities":[{"name":"a","static":{"action":"fail"}}]}`)
	brokenKey := object(`{"images":[{"glob":"corp.example/**"}],"authorities":[{"name":"a","key":{"data":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}}]}`)
	brokenGlob := object(`{"images":[{"glob":"corp.example/**"},{"glob":"https://corp.example/**"}],"authorities":[{"name":"a","static":{"action":"fail"}}]}`)
	kind := func(req admissionv1.AdmissionRequest) admissionv1.AdmissionRequest {
		req.Name, req.Namespace = "p", ""
		req.Kind = metav1.GroupVersionKind{Group: v1alpha1.GroupName, Version: "v1alpha1", Kind: "ClusterImagePolicy"}
		return req
	}
	for name, tt := range map[string]struct {
		request admissionv1.AdmissionRequest
		code    int32
		fields  []string
	}{
		"a good policy":                                   {request: kind(create("", "", static)), code: http.StatusOK},
		"a policy with a broken key":                      {request: kind(create("", "", brokenKey)), code: http.StatusUnprocessableEntity, fields: []string{"spec.authorities[0].key.data"}},
		"a policy with a broken glob":                     {request: kind(create("", "", brokenGlob)), code: http.StatusUnprocessableEntity, fields: []string{"spec.images[1].glob"}},
		"an update that breaks a policy":                  {request: kind(update("", "", static, brokenKey)), code: http.StatusUnprocessableEntity, fields: []string{"spec.authorities[0].key.data"}},
		"an update that leaves a broken policy as it was": {request: kind(update("", "", brokenKey, strings.Replace(brokenKey, `"name":"p"`, `"name":"p","finalizers":[]`, 1))), code: http.StatusOK},
		"an object that cannot be read":                   {request: kind(create("", "", object(`{"images":7}`))), code: http.StatusUnprocessableEntity, fields: []string{"spec", "spec.images", "spec.authorities"}},
		"a requirement that is misspelt": {
			request: kind(create("", "", strings.Replace(static, `"name":"a"`, `"name":"a","atestations":[]`, 1))), code: http.StatusUnprocessableEntity,
			fields: []string{"spec.authorities[0].atestations"},
		},
		"a requirement in another case": {
			request: kind(create("", "", strings.Replace(static, `"authorities"`, `"Threshold":2,"authorities"`, 1))), code: http.StatusUnprocessableEntity,
			fields: []string{"spec.Threshold"},
		},
		"an update that adds a misspelt requirement alone": {
			request: kind(update("", "", static, strings.Replace(static, `"authorities"`, `"treshold":2,"authorities"`, 1))), code: http.StatusUnprocessableEntity,
			fields: []string{"spec.treshold"},
		},
		"a field beside the specification": {
			request: kind(create("", "", strings.Replace(static, `"spec"`, `"requirements":[],"spec"`, 1))), code: http.StatusUnprocessableEntity, fields: []string{"requirements"},
		},
		"a kind that is not ours": {request: create("", "Pod", pod(good)), code: http.StatusBadRequest},
		"a log with a broken key": {
			request: func() admissionv1.AdmissionRequest {
				req := kind(create("", "", `{"spec":{"type":"rekor-v1","urls":["https://rekor.corp.example"],"origin":"rekor.corp.example","publicKey":{"data":"nonsense"}}}`))
				req.Kind.Kind = "TransparencyLog"
				return req
			}(),
			code: http.StatusUnprocessableEntity, fields: []string{"spec.publicKey.data"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Policies{Reader: unlisted{}, Live: unlisted{}, Metrics: NewMetrics(nil), Log: logr.Discard()}
			got := send(t, h, tt.request)
			if got.Result.Code != tt.code || got.Allowed != (tt.code == http.StatusOK) {
				t.Fatalf("allowed = %v with code %d, want %d: %s", got.Allowed, got.Result.Code, tt.code, got.Result.Message)
			}
			var fields []string
			if got.Result.Details != nil {
				for _, cause := range got.Result.Details.Causes {
					fields = append(fields, cause.Field)
				}
			}
			if diff := cmp.Diff(tt.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAResetSaysWhoWritesIt: whose name stands in it, and what is stored, is asked where it is
// written.
func TestAResetSaysWhoWritesIt(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	root, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	base := v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"https://rekor.test"}, Origin: "rekor.test",
			PublicKey: v1alpha1.LogPublicKey{Data: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		},
		Status: v1alpha1.TransparencyLogStatus{Checkpoint: &v1alpha1.LogCheckpoint{Origin: "rekor.test - 1", Size: 9, RootHash: root, Note: "note"}},
	}
	reset := v1alpha1.LogReset{
		Origin: "rekor.test - 1", Stored: v1alpha1.LogPin{Size: 9, RootHash: root}, Accepted: v1alpha1.LogPin{Size: 7, RootHash: other},
		RequestedBy: "alice", Reason: "backup",
	}
	for name, tc := range map[string]struct {
		user   string
		create bool
		edit   func(before, now *v1alpha1.TransparencyLog)
		fields []string
	}{
		"one's own":              {user: "alice"},
		"in another's name":      {user: "mallory", fields: []string{"spec.reset.requestedBy"}},
		"in nobody's name":       {user: "", edit: func(_, now *v1alpha1.TransparencyLog) { now.Spec.Reset.RequestedBy = "" }, fields: []string{"spec.reset.requestedBy"}},
		"without a reason":       {user: "alice", edit: func(_, now *v1alpha1.TransparencyLog) { now.Spec.Reset.Reason = "" }, fields: []string{"spec.reset.reason"}},
		"of what is not stored":  {user: "alice", edit: func(_, now *v1alpha1.TransparencyLog) { now.Spec.Reset.Stored.Size = 8 }, fields: []string{"spec.reset"}},
		"of another log's tree":  {user: "alice", edit: func(_, now *v1alpha1.TransparencyLog) { now.Spec.Reset.Origin = "rekor.test.evil - 1" }, fields: []string{"spec.reset.origin", "spec.reset"}},
		"to a root that is none": {user: "alice", edit: func(_, now *v1alpha1.TransparencyLog) { now.Spec.Reset.Accepted.RootHash = "B" }, fields: []string{"spec.reset.accepted.rootHash"}},
		"with a new object":      {user: "mallory", create: true},
		"that was there before": {user: "mallory", edit: func(before, now *v1alpha1.TransparencyLog) {
			before.Spec.Reset = now.Spec.Reset.DeepCopy()
			yes := true
			now.Spec.Default = &yes
		}},
		"that was carried out, and is back": {user: "mallory", edit: func(before, now *v1alpha1.TransparencyLog) {
			before.Status.Checkpoint.Size = 20
			before.Status.LastReset = &v1alpha1.LogResetRecord{Reset: *now.Spec.Reset.DeepCopy()}
		}},
		"in the name of who wrote the last": {user: "mallory", edit: func(before, now *v1alpha1.TransparencyLog) {
			before.Spec.Reset = now.Spec.Reset.DeepCopy()
			now.Spec.Reset.Accepted.Size = 6
		}, fields: []string{"spec.reset.requestedBy"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := base.DeepCopy(), base.DeepCopy()
			now.Spec.Reset = reset.DeepCopy()
			if tc.edit != nil {
				tc.edit(before, now)
			}
			req := update("", "", string(marshal(t, before)), string(marshal(t, now)))
			if tc.create {
				req = create("", "", string(marshal(t, now)))
			}
			req.Name, req.Namespace, req.UserInfo.Username = "corp", "", tc.user
			req.Kind = metav1.GroupVersionKind{Group: v1alpha1.GroupName, Version: "v1alpha1", Kind: "TransparencyLog"}
			got := send(t, &Policies{Reader: unlisted{}, Metrics: NewMetrics(nil), Log: logr.Discard()}, req)
			var fields []string
			if got.Result.Details != nil {
				for _, cause := range got.Result.Details.Causes {
					fields = append(fields, cause.Field)
				}
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" || got.Allowed != (tc.fields == nil) {
				t.Errorf("allowed = %t, fields (-want +got):\n%s%s", got.Allowed, diff, got.Result.Message)
			}
		})
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
