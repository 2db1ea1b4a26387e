// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func shipped(t *testing.T) *Extractor {
	t.Helper()
	kinds, err := ShippedCustomKinds()
	if err != nil {
		t.Fatal(err)
	}
	return NewExtractor(kinds...)
}

// found is what an extractor finds: path=image.
func found(occurrences []Occurrence) []string {
	var all []string
	for _, o := range occurrences {
		all = append(all, o.Path+"="+o.Image)
	}
	return all
}

func TestImagesOfCustomResourcesThatAreShipped(t *testing.T) {
	x := shipped(t)
	for name, tt := range map[string]struct {
		gvk  string
		raw  string
		want []string
	}{
		"an Argo Rollout": {
			"argoproj.io/v1alpha1/Rollout", `{"spec":{"replicas":3,"template":{"spec":` + fullSpec + `}}}`,
			[]string{
				"spec.template.spec.initContainers[0].image=init:1", "spec.template.spec.containers[0].image=main:1", "spec.template.spec.containers[1].image=side:1",
				"spec.template.spec.ephemeralContainers[0].image=debug:1", "spec.template.spec.volumes[1].image.reference=data:1",
			},
		},
		"an Argo Rollout that takes its template from a Deployment": {"argoproj.io/v1alpha1/Rollout", `{"spec":{"workloadRef":{"kind":"Deployment","name":"x"}}}`, nil},
		"an Argo Experiment of several templates": {
			"argoproj.io/v1alpha1/Experiment", `{"spec":{"templates":[{"name":"a","template":{"spec":{"containers":[{"image":"a:1"}]}}},{},{"template":{"spec":{"containers":[{"image":"b:1"}]}}}]}}`,
			[]string{"spec.templates[0].template.spec.containers[0].image=a:1", "spec.templates[2].template.spec.containers[0].image=b:1"},
		},
		"a Knative Service": {"serving.knative.dev/v1/Service", `{"spec":{"template":{"spec":{"containers":[{"image":"a:1"}]}}}}`, []string{"spec.template.spec.containers[0].image=a:1"}},
		"a Knative Configuration": {
			"serving.knative.dev/v1/Configuration", `{"spec":{"template":{"spec":{"containers":[{"image":"a:1"}]}}}}`, []string{"spec.template.spec.containers[0].image=a:1"},
		},
		"a Knative Revision": {"serving.knative.dev/v1/Revision", `{"spec":{"containers":[{"image":"a:1"}]}}`, []string{"spec.containers[0].image=a:1"}},
		"a virtual machine": {
			"kubevirt.io/v1/VirtualMachine",
			`{"spec":{"template":{"spec":{"volumes":[{"name":"c","cloudInitNoCloud":{}},{"name":"d","containerDisk":{"image":"disk:1"}}],"domain":{"firmware":{"kernelBoot":{"container":{"image":"kernel:1"}}}}}}}}`,
			[]string{"spec.template.spec.volumes[1].containerDisk.image=disk:1", "spec.template.spec.domain.firmware.kernelBoot.container.image=kernel:1"},
		},
		"a virtual machine's instance": {
			"kubevirt.io/v1/VirtualMachineInstance", `{"spec":{"volumes":[{"name":"d","containerDisk":{"image":"disk:1"}}]}}`, []string{"spec.volumes[0].containerDisk.image=disk:1"},
		},
		"virtual machines by the number": {
			"kubevirt.io/v1/VirtualMachineInstanceReplicaSet", `{"spec":{"template":{"spec":{"volumes":[{"containerDisk":{"image":"disk:1"}}]}}}}`,
			[]string{"spec.template.spec.volumes[0].containerDisk.image=disk:1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := x.Extract(parseKind(t, tt.gvk), []byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, found(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func parseKind(t *testing.T, text string) schema.GroupVersionKind {
	t.Helper()
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		t.Fatalf("%q is not group/version/kind", text)
	}
	return schema.GroupVersionKind{Group: parts[0], Version: parts[1], Kind: parts[2]}
}

var widget = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}

// widgets reads Widgets at the given paths.
func widgets(t *testing.T, podSpecs, images string) *Extractor {
	t.Helper()
	kinds, err := ParseCustomKinds([]byte(widgetFile(podSpecs, images)))
	if err != nil {
		t.Fatal(err)
	}
	return NewExtractor(kinds...)
}

func widgetFile(podSpecs, images string) string {
	return fmt.Sprintf("apiVersion: config.countersign.dev/v1alpha1\nkind: ImageExtractors\nextractors:\n- {group: example.com, versions: [v1], kind: Widget, podSpecs: [%s], images: [%s]}\n", podSpecs, images)
}

// TestWhatACustomResourceHoldsIsReadOrRefused: what is absent names no image; what
// is there and is no image is not passed over.
func TestWhatACustomResourceHoldsIsReadOrRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		podSpecs, images, raw string
		want                  []string
		err                   string
	}{
		"a field that is missing":                     {images: ".spec.image", raw: `{"spec":{}}`},
		"a field that is null":                        {images: ".spec.image", raw: `{"spec":{"image":null}}`},
		"nothing on the way":                          {images: ".spec.a.b.image", raw: `{}`},
		"null on the way":                             {images: ".spec.a.b.image", raw: `{"spec":{"a":null}}`},
		"an image that is empty names nothing":        {images: ".spec.image", raw: `{"spec":{"image":""}}`},
		"an image":                                    {images: ".spec.image", raw: `{"spec":{"image":"a:1"}}`, want: []string{"spec.image=a:1"}},
		"every element of a list":                     {images: "'.spec.parts[*].image'", raw: `{"spec":{"parts":[{"image":"a"},{},null,{"image":"b"}]}}`, want: []string{"spec.parts[0].image=a", "spec.parts[3].image=b"}},
		"a list of images":                            {images: "'.spec.images[*]'", raw: `{"spec":{"images":["a","b"]}}`, want: []string{"spec.images[0]=a", "spec.images[1]=b"}},
		"every field of an object":                    {images: ".spec.by.*.image", raw: `{"spec":{"by":{"x":{"image":"a"},"y/z":{"image":"b"}}}}`, want: []string{"spec.by[x].image=a", "spec.by[y/z].image=b"}},
		"a field with dots in its name":               {images: `'.spec.example\.com.image'`, raw: `{"spec":{"example.com":{"image":"a"}}}`, want: []string{"spec.example.com.image=a"}},
		"several paths":                               {podSpecs: ".spec.pod", images: ".spec.image", raw: `{"spec":{"image":"a","pod":{"containers":[{"image":"b"}]}}}`, want: []string{"spec.pod.containers[0].image=b", "spec.image=a"}},
		"a field in another case is not the field":    {images: ".spec.image", raw: `{"spec":{"Image":"a"}}`},
		"a field that is escaped is the field":        {images: ".spec.image", raw: `{"spec":{"im\u0061ge":"a"}}`, want: []string{"spec.image=a"}},
		"a number where an image should be":           {images: ".spec.image", raw: `{"spec":{"image":1}}`, err: "spec.image is not a string"},
		"an object where an image should be":          {images: ".spec.image", raw: `{"spec":{"image":{"name":"a"}}}`, err: "spec.image is not a string"},
		"a list where an image should be":             {images: ".spec.image", raw: `{"spec":{"image":["a"]}}`, err: "spec.image is not a string"},
		"a list where an object should be":            {images: ".spec.a.image", raw: `{"spec":{"a":[{"image":"a"}]}}`, err: "spec.a is not an object"},
		"an object where a list should be":            {images: "'.spec.a[*].image'", raw: `{"spec":{"a":{"image":"a"}}}`, err: "spec.a is not a list"},
		"a text where a PodSpec should be":            {podSpecs: ".spec.pod", raw: `{"spec":{"pod":"x"}}`, err: "spec.pod is not an object"},
		"a text where containers should be":           {podSpecs: ".spec.pod", raw: `{"spec":{"pod":{"containers":"x"}}}`, err: "spec.pod.containers is not a list"},
		"an image given twice":                        {images: ".spec.image", raw: `{"spec":{"image":"good","image":"evil"}}`, err: `duplicate field "spec.image"`},
		"an object on the way given twice":            {images: ".spec.a.image", raw: `{"spec":{"a":{"image":"good"},"a":{}}}`, err: `duplicate field "spec.a"`},
		"the same field twice, once escaped":          {images: ".spec.image", raw: `{"spec":{"image":"good","im\u0061ge":"evil"}}`, err: `duplicate field "spec.image"`},
		"more images than are read":                   {images: "'.spec.images[*]'", raw: `{"spec":{"images":` + list(MaxOccurrences+1, `"a"`) + `}}`, err: "more than 256 images"},
		"a list that does not end":                    {images: "'.spec.a[*].image'", raw: `{"spec":{"a":` + list(maxElements+1, `{}`) + `}}`, err: "spec.a has more than 1024 elements"},
		"an object of more fields than are read":      {images: ".spec.a.*.image", raw: `{"spec":{"a":{` + many(maxElements+1) + `}}}`, err: "spec.a has more than 1024 fields"},
		"a field with a name that does not end":       {images: ".spec.a.*.image", raw: `{"spec":{"a":{"` + strings.Repeat("x", 300) + `":{}}}}`, err: "longer than 253"},
		"an object nested deeper than JSON is read":   {images: ".spec.image", raw: `{"spec":{"x":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat(`}`, 20_000) + `}}`, err: "exceeded max depth"},
		"a field that nobody asked for may be double": {images: ".spec.image", raw: `{"spec":{"x":1,"x":2,"image":"a"}}`, want: []string{"spec.image=a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := widgets(t, tt.podSpecs, tt.images).Extract(widget, []byte(tt.raw))
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error = %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, found(got)); err == nil && diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// many is n fields of an object.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":{}`, i)
	}
	return b.String()[1:]
}

func TestAVersionThatNobodySpokeOfIsNotReadAsAnother(t *testing.T) {
	x := shipped(t)
	for _, gvk := range []string{"argoproj.io/v1/Rollout", "argoproj.io/v1alpha1/rollout", "example.com/v1alpha1/Rollout", "apps/v1/Rollout"} {
		if _, err := x.Extract(parseKind(t, gvk), []byte(`{}`)); !errors.Is(err, ErrUnknownKind) {
			t.Errorf("%s: error = %v, want ErrUnknownKind", gvk, err)
		}
	}
}

func TestAnImageThatChangedOnlyItsPositionKeepsItsSlot(t *testing.T) {
	slots := func(x *Extractor, gvk schema.GroupVersionKind, raw string) map[string]string {
		got, err := x.Extract(gvk, []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		byImage := map[string]string{}
		for _, o := range got {
			byImage[o.Image] = o.Slot
		}
		return byImage
	}
	x := widgets(t, ".spec.pod", "'.spec.images[*]'")
	for name, tt := range map[string]struct {
		gvk           schema.GroupVersionKind
		before, after string
		same          bool
	}{
		"a container that moves up in its list":       {pod, `{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}}`, `{"spec":{"containers":[{"name":"b","image":"y"}]}}`, true},
		"a container that moves to another list":      {pod, `{"spec":{"containers":[{"name":"b","image":"y"}]}}`, `{"spec":{"initContainers":[{"name":"b","image":"y"}]}}`, false},
		"a container of another name":                 {pod, `{"spec":{"containers":[{"name":"b","image":"y"}]}}`, `{"spec":{"containers":[{"name":"c","image":"y"}]}}`, false},
		"a volume that is named as a container was":   {pod, `{"spec":{"containers":[{"name":"b","image":"y"}]}}`, `{"spec":{"volumes":[{"name":"b","image":{"reference":"y"}}]}}`, false},
		"a nameless container that moves":             {widget, `{"spec":{"pod":{"containers":[{"image":"x"},{"image":"y"}]}}}`, `{"spec":{"pod":{"containers":[{"image":"y"}]}}}`, false},
		"a nameless image that stays":                 {widget, `{"spec":{"images":["x","y"]}}`, `{"spec":{"images":["z","y"]}}`, true},
		"a nameless image that moves":                 {widget, `{"spec":{"images":["x","y"]}}`, `{"spec":{"images":["y"]}}`, false},
		"a container whose name reads like another's": {pod, `{"spec":{"containers":[{"name":"/0","image":"y"}]}}`, `{"spec":{"containers":[{"image":"y"}]}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := slots(x, tt.gvk, tt.before)["y"], slots(x, tt.gvk, tt.after)["y"]
			if before == "" || after == "" || (before == after) != tt.same {
				t.Errorf("%q, then %q; want the same: %v", before, after, tt.same)
			}
		})
	}
}

func TestExtractorsThatAreNotExactlyRightAreRefused(t *testing.T) {
	const head = "apiVersion: config.countersign.dev/v1alpha1\nkind: ImageExtractors\n"
	entry := func(rest string) string {
		return head + "extractors:\n- {group: example.com, versions: [v1], kind: Widget" + rest + "}\n"
	}
	for name, tt := range map[string]struct{ text, err string }{
		"no YAML":                       {"{", "yaml"},
		"another type":                  {"apiVersion: v1\nkind: ConfigMap\n", "must be of apiVersion"},
		"an unknown field":              {entry(", images: [.spec.image], namespace: x"), `unknown field "extractors[0].namespace"`},
		"a field in another case":       {entry(", Images: [.spec.image]"), `unknown field "extractors[0].Images"`},
		"a field given twice":           {entry(", images: [.spec.image], images: []"), "already set in map"},
		"no path at all":                {entry(""), "extractors[0]: Required value: podSpecs or images"},
		"no group":                      {head + "extractors: [{versions: [v1], kind: Pod, podSpecs: [.spec]}]", "extractors[0].group"},
		"no kind":                       {head + "extractors: [{group: example.com, versions: [v1], podSpecs: [.spec]}]", "extractors[0].kind: Required"},
		"no version":                    {head + "extractors: [{group: example.com, kind: Widget, podSpecs: [.spec]}]", "extractors[0].versions"},
		"a version that is none":        {head + "extractors: [{group: example.com, versions: ['*'], kind: Widget, podSpecs: [.spec]}]", "extractors[0].versions[0]"},
		"a kind of Kubernetes' own":     {head + "extractors: [{group: apps, versions: [v1], kind: Deployment, images: [.spec.x]}]", "extractors[0]: Forbidden"},
		"one kind twice":                {head + "extractors: [{group: a.b, versions: [v1], kind: W, images: [.spec.x]}, {group: a.b, versions: [v1], kind: W, images: [.spec.y]}]", "extractors[1]: Duplicate value"},
		"too many paths":                {entry(", images: [" + strings.Repeat(".spec.x,", maxPaths+1) + "]"), "extractors[0].images: Too many"},
		"a path of too many steps":      {entry(", images: [" + strings.Repeat(".x", maxSteps+1) + "]"), "more than 32 steps"},
		"a path in braces":              {entry(", images: ['{.spec.image}']"), "no braces, quotes or spaces"},
		"a path without a dot":          {entry(", images: [spec.image]"), "must begin with '.'"},
		"a path to everything":          {entry(", images: [.]"), "extractors[0].images[0]"},
		"a path from everything":        {entry(", images: ['.*.image']"), "must begin with a field"},
		"a path into the metadata":      {entry(", images: [.metadata.annotations.image]"), "other than metadata and status"},
		"a path into the status":        {entry(", images: [.status.image]"), "other than metadata and status"},
		"a path that descends":          {entry(", images: [..image]"), "no index, slice, union, filter"},
		"a path with an index":          {entry(", images: ['.spec.a[0]']"), "no index, slice, union, filter"},
		"a path with a negative index":  {entry(", images: ['.spec.a[-1]']"), "no index, slice, union, filter"},
		"a path with a slice":           {entry(", images: ['.spec.a[1:]']"), "no index, slice, union, filter"},
		"a path with a union":           {entry(", images: ['.spec.a[0,1]']"), "no index, slice, union, filter"},
		"a path with quotes":            {entry(", images: [\".spec['a']\"]"), "no braces, quotes or spaces"},
		"a path with a filter":          {entry(", images: ['.spec.a[?(.b==1)].image']"), "no index, slice, union, filter"},
		"a path with a space":           {entry(", images: ['.spec .image']"), "no braces, quotes or spaces"},
		"a path that does not end":      {entry(", images: ['.spec.a[*']"), "extractors[0].images[0]"},
		"two paths in one":              {entry(", images: ['.spec.a}{.spec.b']"), "no braces"},
		"a path with a name of nothing": {entry(", images: ['.spec..']"), "extractors[0].images[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseCustomKinds([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
		})
	}
}
