// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestPullSecretsAreThoseThatThePodsWillHave(t *testing.T) {
	pod := corev1.SchemeGroupVersion.WithKind("Pod")
	deployment := appsv1.SchemeGroupVersion.WithKind("Deployment")
	template := func(spec string) string { return `{"spec":{"template":{"spec":` + spec + `}}}` }
	many := make([]string, 0, 100)
	for i := range 100 {
		many = append(many, fmt.Sprintf(`{"name":"s%d"}`, i))
	}
	cases := map[string]struct {
		gvk  schema.GroupVersionKind
		raw  string
		want PullNames
	}{
		"a Pod's":                         {pod, `{"spec":{"imagePullSecrets":[{"name":"a"},{"name":"b"},{"name":"a"},{"name":""},{}]}}`, PullNames{Secrets: []string{"a", "b"}}},
		"a Pod without: it will get none": {pod, `{"spec":{"serviceAccountName":"robot"}}`, PullNames{}},
		"a template's":                    {deployment, template(`{"imagePullSecrets":[{"name":"a"}],"serviceAccountName":"robot"}`), PullNames{Secrets: []string{"a"}}},
		"a template without":              {deployment, template(`{"serviceAccountName":"robot"}`), PullNames{ServiceAccounts: []string{"robot"}}},
		"a template with the old field":   {deployment, template(`{"serviceAccount":"robot"}`), PullNames{ServiceAccounts: []string{"robot"}}},
		"a template without an account":   {deployment, template(`{"imagePullSecrets":[]}`), PullNames{ServiceAccounts: []string{"default"}}},
		"a template that names nothing":   {deployment, template(`{"imagePullSecrets":[{"name":""}]}`), PullNames{}},
		"a CronJob's":                     {batchv1.SchemeGroupVersion.WithKind("CronJob"), `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"imagePullSecrets":[{"name":"a"}]}}}}}}`, PullNames{Secrets: []string{"a"}}},
		"those that stand elsewhere":      {pod, `{"imagePullSecrets":[{"name":"a"}],"spec":{"x":{"imagePullSecrets":[{"name":"b"}]}}}`, PullNames{}},
		"in other letters":                {pod, `{"spec":{"imagepullsecrets":[{"name":"a"}]}}`, PullNames{}},
		"null":                            {deployment, template(`{"imagePullSecrets":null,"serviceAccountName":null}`), PullNames{ServiceAccounts: []string{"default"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := NewExtractor().PullNames(tc.gvk, []byte(tc.raw))
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
	t.Run("a Pod that nobody has created yet", func(t *testing.T) {
		got, err := NewExtractor().FuturePullNames(pod, []byte(`{"spec":{"serviceAccountName":"robot"}}`))
		if want := (PullNames{ServiceAccounts: []string{"robot"}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	})
	for name, raw := range map[string]string{
		"a string in the place of the list":    `{"spec":{"imagePullSecrets":"a"}}`,
		"a number in the place of a name":      `{"spec":{"imagePullSecrets":[{"name":1}]}}`,
		"an object of another kind":            `{"kind":"Node","spec":{}}`,
		"no JSON":                              `{"spec":`,
		"an account that is none":              `{"spec":{"serviceAccountName":{}}}`,
		"a name that is given twice, inwardly": `{"spec":{"imagePullSecrets":[{"name":"a","name":"b"}]}}`,
	} {
		if got, err := NewExtractor().PullNames(pod, []byte(raw)); err == nil || !reflect.DeepEqual(got, PullNames{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	got, err := NewExtractor().PullNames(pod, []byte(`{"spec":{"imagePullSecrets":[`+strings.Join(many, ",")+`]}}`))
	if err != nil || len(got.Secrets) != maxPullNames {
		t.Errorf("%d, %v", len(got.Secrets), err)
	}
	if _, err := NewExtractor().PullNames(schema.GroupVersionKind{Kind: "Other"}, []byte(`{}`)); err == nil {
		t.Error("a kind that nobody knows has names")
	}
}
