// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

// significant are the names in a manifest or an index that say what a node runs.
var significant = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "digest", "size", "platform",
	"os", "architecture", "variant", "os.version", "os.features", "features", "urls", "data", "fsLayers", "history"}

// unambiguous refuses a JSON document that two readers may read as two things. Most
// runtimes are written in Go, whose reader takes "Manifests" for "manifests", and the
// last of several.
func unambiguous(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := walk(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// walk reads one value.
func walk(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return errors.New("it is no JSON")
	}
	open, isOpen := token.(json.Delim)
	if !isOpen {
		return nil
	}
	if depth == maxDepth {
		return errors.New("it is nested too deep")
	}
	names := map[string]bool{}
	for n := 0; decoder.More(); n++ {
		if n == maxMembers {
			return errors.New("it lists too much")
		}
		if open == '{' {
			if err := walkName(decoder, names); err != nil {
				return err
			}
		}
		if err := walk(decoder, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errors.New("it is no JSON")
	}
	return nil
}

// walkName reads the name of a field, of which names are those before it.
func walkName(decoder *json.Decoder, names map[string]bool) error {
	token, err := decoder.Token()
	name, isText := token.(string)
	if err != nil || !isText {
		return errors.New("it is no JSON")
	}
	folded := fold(name)
	if names[folded] {
		return errors.New("a field is there twice")
	}
	names[folded] = true
	if !slices.Contains(significant, name) && slices.ContainsFunc(significant, func(s string) bool { return fold(s) == folded }) {
		return errors.New("a field is spelled in two ways")
	}
	return nil
}

// fold returns what all spellings of a name have in common for encoding/json: letters
// that Unicode folds to each other, of which some are not in ASCII, are one.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}
