// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxFieldName bounds the name of a field that a path's .* leads to, since it
// becomes part of what is answered. It is the longest name of a Kubernetes object.
const maxFieldName = 253

// place is where in an object a value is.
type place struct {
	path    *field.Path // as Kubernetes writes it; nil for the object itself
	pointer string      // as a JSON pointer (RFC 6901)
}

func (p place) child(name string) place {
	return place{p.path.Child(name), p.pointer + "/" + escaped(name)}
}

func (p place) value(key string) place {
	return place{p.path.Key(key), p.pointer + "/" + escaped(key)}
}

func (p place) index(i int) place {
	return place{p.path.Index(i), p.pointer + "/" + strconv.Itoa(i)}
}

// slot names an element of a list by its name, wherever it stands in the list, and
// one that has none by its position.
func (p place) slot(name string, i int) string {
	if name == "" {
		return p.index(i).pointer
	}
	return p.pointer + " " + name
}

// escaped is a field's name in a JSON pointer (RFC 6901, section 3).
func escaped(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
