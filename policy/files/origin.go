// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// origin is where an object's images come from, as admission would see it. Of a custom
// resource nobody here knows the name in URLs: policies that match kinds cover it.
func origin(x *image.Extractor, o Object) policy.Origin {
	from := policy.Origin{
		Namespace:    namespaceOf(o),
		Labels:       func() ([]map[string]string, error) { return x.Labels(o.Kind, o.JSON) },
		ObjectLabels: func() (map[string]string, error) { return x.ObjectLabels(o.Kind, o.JSON) },
	}
	// What cannot be read names nothing; its images are an error of their own.
	from.Pull, _ = x.FuturePullNames(o.Kind, o.JSON)
	for _, k := range image.Kinds() {
		if k.GroupVersionKind == o.Kind {
			from.Resource = k.GroupVersion().WithResource(k.Resource)
		}
	}
	return from
}

// namespaceOf returns the namespace that an object names, if it does.
func namespaceOf(o Object) string {
	var head struct {
		Metadata struct {
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if json.UnmarshalCaseSensitivePreserveInts(o.JSON, &head) != nil {
		return ""
	}
	return head.Metadata.Namespace
}

// Namespaces are the labels of namespaces, by name. It is a policy.Namespaces.
type Namespaces map[string]map[string]string

// Labels implements policy.Namespaces.
func (n Namespaces) Labels(_ context.Context, name string) (map[string]string, error) {
	labels, known := n[name]
	if !known {
		return nil, fmt.Errorf("namespace %q is in no file", name)
	}
	return labels, nil
}

// Add takes the labels of the namespaces among the objects.
func (n Namespaces) Add(objects []Object) error {
	for _, o := range objects {
		if o.Kind != corev1.SchemeGroupVersion.WithKind("Namespace") {
			continue
		}
		var namespace corev1.Namespace
		if err := json.UnmarshalCaseSensitivePreserveInts(o.JSON, &namespace); err != nil {
			return fmt.Errorf("%s: %w", o.Source, err)
		}
		n[namespace.Name] = namespace.Labels
	}
	return nil
}
