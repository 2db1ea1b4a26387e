// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Namespaces knows the labels of the cluster's namespaces: from a watch on their
// metadata, and by asking for one that it has not heard of yet, which may be as new as
// the Pod that it is asked for.
type Namespaces struct {
	watched, live client.Reader
}

// NewNamespaces returns the namespaces of the cluster that m is for, and starts to watch
// them when m starts.
func NewNamespaces(ctx context.Context, m ctrl.Manager) (*Namespaces, error) {
	if _, err := m.GetCache().GetInformer(ctx, namespaceMetadata("")); err != nil {
		return nil, fmt.Errorf("watching namespaces: %w", err)
	}
	return &Namespaces{watched: m.GetCache(), live: m.GetAPIReader()}, nil
}

// NamespacesFrom returns the namespaces that reader finds when it is asked.
func NamespacesFrom(reader client.Reader) *Namespaces {
	return &Namespaces{watched: reader, live: reader}
}

// Labels implements policy.Namespaces. An error says that nobody could tell.
func (n *Namespaces) Labels(ctx context.Context, name string) (map[string]string, error) {
	found := namespaceMetadata(name)
	err := n.watched.Get(ctx, types.NamespacedName{Name: name}, found)
	if apierrors.IsNotFound(err) {
		err = n.live.Get(ctx, types.NamespacedName{Name: name}, found)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the labels of namespace %q: %w", name, err)
	}
	return found.Labels, nil
}

// namespaceMetadata is the metadata of a namespace: nothing else of it is held.
func namespaceMetadata(name string) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return object
}
