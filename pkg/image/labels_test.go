// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestLabelsAreThoseOfThePods(t *testing.T) {
	shipped, err := ShippedCustomKinds()
	if err != nil {
		t.Fatal(err)
	}
	x := NewExtractor(shipped...)
	kind := func(group, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
	}
	experiment := schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Experiment"}
	for name, tt := range map[string]struct {
		gvk  schema.GroupVersionKind
		raw  string
		want []map[string]string
	}{
		"a Pod":                       {pod, `{"metadata":{"name":"p","labels":{"app":"shop","tier":""}},"spec":{"containers":[]}}`, []map[string]string{{"app": "shop", "tier": ""}}},
		"a Pod without labels":        {pod, `{"metadata":{"name":"p"},"spec":{}}`, []map[string]string{nil}},
		"a Pod whose labels are null": {pod, `{"metadata":{"labels":null}}`, []map[string]string{{}}},
		"a Deployment has those of its template": {
			kind("apps", "Deployment"), `{"metadata":{"labels":{"app":"evil"}},"spec":{"template":{"metadata":{"labels":{"app":"shop"}},"spec":{}}}}`,
			[]map[string]string{{"app": "shop"}},
		},
		"a template without labels has none, whatever the Deployment has": {
			kind("apps", "Deployment"), `{"metadata":{"labels":{"app":"evil"}},"spec":{"template":{"spec":{}}}}`, []map[string]string{nil},
		},
		"a Deployment without a template": {kind("apps", "Deployment"), `{"metadata":{"labels":{"app":"evil"}}}`, []map[string]string{nil}},
		"a CronJob": {
			kind("batch", "CronJob"), `{"spec":{"jobTemplate":{"metadata":{"labels":{"app":"evil"}},"spec":{"template":{"metadata":{"labels":{"app":"shop"}}}}}}}`,
			[]map[string]string{{"app": "shop"}},
		},
		"a custom resource with several templates": {
			experiment, `{"spec":{"templates":[{"template":{"metadata":{"labels":{"app":"a"}}}},{"template":{"spec":{}}}]}}`,
			[]map[string]string{{"app": "a"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := x.Labels(tt.gvk, []byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLabelsOfAnObjectAreItsOwn(t *testing.T) {
	deployment := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	for raw, want := range map[string]map[string]string{
		`{"metadata":{"labels":{"app":"web"}},"spec":{"template":{"metadata":{"labels":{"app":"shop"}}}}}`: {"app": "web"},
		`{"spec":{"template":{"metadata":{"labels":{"app":"shop"}}}}}`:                                     nil,
		`{"metadata":null}`: nil,
		`{}`:                nil,
	} {
		got, err := NewExtractor().ObjectLabels(deployment, []byte(raw))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", raw, err, diff)
		}
	}
}

func TestLabelsThatCannotBeReadAreAnError(t *testing.T) {
	var many []string
	for i := range maxLabels + 1 {
		many = append(many, fmt.Sprintf(`"l%d":""`, i))
	}
	for name, raw := range map[string]string{
		"a number":              `{"metadata":{"labels":{"app":7}}}`,
		"a list":                `{"metadata":{"labels":[]}}`,
		"metadata that is text": `{"metadata":"x"}`,
		"a label twice":         `{"metadata":{"labels":{"app":"a","app":"b"}}}`,
		"labels twice":          `{"metadata":{"labels":{"app":"a"},"labels":{"app":"b"}}}`,
		"metadata twice":        `{"metadata":{"labels":{"app":"a"}},"metadata":{}}`,
		"too many":              `{"metadata":{"labels":{` + strings.Join(many, ",") + `}}}`,
		"one that is too long":  `{"metadata":{"labels":{"a":"` + strings.Repeat("x", 400) + `"}}}`,
		"another kind":          `{"kind":"Deployment","metadata":{"labels":{"app":"a"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := NewExtractor().Labels(pod, []byte(raw)); err == nil {
				t.Errorf("got %v", got)
			}
			if got, err := NewExtractor().ObjectLabels(pod, []byte(raw)); err == nil {
				t.Errorf("of the object: got %v", got)
			}
		})
	}
}

func TestLabelsTakeMemoryProportionalToTheObject(t *testing.T) {
	raw := []byte(`{"metadata":{"labels":{` + strings.TrimSuffix(strings.Repeat(`"a":"",`, 1<<17), ",") + `},"annotations":{"a":"` + strings.Repeat("x", 1<<20) + `"}}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewExtractor().Labels(pod, raw)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8*uint64(len(raw)) {
		t.Errorf("%d MiB were allocated for %d MiB (%v)", allocated>>20, len(raw)>>20, err)
	}
}
