// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// maxSteps bounds the length of a path.
const maxSteps = 32

// path leads from an object to values in it.
type path []step

// step goes from a value to one or several values in it.
type step struct {
	over  over
	field string // of an object, where over is oneField
}

// over says which of the values in a value a step goes to.
type over int

const (
	oneField over = iota
	everyElement
	everyField
)

// fields is a path that leads to one value.
func fields(names ...string) path {
	p := make(path, 0, len(names))
	for _, name := range names {
		p = append(p, step{field: name})
	}
	return p
}

// parsePath reads a path in the syntax of kubectl's JSONPath, as it is written in
// the printer columns of custom resources: `.spec.parts[*].template.spec`. Of that
// language it takes what says the same of every object: fields, [*] for all
// elements of a list, and .* for all fields of an object. An index or a filter
// would let whoever writes an object choose which of its images are looked at.
func parsePath(text string) (path, error) {
	if !strings.HasPrefix(text, ".") || strings.ContainsAny(text, "{}@$'\" \t\r\n") {
		return nil, errors.New("must begin with '.' and have no braces, quotes or spaces, as in .spec.template.spec")
	}
	parsed, err := jsonpath.Parse("path", "{"+text+"}")
	if err != nil {
		return nil, err
	}
	if len(parsed.Root.Nodes) != 1 {
		return nil, errors.New("is not one path")
	}
	list, ok := parsed.Root.Nodes[0].(*jsonpath.ListNode)
	if !ok {
		return nil, errors.New("is not one path")
	}
	if len(list.Nodes) > maxSteps {
		return nil, fmt.Errorf("has more than %d steps", maxSteps)
	}
	p := make(path, 0, len(list.Nodes))
	for _, node := range list.Nodes {
		next, err := parseStep(node)
		if err != nil {
			return nil, err
		}
		p = append(p, next)
	}
	return p, nil
}

func parseStep(node jsonpath.Node) (step, error) {
	switch node := node.(type) {
	case *jsonpath.FieldNode:
		if node.Value != "" {
			return step{field: node.Value}, nil
		}
		return step{}, errors.New("has a field without a name")
	case *jsonpath.WildcardNode:
		return step{over: everyField}, nil
	case *jsonpath.ArrayNode:
		if node.Params == ([3]jsonpath.ParamsEntry{}) {
			return step{over: everyElement}, nil
		}
	}
	return step{}, errors.New("may have only fields, [*] and .*, no index, slice, union, filter or '..'")
}
