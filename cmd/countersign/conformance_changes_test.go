// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// changed is a case with one value of its bundle changed.
type changed struct {
	name string
	m    minted
}

// changesOf yields a case with each value of its bundle changed in each way, the
// bundle's own parts as they are.
func changesOf(m minted) iter.Seq[changed] {
	return func(yield func(changed) bool) {
		var tree map[string]any
		if err := json.Unmarshal(m.bundle.Verify().JSON, &tree); err != nil {
			panic(err)
		}
		for path, value := range valuesOf(tree, nil) {
			for way, other := range waysOf(value) {
				if !yield(changed{name: fmt.Sprintf("%v %s", path, way), m: m.parsed(tree).set(other, path...)}) {
					return
				}
			}
		}
	}
}

// parsed returns the case with a bundle of plain JSON values.
func (m minted) parsed(tree map[string]any) minted {
	m.bundle = tree
	return m
}

// valuesOf yields each value of a JSON tree with its path: leaves, objects and lists.
func valuesOf(value any, path []any) iter.Seq2[[]any, any] {
	return func(yield func([]any, any) bool) {
		under := func(step, child any) bool {
			for p, v := range valuesOf(child, append(slices.Clone(path), step)) {
				if !yield(p, v) {
					return false
				}
			}
			return true
		}
		if len(path) > 0 && !yield(path, value) {
			return
		}
		switch value := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if !under(key, value[key]) {
					return
				}
			}
		case []any:
			for i, child := range value {
				if !under(i, child) {
					return
				}
			}
		}
	}
}

// waysOf are other values in the place of one. nil removes it.
func waysOf(value any) map[string]any {
	ways := map[string]any{"removed": nil, "null": json.RawMessage("null"), "an empty object": map[string]any{}, "an empty list": []any{}, "an empty text": ""}
	switch value := value.(type) {
	case string:
		ways["a character more"] = value + "A"
		if number, err := strconv.ParseInt(value, 10, 64); err == nil {
			for _, other := range []int64{-1, 0, 1, number - 1, number + 1} {
				ways["the number "+strconv.FormatInt(other, 10)] = strconv.FormatInt(other, 10)
			}
			delete(ways, "the number "+value)
			break
		}
		if raw, err := base64.StdEncoding.DecodeString(value); err == nil && len(raw) > 0 {
			for _, at := range []int{0, len(raw) / 2, len(raw) - 1} {
				raw := slices.Clone(raw)
				raw[at] ^= 0x01
				ways[fmt.Sprintf("bit of byte %d flipped", at)] = raw
			}
			ways["a byte less"], ways["a byte more"] = raw[:len(raw)-1], append(slices.Clone(raw), 0)
		}
	case []any:
		if len(value) > 0 {
			ways["its first element twice"] = append([]any{value[0]}, value...)
			ways["without its first element"] = value[1:]
			ways["in reverse"] = reversed(value)
		}
	}
	return ways
}

func reversed(list []any) []any {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
