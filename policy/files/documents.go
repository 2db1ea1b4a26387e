// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package files reads Kubernetes objects from YAML and JSON files: policies and
// what they refer to, which must be exactly right, and the manifests of
// workloads, of which only the images matter.
package files

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const (
	// maxFile bounds a file, in bytes. The largest object that an API server
	// takes has 3 MiB.
	maxFile = 64 << 20
	// maxDepth bounds lists in lists.
	maxDepth = 4
)

// Object is one Kubernetes object as it stands in a file.
type Object struct {
	// Source says where it comes from: "policy.yaml", or "policy.yaml#2" for the
	// second document of a file with several.
	Source string
	// Kind is its group, version and kind.
	Kind schema.GroupVersionKind
	// JSON is the whole object.
	JSON []byte
}

// Read returns the objects in the named files, in order. A name can be a
// directory, whose .yaml, .yml and .json files are read at every depth, or "-"
// for stdin. The items of a List are objects of their own. A key that is given
// twice is an error: it would depend on the reader which one counts.
func Read(names []string, stdin io.Reader) ([]Object, error) {
	var objects []Object
	for _, name := range names {
		paths, err := expand(name)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			found, err := readFile(path, stdin)
			if err != nil {
				return nil, err
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}

// expand returns the files that a name stands for.
func expand(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var paths []string
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s holds no .yaml, .yml or .json file", name)
	}
	return paths, err
}

func readFile(path string, stdin io.Reader) ([]Object, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	} else {
		path = "stdin"
	}
	content, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d bytes", path, maxFile)
	}
	return split(path, content)
}

// split returns the objects in the documents of one file.
func split(path string, content []byte) ([]Object, error) {
	var objects []Object
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		source := fmt.Sprintf("%s#%d", path, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		found, err := parse(source, document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		objects = append(objects, found...)
	}
	if len(objects) == 1 {
		objects[0].Source = path
	}
	return objects, nil
}

func parse(source string, document []byte) ([]Object, error) {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if string(text) == "null" {
		return nil, nil // nothing but comments
	}
	return unfold(source, text, schema.GroupVersionKind{}, 0)
}

// unfold returns the object, or the items of a list, at any depth up to maxDepth.
// Items of a typed list may leave out their kind, which is then implied.
func unfold(source string, text []byte, implied schema.GroupVersionKind, depth int) ([]Object, error) {
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	// As the API server reads it: "Items" is no list of items.
	strict, err := kjson.UnmarshalStrict(text, &head, kjson.DisallowDuplicateFields)
	if err != nil {
		return nil, errors.New("is not a Kubernetes object")
	}
	if len(strict) > 0 {
		return nil, strict[0]
	}
	kind := schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
	if head.APIVersion == "" && head.Kind == "" {
		kind = implied
	}
	if kind.Kind == "" || kind.Version == "" {
		return nil, errors.New("is not a Kubernetes object: apiVersion or kind is missing")
	}
	single, isList := strings.CutSuffix(kind.Kind, "List")
	if !isList || head.Items == nil {
		return []Object{{Source: source, Kind: kind, JSON: text}}, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("lists are nested more than %d deep", maxDepth)
	}
	itemKind := schema.GroupVersionKind{}
	if single != "" {
		itemKind = kind.GroupVersion().WithKind(single)
	}
	var objects []Object
	for i, item := range head.Items {
		found, err := unfold(fmt.Sprintf("%s items[%d]", source, i), item, itemKind, depth+1)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}
