// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	pod        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	deployment = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
)

const fullSpec = `{
	"initContainers": [{"name": "i", "image": "init:1"}],
	"containers": [{"name": "c", "image": "main:1"}, {"name": "d", "image": "side:1"}],
	"ephemeralContainers": [{"name": "e", "image": "debug:1", "targetContainerName": "c"}],
	"volumes": [{"name": "plain", "emptyDir": {}}, {"name": "v", "image": {"reference": "data:1", "pullPolicy": "Always"}}, {"name": "block", "rbd": {"image": "no-container", "monitors": []}}]
}`

func TestExtractFindsEveryImageOfEveryKind(t *testing.T) {
	shapes := map[string]string{
		"Pod":                   `{"spec": %s}`,
		"PodTemplate":           `{"template": {"spec": %s}}`,
		"ReplicationController": `{"spec": {"template": {"spec": %s}}}`,
		"ReplicaSet":            `{"spec": {"template": {"spec": %s}}}`,
		"Deployment":            `{"spec": {"template": {"spec": %s}}}`,
		"StatefulSet":           `{"spec": {"template": {"spec": %s}}}`,
		"DaemonSet":             `{"spec": {"template": {"spec": %s}}}`,
		"Job":                   `{"spec": {"template": {"spec": %s}}}`,
		"CronJob":               `{"spec": {"jobTemplate": {"spec": {"template": {"spec": %s}}}}}`,
	}
	for _, kind := range Kinds() {
		t.Run(kind.Kind, func(t *testing.T) {
			raw := fmt.Sprintf(shapes[kind.Kind], fullSpec)
			got, err := NewExtractor().Extract(kind.GroupVersionKind, []byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			var images []string
			var document any
			if err := json.Unmarshal([]byte(raw), &document); err != nil {
				t.Fatal(err)
			}
			for _, o := range got {
				images = append(images, o.Container+"="+o.Image)
				if found := resolve(t, document, o.Pointer); found != o.Image {
					t.Errorf("pointer %s leads to %q, want %q", o.Pointer, found, o.Image)
				}
			}
			if diff := cmp.Diff([]string{"i=init:1", "c=main:1", "d=side:1", "e=debug:1", "v=data:1"}, images); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// resolve follows a JSON pointer (without escapes).
func resolve(t *testing.T, document any, pointer string) string {
	t.Helper()
	for _, segment := range strings.Split(pointer, "/")[1:] {
		switch value := document.(type) {
		case map[string]any:
			document = value[segment]
		case []any:
			var index int
			if _, err := fmt.Sscanf(segment, "%d", &index); err != nil || index >= len(value) {
				t.Fatalf("pointer %s: no element %s", pointer, segment)
			}
			document = value[index]
		default:
			t.Fatalf("pointer %s: nothing at %s", pointer, segment)
		}
	}
	text, _ := document.(string)
	return text
}

func TestExtractNamesThePlace(t *testing.T) {
	got, err := NewExtractor().Extract(pod, []byte(`{"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "x"}, {"name": "v", "image": {"reference": "data:1"}}], "containers": [{"name": "c", "image": "a"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Occurrence{
		{Path: "spec.volumes[1].image.reference", Pointer: "/spec/volumes/1/image/reference", Container: "v", Slot: "/spec/volumes v", Image: "data:1"},
		{Path: "spec.containers[0].image", Pointer: "/spec/containers/0/image", Container: "c", Slot: "/spec/containers c", Image: "a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExtractReadsAsTheAPIServerDoes(t *testing.T) {
	cases := map[string]struct {
		gvk  schema.GroupVersionKind
		raw  string
		want []string
	}{
		"a key in another case is not the field":                    {pod, `{"spec": {"containers": [{"image": "real", "Image": "decoy", "IMAGE": "decoy"}], "Containers": [{"image": "decoy"}]}}`, []string{"real"}},
		"an unknown field is dropped":                               {pod, `{"spec": {"future": [{"image": "x"}], "containers": [{"image": "a"}]}}`, []string{"a"}},
		"an object without spec has no image":                       {pod, `{}`, nil},
		"a null template has no image":                              {schema.GroupVersionKind{Version: "v1", Kind: "ReplicationController"}, `{"spec": {"template": null}}`, nil},
		"an empty image of a Pod is kept, to be refused":            {pod, `{"spec": {"containers": [{"name": "c"}]}}`, []string{""}},
		"an empty image of a workload is for a higher level to set": {deployment, `{"spec": {"template": {"spec": {"containers": [{"name": "c"}], "volumes": [{"image": {}}]}}}}`, nil},
		"white space is kept for the parser to refuse":              {pod, `{"spec": {"containers": [{"image": " nginx"}]}}`, []string{" nginx"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := NewExtractor().Extract(tc.gvk, []byte(tc.raw))
			if err != nil {
				t.Fatal(err)
			}
			var images []string
			for _, o := range got {
				images = append(images, o.Image)
			}
			if diff := cmp.Diff(tc.want, images); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestExtractRefuses(t *testing.T) {
	cases := map[string]struct {
		gvk          schema.GroupVersionKind
		raw, problem string
	}{
		"a kind that it does not know":           {schema.GroupVersionKind{Group: "x.example", Version: "v1", Kind: "Foo"}, `{}`, "does not know where"},
		"another version of a kind":              {schema.GroupVersionKind{Group: "apps", Version: "v1beta1", Kind: "Deployment"}, `{}`, "does not know where"},
		"no object at all":                       {pod, ``, "not a JSON object"},
		"null":                                   {pod, ` null`, "not a JSON object"},
		"a list":                                 {pod, `[]`, "not a JSON object"},
		"broken JSON":                            {pod, `{"spec": {`, "unexpected end"},
		"two objects":                            {pod, `{} {}`, "after top-level value"},
		"a field of another type":                {pod, `{"spec": {"containers": "x"}}`, "spec.containers is not a list"},
		"a template of another type":             {deployment, `{"spec": {"template": []}}`, "spec.template is not an object"},
		"a template given twice":                 {deployment, `{"spec": {"template": {}, "template": {}}}`, `duplicate field "spec.template"`},
		"an image that is no text":               {pod, `{"spec": {"containers": [{"image": 1}]}}`, "cannot unmarshal"},
		"an image given twice":                   {pod, `{"spec": {"containers": [{"image": "good", "image": "evil"}]}}`, "duplicate field"},
		"a list of containers given twice":       {pod, `{"spec": {"containers": [{"image": "good"}], "containers": [{"image": "evil"}]}}`, "duplicate field"},
		"an object that says it is another kind": {pod, `{"kind": "Deployment", "spec": {}}`, `kind is "Deployment", not "Pod"`},
		"an object of another version":           {deployment, `{"apiVersion": "apps/v1beta1", "spec": {}}`, `apiVersion is "apps/v1beta1", not "apps/v1"`},
		"a kind that is no text":                 {pod, `{"kind": 1}`, "kind is not a string"},
		"more images than it reads": {pod, `{"spec": {"containers": ` + list(MaxOccurrences+1, `{"image":"a"}`) + `}}`,
			"more than 256 images"},
		"more images than it reads in several lists": {pod, `{"spec": {"containers": ` + list(MaxOccurrences, `{"image":"a"}`) + `,"volumes": ` + list(1, `{"image":{"reference":"a"}}`) + `}}`,
			"more than 256 images"},
		"a list that names no image and does not end": {deployment, `{"spec": {"template": {"spec": {"volumes": ` + list(maxElements+1, `{}`) + `}}}}`,
			"spec.template.spec.volumes has more than 1024 elements"},
		"an image volume's reference given twice": {pod, `{"spec": {"volumes": [{"image": {"reference": "good", "reference": "evil"}}]}}`, "duplicate field"},
		"a spec given twice":                      {pod, `{"spec": {"containers": [{"image": "good"}]}, "spec": {}}`, "duplicate field"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := NewExtractor().Extract(tc.gvk, []byte(tc.raw))
			if err == nil {
				t.Fatalf("accepted: %v", got)
			}
			if !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("error %q does not say %q", err, tc.problem)
			}
		})
	}
}

func TestKindsAreACopy(t *testing.T) {
	Kinds()[0].Resource = "changed"
	if slices.ContainsFunc(Kinds(), func(k Kind) bool { return k.Resource == "changed" }) {
		t.Error("a caller can change the kinds")
	}
}

// list is a JSON list of n times the same element.
func list(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}
