// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// SecretReader reads Secrets of countersign's own namespace.
type SecretReader interface {
	// Secret returns the data of the named Secret. Its error wraps
	// ErrSecretNotFound when there is none.
	Secret(ctx context.Context, name string) (map[string][]byte, error)
}

// NamespaceSecrets is the SecretReader of a cluster: one namespace, fixed when it
// is made, so that no reference can reach another.
type NamespaceSecrets struct {
	reader    client.Reader
	namespace string
}

// NewNamespaceSecrets returns a SecretReader for namespace.
func NewNamespaceSecrets(reader client.Reader, namespace string) *NamespaceSecrets {
	return &NamespaceSecrets{reader: reader, namespace: namespace}
}

// Secret implements SecretReader.
func (s *NamespaceSecrets) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	err := s.reader.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: Secret %q does not exist in namespace %q", ErrSecretNotFound, name, s.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %q: %w", name, err)
	}
	return secret.Data, nil
}

// Secrets is a SecretReader without a cluster: data by name of the Secret.
type Secrets map[string]map[string][]byte

// Secret implements SecretReader.
func (s Secrets) Secret(_ context.Context, name string) (map[string][]byte, error) {
	data, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("%w: Secret %q is not among the files", ErrSecretNotFound, name)
	}
	return data, nil
}

// Add makes the data of secret readable, stringData included.
func (s Secrets) Add(secret *corev1.Secret) {
	data := make(map[string][]byte, len(secret.Data)+len(secret.StringData))
	maps.Copy(data, secret.Data)
	for key, value := range secret.StringData {
		data[key] = []byte(value)
	}
	s[secret.Name] = data
}

// PublicKeyPEM returns the PEM text of a public key that an object holds itself
// (data), or else names (ref, whose key defaults to defaultKey). The text is not
// parsed. The error wraps ErrSecretNotFound when there is no such Secret or key.
func PublicKeyPEM(ctx context.Context, data string, ref *v1alpha1.SecretKeyReference, defaultKey string, secrets SecretReader) ([]byte, error) {
	if ref == nil {
		if data == "" {
			return nil, fmt.Errorf("%w: neither data nor secretRef is set", ErrKeyInvalid)
		}
		return []byte(data), nil
	}
	content, err := secrets.Secret(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	key := ref.Key
	if key == "" {
		key = defaultKey
	}
	pem, ok := content[key]
	if !ok {
		return nil, fmt.Errorf("%w: Secret %q has no key %q", ErrSecretNotFound, ref.Name, key)
	}
	return pem, nil
}
