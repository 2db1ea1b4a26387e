// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oldest holds the manifests in config/ against the code of the oldest
// Kubernetes that they are for: its types, its validation of custom resource
// definitions, and its compiler of match conditions. It is a module of its own,
// since its Kubernetes is not that of the program.
package oldest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/yaml"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// oldestMinor is the minor version that README.md promises.
const oldestMinor = 30

// TestTheOldestKubernetesTakesTheManifests reads each of them strictly, and asks of
// it what the API server would.
func TestTheOldestKubernetesTakesTheManifests(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	install.Install(scheme)
	seen := map[string]int{}
	for name, document := range manifests(t) {
		decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
		object, gvk, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[gvk.Kind]++
		switch object := object.(type) {
		case *apiextensionsv1.CustomResourceDefinition:
			seen[gvk.Kind+" of "+object.Spec.Group]++
			checkDefinition(t, scheme, name, object)
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			for _, w := range object.Webhooks {
				checkConditions(t, w.Name, w.MatchConditions)
			}
		case *admissionregistrationv1.MutatingWebhookConfiguration:
			for _, w := range object.Webhooks {
				checkConditions(t, w.Name, w.MatchConditions)
			}
		}
	}
	for _, kind := range []string{
		"CustomResourceDefinition", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Deployment", "ClusterRole",
		"CustomResourceDefinition of policy.countersign.dev", "CustomResourceDefinition of policy.sigstore.dev",
	} {
		if seen[kind] == 0 {
			t.Errorf("there is no %s in config/", kind)
		}
	}
}

// manifests are the documents in config/ but for kustomizations, for the samples of what
// the definitions define, of which see TestTheOldestKubernetesTakesTheSamples, and for what the
// Prometheus operator defines.
func manifests(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	root := filepath.Join("..", "..", "config")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "samples" || entry.Name() == "prometheus") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".yaml" || entry.Name() == "kustomization.yaml" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if strings.Contains(string(document), "\nkind: ") {
				found[fmt.Sprintf("%s#%d", path, len(found))] = document
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkDefinition asks for what the API server asks of a new definition: that its
// schema is structural, and that its rules compile and cost little.
func checkDefinition(t *testing.T, scheme *runtime.Scheme, name string, definition *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	scheme.Default(definition)
	var internal apiextensions.CustomResourceDefinition
	if err := scheme.Convert(definition, &internal, nil); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	internal.Status.StoredVersions = []string{definition.Spec.Versions[0].Name}
	for _, problem := range crdvalidation.ValidateCustomResourceDefinition(t.Context(), &internal) {
		t.Errorf("%s: %v", name, problem)
	}
}

func checkConditions(t *testing.T, webhook string, conditions []admissionregistrationv1.MatchCondition) {
	t.Helper()
	compiler := plugincel.NewCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, oldestMinor), true))
	if len(conditions) == 0 {
		t.Errorf("%s has no match condition", webhook)
	}
	for _, c := range conditions {
		condition := matchconditions.MatchCondition(c)
		result := compiler.CompileCELExpression(&condition, plugincel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
		if result.Error != nil {
			t.Errorf("%s: %s: %v", webhook, c.Name, result.Error)
		}
	}
}
