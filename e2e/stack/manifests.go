// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// outsideCluster changes the rendered config/ for a webhook that runs as a process
// on this machine: its Service becomes a name for localhost, every webhook is
// called at the process's port, and there is no Deployment. The rest stays.
func outsideCluster(manifests string, webhookPort int) ([]byte, error) {
	var out bytes.Buffer
	found := map[string]bool{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifests)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		keep, err := moveOutside(object, webhookPort)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		found[object.GetKind()] = true
		if !keep {
			continue
		}
		changed, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "---\n%s", changed)
	}
	for _, kind := range []string{"Service", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		if !found[kind] {
			return nil, fmt.Errorf("config/ has no %s", kind)
		}
	}
	return out.Bytes(), nil
}

// widgetRule goes with widgetExtractor.
func widgetRule() map[string]any {
	return map[string]any{
		"apiGroups": []any{"e2e.example"}, "apiVersions": []any{"v1"}, "resources": []any{"widgets"},
		"operations": []any{"CREATE", "UPDATE"}, "scope": "Namespaced",
	}
}

// moveOutside changes one object and reports whether it is still wanted.
func moveOutside(object *unstructured.Unstructured, webhookPort int) (bool, error) {
	switch object.GetKind() {
	case "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "":
		return false, nil
	case "Service":
		if object.GetName() != webhookService {
			return true, nil
		}
		return true, unstructured.SetNestedMap(object.Object, map[string]any{
			"type":         "ExternalName",
			"externalName": "localhost",
			"ports":        []any{map[string]any{"name": "webhook", "port": int64(webhookPort), "protocol": "TCP"}},
		}, "spec")
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		if err != nil {
			return false, err
		}
		for _, webhook := range webhooks {
			entry, ok := webhook.(map[string]any)
			if !ok {
				return false, errors.New("a webhook is not an object")
			}
			if err := unstructured.SetNestedField(entry, int64(webhookPort), "clientConfig", "service", "port"); err != nil {
				return false, err
			}
			if entry["name"] == "customresources.countersign.dev" {
				rules, _ := entry["rules"].([]any)
				entry["rules"] = append(rules, widgetRule())
			}
		}
		return true, unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
	default:
		return true, nil
	}
}
