// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ConfigMapReader reads ConfigMaps of countersign's own namespace.
type ConfigMapReader interface {
	// ConfigMap returns the data of the named ConfigMap. Its error wraps
	// ErrConfigMapNotFound when there is none.
	ConfigMap(ctx context.Context, name string) (map[string]string, error)
}

// NamespaceConfigMaps is the ConfigMapReader of a cluster: one namespace, fixed
// when it is made, so that no reference can reach another.
type NamespaceConfigMaps struct {
	reader    client.Reader
	namespace string
}

// NewNamespaceConfigMaps returns a ConfigMapReader for namespace.
func NewNamespaceConfigMaps(reader client.Reader, namespace string) *NamespaceConfigMaps {
	return &NamespaceConfigMaps{reader: reader, namespace: namespace}
}

// ConfigMap implements ConfigMapReader.
func (c *NamespaceConfigMaps) ConfigMap(ctx context.Context, name string) (map[string]string, error) {
	var configMap corev1.ConfigMap
	err := c.reader.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, &configMap)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: ConfigMap %q does not exist in namespace %q", ErrConfigMapNotFound, name, c.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %q: %w", name, err)
	}
	return configMap.Data, nil
}

// ConfigMaps is a ConfigMapReader without a cluster: data by name.
type ConfigMaps map[string]map[string]string

// ConfigMap implements ConfigMapReader.
func (c ConfigMaps) ConfigMap(_ context.Context, name string) (map[string]string, error) {
	data, ok := c[name]
	if !ok {
		return nil, fmt.Errorf("%w: ConfigMap %q is not among the files", ErrConfigMapNotFound, name)
	}
	return data, nil
}
