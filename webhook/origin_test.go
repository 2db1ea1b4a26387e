// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// askedFrom takes down the origins that it is asked about.
type askedFrom struct {
	deciderFunc
	pinTags
	origins []policy.Origin
}

func (a *askedFrom) EvaluateAll(ctx context.Context, origin policy.Origin, images []string) map[string]policy.Decision {
	a.origins = append(a.origins, origin)
	return a.deciderFunc.EvaluateAll(ctx, origin, images)
}

func (a *askedFrom) Pin(ctx context.Context, origin policy.Origin, image string) (string, error) {
	a.origins = append(a.origins, origin)
	return a.pinTags.Pin(ctx, origin, image)
}

// TestBothWebhooksAskFromTheSameOrigin: the namespace is that of the request, whatever the
// object says of itself; the pull secrets are what it says.
func TestBothWebhooksAskFromTheSameOrigin(t *testing.T) {
	request := create("", "Pod", `{"metadata":{"namespace":"evil","labels":{"app":"shop"}},"spec":{"imagePullSecrets":[{"name":"pull"}],"containers":[{"name":"c","image":"`+goodTag+`"}]}}`)
	request.Namespace, request.Resource = "shop", metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	asked := &askedFrom{deciderFunc: verdicts(enforce)}
	send(t, &Pods{Extractor: image.NewExtractor(), Pinner: asked, Metrics: NewMetrics(nil), Log: logr.Discard()}, request)
	send(t, newImages(asked), request)
	if len(asked.origins) != 2 {
		t.Fatalf("asked from %d origins, want 2", len(asked.origins))
	}
	for _, origin := range asked.origins {
		labels, err := origin.Labels()
		if origin.Namespace != "shop" || origin.Resource != (schema.GroupVersionResource{Version: "v1", Resource: "pods"}) ||
			!cmp.Equal(origin.Pull, image.PullNames{Secrets: []string{"pull"}}) || err != nil || !cmp.Equal(labels, []map[string]string{{"app": "shop"}}) {
			t.Errorf("origin = %+v with labels %v, %v", origin, labels, err)
		}
	}
}
