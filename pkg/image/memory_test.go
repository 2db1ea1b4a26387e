// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"runtime"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestAnObjectIsReadInMemoryProportionalToItsLength: a JSON element of three
// bytes, decoded into the types of k8s.io/api, takes hundreds.
func TestAnObjectIsReadInMemoryProportionalToItsLength(t *testing.T) {
	const size = 1 << 20
	empty := func() string { return list(size/3, "{}") }
	cronJob := schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}
	for name, tt := range map[string]struct {
		gvk schema.GroupVersionKind
		raw string
	}{
		"a Pod of empty containers":      {pod, `{"spec":{"containers":` + empty() + `}}`},
		"a Pod of empty volumes":         {pod, `{"spec":{"volumes":` + empty() + `}}`},
		"a Pod of empty tolerations":     {pod, `{"spec":{"containers":[{"image":"a"}],"tolerations":` + empty() + `}}`},
		"a container of empty variables": {pod, `{"spec":{"containers":[{"image":"a","env":` + empty() + `}]}}`},
		"an image that is very long":     {pod, `{"spec":{"containers":[{"image":"` + strings.Repeat("a", size) + `"}]}}`},
		"a Pod with many labels":         {pod, `{"metadata":{"labels":{` + strings.TrimSuffix(strings.Repeat(`"a":"",`, size/7), ",") + `}}}`},
		"a CronJob of empty containers":  {cronJob, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":` + empty() + `}}}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(tt.raw)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found, err := NewExtractor().Extract(tt.gvk, raw)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8*uint64(len(raw)) {
				t.Errorf("%d MiB were allocated for %d MiB (%d images, %v)", allocated>>20, len(raw)>>20, len(found), err)
			}
		})
	}
}
