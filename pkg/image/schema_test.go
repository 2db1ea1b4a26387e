// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// TestPodSpecHasNoImageFieldThatWeDoNotKnow fails when a newer k8s.io/api gives
// a PodSpec another place that may name an image.
func TestPodSpecHasNoImageFieldThatWeDoNotKnow(t *testing.T) {
	read := []string{
		"containers[].image",
		"ephemeralContainers[].image",
		"initContainers[].image",
		"volumes[].image",
		"volumes[].image.reference",
	}
	notImages := []string{
		"containers[].imagePullPolicy",
		"ephemeralContainers[].imagePullPolicy",
		"imagePullSecrets", // names of Secrets
		"initContainers[].imagePullPolicy",
		"volumes[].rbd.image", // a Ceph block device
	}
	want := append(slices.Clone(read), notImages...)
	slices.Sort(want)
	var got []string
	visitFields(reflect.TypeFor[corev1.PodSpec](), "", nil, func(path string) { got = append(got, path) })
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of PodSpec whose name speaks of an image (-known +found)\n%s", diff)
	}
}

// walk visits the JSON fields below t whose name speaks of an image.
func visitFields(t reflect.Type, path string, above []reflect.Type, found func(string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		if t.Kind() != reflect.Pointer {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(above, t) {
		return
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		below := strings.TrimPrefix(path+"."+name, ".")
		if name == "" {
			below = path
		}
		lower := strings.ToLower(name)
		if strings.Contains(lower, "image") || lower == "reference" || strings.Contains(lower, "artifact") {
			found(below)
		}
		visitFields(field.Type, below, append(slices.Clone(above), t), found)
	}
}

// TestNoObjectHasAnImageFieldThatWeDoNotKnow fails when a newer k8s.io/api has a
// field elsewhere than in a PodSpec that may name an image.
func TestNoObjectHasAnImageFieldThatWeDoNotKnow(t *testing.T) {
	noImages := []string{
		"PersistentVolume spec.rbd.image",                         // a Ceph block device
		"SerializedReference reference",                           // names an object
		"ServiceAccount imagePullSecrets",                         // names of Secrets
		"VolumeAttachment spec.source.inlineVolumeSpec.rbd.image", // a Ceph block device
	}
	var got []string
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		visitFields(typ, "", []reflect.Type{reflect.TypeFor[corev1.PodSpec]()}, func(path string) {
			// What a status says is what runs already; a list holds objects.
			if !strings.HasPrefix(path, "status.") && !strings.HasPrefix(path, "items[].") {
				got = append(got, gvk.Kind+" "+path)
			}
		})
	}
	slices.Sort(got)
	if diff := cmp.Diff(noImages, slices.Compact(got)); diff != "" {
		t.Errorf("fields whose name speaks of an image (-known +found)\n%s", diff)
	}
}

// TestKindsHoldsEveryKindWithAPodSpec fails when a newer k8s.io/api has another
// kind whose objects hold a PodSpec.
func TestKindsHoldsEveryKindWithAPodSpec(t *testing.T) {
	var known []string
	for _, kind := range Kinds() {
		known = append(known, kind.Kind)
	}
	holds := map[string]bool{}
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if !strings.HasSuffix(gvk.Kind, "List") && holdsPodSpec(typ, nil) {
			holds[gvk.Kind] = true
		}
	}
	var got []string
	for kind := range holds {
		got = append(got, kind)
	}
	slices.Sort(known)
	slices.Sort(got)
	if diff := cmp.Diff(known, got); diff != "" {
		t.Errorf("kinds that hold a PodSpec (-known +found)\n%s", diff)
	}
}

func holdsPodSpec(t reflect.Type, above []reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t == reflect.TypeFor[corev1.PodSpec]() {
		return true
	}
	if t.Kind() != reflect.Struct || slices.Contains(above, t) {
		return false
	}
	for field := range t.Fields() {
		if holdsPodSpec(field.Type, append(slices.Clone(above), t)) {
			return true
		}
	}
	return false
}

// TestResourcesAreThePluralsOfTheirKinds guards the webhook rules made of Kinds.
func TestResourcesAreThePluralsOfTheirKinds(t *testing.T) {
	for _, kind := range Kinds() {
		if want := strings.ToLower(kind.Kind) + "s"; kind.Resource != want {
			t.Errorf("%s: resource %q, want %q", kind.Kind, kind.Resource, want)
		}
	}
}
