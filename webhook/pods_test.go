// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// pinTags adds a digest to each tag of corp.example, fails for those called
// gone, and leaves everything else.
type pinTags struct{}

func (pinTags) Pin(_ context.Context, _ policy.Origin, image string) (string, error) {
	switch {
	case strings.Contains(image, "gone"):
		return "", errors.New("no such tag")
	case strings.Contains(image, "panic"):
		panic("hostile bytes")
	case strings.HasPrefix(image, "corp.example/") && !strings.Contains(image, "@"):
		return image + pinned, nil
	default:
		return image, nil
	}
}

func TestPodsArePinned(t *testing.T) {
	for name, tt := range map[string]struct {
		request admissionv1.AdmissionRequest
		want    string
	}{
		"a tag is replaced by tag and digest": {
			request: create("", "Pod", pod(goodTag)),
			want:    `[{"op":"replace","path":"/spec/containers/0/image","value":"` + good + `"}]`,
		},
		"a pinned Pod is answered with no patch": {request: create("", "Pod", pod(good))},
		"only what a policy covers is touched": {
			request: create("", "Pod", pod("ghcr.io/org/app:1", goodTag)),
			want:    `[{"op":"replace","path":"/spec/containers/1/image","value":"` + good + `"}]`,
		},
		"an image volume is pinned": {
			request: create("", "Pod", `{"spec":{"volumes":[{"name":"v","image":{"reference":"`+goodTag+`"}}]}}`),
			want:    `[{"op":"replace","path":"/spec/volumes/0/image/reference","value":"` + good + `"}]`,
		},
		"an ephemeral container is pinned when it is added": {
			request: func() admissionv1.AdmissionRequest {
				req := update("", "Pod", pod(goodTag), `{"spec":{"containers":[{"name":"c0","image":"`+goodTag+`"}],"ephemeralContainers":[{"name":"debug","image":"corp.example/debug:1"}]}}`)
				req.SubResource = "ephemeralcontainers"
				return req
			}(),
			want: `[{"op":"replace","path":"/spec/ephemeralContainers/0/image","value":"corp.example/debug:1` + pinned + `"}]`,
		},
		"an old container is not restarted by an update of something else": {request: update("", "Pod", pod(goodTag), pod(goodTag))},
		"an image that cannot be resolved stays for the other webhook to refuse": {
			request: create("", "Pod", pod("corp.example/gone:1", goodTag)),
			want:    `[{"op":"replace","path":"/spec/containers/1/image","value":"` + good + `"}]`,
		},
		"an image whose resolution panics stays for the other webhook to refuse": {
			request: create("", "Pod", pod("corp.example/panic:1", goodTag)),
			want:    `[{"op":"replace","path":"/spec/containers/1/image","value":"` + good + `"}]`,
		},
		"a Deployment is left as its owner keeps it in git": {request: create("apps", "Deployment", deployment(goodTag))},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Pods{Extractor: image.NewExtractor(), Pinner: pinTags{}, Metrics: NewMetrics(nil), Log: logr.Discard()}
			got := send(t, h, tt.request)
			if !got.Allowed {
				t.Fatalf("refused: %+v", got.Result)
			}
			if diff := cmp.Diff(tt.want, string(got.Patch)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			if tt.want != "" && (got.PatchType == nil || *got.PatchType != admissionv1.PatchTypeJSONPatch || !json.Valid(got.Patch)) {
				t.Errorf("patch type = %v", got.PatchType)
			}
		})
	}
}

func TestAPodThatCannotBeReadIsNotMutated(t *testing.T) {
	h := &Pods{Extractor: image.NewExtractor(), Pinner: pinTags{}, Metrics: NewMetrics(nil), Log: logr.Discard()}
	for name, object := range map[string]string{
		"an image that is given twice":           `{"spec":{"containers":[{"name":"c","image":"a:1","image":"b:1"}]}}`,
		"a list of containers that is an object": `{"spec":{"containers":{"image":"a:1"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := send(t, h, create("", "Pod", object)); got.Allowed || got.Patch != nil {
				t.Errorf("allowed = %v with patch %s", got.Allowed, got.Patch)
			}
		})
	}
}

// countPins pins, and counts how often it is asked.
type countPins struct {
	pinTags
	asked *atomic.Int32
}

func (p countPins) Pin(ctx context.Context, origin policy.Origin, image string) (string, error) {
	p.asked.Add(1)
	return p.pinTags.Pin(ctx, origin, image)
}

func TestAnImageThatOccursOftenIsResolvedOnce(t *testing.T) {
	asked := new(atomic.Int32)
	images := make([]string, 200)
	for i := range images {
		images[i] = goodTag
	}
	h := &Pods{Extractor: image.NewExtractor(), Pinner: countPins{asked: asked}, Metrics: NewMetrics(nil), Log: logr.Discard()}
	got := send(t, h, create("", "Pod", pod(images...)))
	if patched := strings.Count(string(got.Patch), good); patched != len(images) || asked.Load() != 1 {
		t.Errorf("%d patches after %d questions, want 200 after 1", patched, asked.Load())
	}
}
