// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package oldest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// TestTheOldestKubernetesTakesTheSamples asks its code of each object in config/samples, and
// of each that the documentation shows whole, what it would say: of the schema, its
// rules, and its lists.
func TestTheOldestKubernetesTakesTheSamples(t *testing.T) {
	kinds := definitions(t)
	seen := map[string]int{}
	for name, object := range samples(t) {
		kind, ok := kinds[object.GroupVersionKind()]
		if !ok {
			continue // Kubernetes' own
		}
		seen[object.GetKind()+"."+object.GroupVersionKind().Group]++
		for _, problem := range kind.problems(t.Context(), object) {
			t.Errorf("%s: %v", name, problem)
		}
	}
	for _, kind := range []string{
		"ClusterImagePolicy.policy.countersign.dev", "ImagePolicy.policy.countersign.dev", "ImagePolicyException.policy.countersign.dev",
		"TransparencyLog.policy.countersign.dev", "TrustRoot.policy.countersign.dev", "ClusterImagePolicy.policy.sigstore.dev",
	} {
		if seen[kind] == 0 {
			t.Errorf("there is no %s among the samples", kind)
		}
	}
}

// TestTheOldestKubernetesRefusesWhatTheSchemaDoes: the test above can fail.
func TestTheOldestKubernetesRefusesWhatTheSchemaDoes(t *testing.T) {
	kinds := definitions(t)
	for name, text := range map[string]string{
		"spec.mode":           `{images: [{glob: a/b}], authorities: [{name: a, static: {action: fail}}], mode: strict}`,
		"spec.images":         `{images: [], authorities: [{name: a, static: {action: fail}}]}`,
		"spec.authorities[0]": `{images: [{glob: a/b}], authorities: [{name: a, static: {action: fail}, key: {data: x}}]}`,
		"spec.authorities[1]": `{images: [{glob: a/b}], authorities: [{name: a, static: {action: fail}}, {name: a, static: {action: fail}}]}`,
	} {
		object := unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte("apiVersion: policy.countersign.dev/v1alpha1\nkind: ClusterImagePolicy\nmetadata: {name: p}\nspec: "+text), &object.Object); err != nil {
			t.Fatal(err)
		}
		problems := kinds[object.GroupVersionKind()].problems(t.Context(), object)
		if len(problems) == 0 || !strings.HasPrefix(problems[0].Field, name) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// definition is one version of a custom resource, as the API server applies it.
type definition struct {
	schema     *structuralschema.Structural
	validator  validation.SchemaValidator
	namespaced bool
}

// problems is what the API server says of a new object.
func (d definition) problems(ctx context.Context, object unstructured.Unstructured) field.ErrorList {
	defaulting.Default(object.Object, d.schema)
	errs := validation.ValidateCustomResource(nil, object.Object, d.validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.schema, object.Object)...)
	rules, _ := cel.NewValidator(d.schema, true, celconfig.PerCallLimit).Validate(ctx, nil, d.schema, object.Object, nil, math.MaxInt64)
	errs = append(errs, rules...)
	if !d.namespaced && object.GetNamespace() != "" {
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "namespace"), "the kind has none"))
	}
	return errs
}

func definitions(t *testing.T) map[schema.GroupVersionKind]definition {
	t.Helper()
	found := map[schema.GroupVersionKind]definition{}
	for name, document := range manifests(t) {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(document, &crd); err != nil || crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for i := range crd.Spec.Versions {
			version := &crd.Spec.Versions[i]
			var internal apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			structural, err := structuralschema.NewStructural(&internal)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			validator, _, err := validation.NewSchemaValidator(&internal)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kind := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
			found[kind] = definition{structural, validator, crd.Spec.Scope == apiextensionsv1.NamespaceScoped}
		}
	}
	return found
}

// block is a piece of YAML in the documentation.
var block = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// samples are the objects in config/samples and in the documentation, by where they are.
func samples(t *testing.T) map[string]unstructured.Unstructured {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string]unstructured.Unstructured{}
	for _, pattern := range []string{"config/samples/*.yaml", "docs/*.md", "docs/ci/*.md", "README.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(path) != ".md" {
				objectsIn(t, path, text, found)
				continue
			}
			for _, match := range block.FindAllSubmatch(text, -1) {
				objectsIn(t, path, match[1], found)
			}
		}
	}
	return found
}

func objectsIn(t *testing.T, path string, text []byte, found map[string]unstructured.Unstructured) {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		object := unstructured.Unstructured{}
		raw, err := yaml.YAMLToJSONStrict(document)
		if err == nil {
			err = json.Unmarshal(raw, &object.Object)
		}
		if err != nil {
			t.Errorf("%s: %v in\n%s", path, err, document)
			continue
		}
		if object.GetAPIVersion() != "" && object.GetKind() != "" {
			found[fmt.Sprintf("%s#%d", path, len(found))] = object
		}
	}
}
