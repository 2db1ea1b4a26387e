// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestANamespaceThatIsNotKnownYetIsAskedFor(t *testing.T) {
	namespace := func(name, team string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
	}
	asked := 0
	counting := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		asked++
		if key.Name == "secret" {
			return errors.New("forbidden")
		}
		return c.Get(ctx, key, obj, opts...)
	}}
	n := &Namespaces{
		watched: fake.NewClientBuilder().WithObjects(namespace("old", "a")).Build(),
		live:    fake.NewClientBuilder().WithObjects(namespace("old", "stale"), namespace("new", "b")).WithInterceptorFuncs(counting).Build(),
	}
	for name, tt := range map[string]struct {
		want  map[string]string
		asked int
	}{
		"old":    {map[string]string{"team": "a"}, 0},
		"new":    {map[string]string{"team": "b"}, 1},
		"none":   {nil, 1},
		"secret": {nil, 1},
	} {
		asked = 0
		got, err := n.Labels(t.Context(), name)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != (tt.want == nil) || asked != tt.asked {
			t.Errorf("%s: %v, asked %d times, want %d (-want +got):\n%s", name, err, asked, tt.asked, diff)
		}
	}
}
