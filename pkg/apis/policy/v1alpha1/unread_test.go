// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// decode reads a list of one kind as an informer does.
func decode(t *testing.T, kind string, specs ...string) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	items := make([]string, 0, len(specs))
	for _, spec := range specs {
		items = append(items, `{"apiVersion":"policy.countersign.dev/v1alpha1","kind":"`+kind+`","metadata":{"name":"a","futureField":1},"spec":`+spec+`}`)
	}
	list := `{"apiVersion":"policy.countersign.dev/v1alpha1","kind":"` + kind + `List","items":[` + strings.Join(items, ",") + `]}`
	object, err := runtime.Decode(serializer.NewCodecFactory(scheme).UniversalDeserializer(), []byte(list))
	if err != nil {
		t.Fatalf("a list with %s in it cannot be decoded: %v", specs, err)
	}
	return object
}

// unreadOf returns what was not read of each object in a list.
func unreadOf(t *testing.T, list runtime.Object) [][]v1alpha1.Unread {
	t.Helper()
	var all [][]v1alpha1.Unread
	items := reflect.ValueOf(list).Elem().FieldByName("Items")
	for i := range items.Len() {
		all = append(all, items.Index(i).FieldByName("Spec").FieldByName("Unread").Interface().([]v1alpha1.Unread))
	}
	return all
}

func TestWhatIsNotReadIsKeptInMind(t *testing.T) {
	for _, kind := range []string{"ClusterImagePolicy", "ImagePolicy", "ImagePolicyException", "TransparencyLog", "TrustRoot"} {
		t.Run(kind, func(t *testing.T) {
			got := unreadOf(t, decode(t, kind, `{"wittnesses":"x"}`, `{}`, `[]`))
			want := [][]v1alpha1.Unread{{{Field: "spec.wittnesses", Problem: `unknown field "spec.wittnesses"`}}, nil}
			if diff := cmp.Diff(want, got[:2]); diff != "" {
				t.Errorf("unread (-want +got):\n%s", diff)
			}
			if len(got[2]) != 1 || got[2][0].Field != "spec" {
				t.Errorf("a specification that is a list: %v", got[2])
			}
		})
	}
}

func TestOfASpecificationThatCannotBeDecodedNothingIsKept(t *testing.T) {
	for spec, field := range map[string]string{
		`{"images":[{"glob":"a/b"}],"authorities":[{"name":"a","static":{"action":"pass"}}],"threshold":"2"}`: "spec",
		`{"images":[{"glob":"a/b"},5],"authorities":[{"name":"a","static":{"action":"pass"}}]}`:               "spec",
	} {
		policies := decode(t, "ClusterImagePolicy", spec, `{"images":[{"glob":"c/d"}]}`).(*v1alpha1.ClusterImagePolicyList).Items
		if got := policies[0].Spec; len(got.Images) > 0 || len(got.Authorities) > 0 || len(got.Unread) != 1 || got.Unread[0].Field != field {
			t.Errorf("%s: %+v", spec, got)
		}
		if got := policies[1].Spec; len(got.Images) != 1 || len(got.Unread) > 0 {
			t.Errorf("the one beside it: %+v", got)
		}
	}
}

func TestWhatIsNotReadIsNotWritten(t *testing.T) {
	policies := decode(t, "ClusterImagePolicy", `{"images":[{"glob":"a/b","blog":1}]}`).(*v1alpha1.ClusterImagePolicyList)
	if got := policies.Items[0].Spec.Unread; len(got) != 1 || got[0].Field != "spec.images[0].blog" {
		t.Fatalf("unread: %v", got)
	}
	written, err := runtime.DefaultUnstructuredConverter.ToUnstructured(policies.Items[0].DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"images": []any{map[string]any{"glob": "a/b"}}}
	if diff := cmp.Diff(want, written["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}
