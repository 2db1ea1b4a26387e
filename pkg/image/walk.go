// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/json"
	"fmt"

	kjson "sigs.k8s.io/json"
)

// reader reads an object once, from its beginning to its end, and keeps nothing of
// what nobody asks for: an object is as large as its author likes. As the API
// server does, it takes keys as they are written, upper case and lower case apart.
type reader struct {
	decoder kjson.Decoder
}

// walk calls found for each value that p leads to in the JSON text raw; found has
// to read it. What is not there, or null, leads nowhere. It is an error when a
// value on the way is of another type than the path says, or when a field on it is
// given twice: what is verified must not depend on which of the two one takes.
func walk(raw []byte, p path, found func(r *reader, at place) error) error {
	r := &reader{decoder: kjson.NewDecoderCaseSensitivePreserveInts(bytes.NewReader(raw))}
	return r.follow(p, place{}, found)
}

func (r *reader) follow(p path, at place, found func(r *reader, at place) error) error {
	if len(p) == 0 {
		return found(r, at)
	}
	first, rest := p[0], p[1:]
	switch first.over {
	case everyElement:
		return r.list(at, func(_ int, at place) error { return r.follow(rest, at, found) })
	case everyField:
		visited := 0
		return r.object(at, func(name string) error {
			if visited++; visited > maxElements {
				return fmt.Errorf("%s has more than %d fields", at.path, maxElements)
			}
			if len(name) > maxFieldName {
				return fmt.Errorf("%s has a field whose name is longer than %d bytes", at.path, maxFieldName)
			}
			return r.follow(rest, at.value(name), found)
		})
	default:
		seen := false
		return r.object(at, func(name string) error {
			switch {
			case name != first.field:
				return r.skip()
			case seen:
				return duplicate(at.child(name))
			}
			seen = true
			return r.follow(rest, at.child(name), found)
		})
	}
}

// object reads an object; visit has to read the value of each field. null is an
// object without fields.
func (r *reader) object(at place, visit func(name string) error) error {
	switch start, err := r.decoder.Token(); {
	case err != nil || start == nil:
		return err
	case start != json.Delim('{'):
		return fmt.Errorf("%s is not an object", at.path)
	}
	for r.decoder.More() {
		key, err := r.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the decoder knows no other key
		if err := visit(name); err != nil {
			return err
		}
	}
	_, err := r.decoder.Token()
	return err
}

// list reads a list; visit has to read each element. null is a list without any.
func (r *reader) list(at place, visit func(i int, at place) error) error {
	switch start, err := r.decoder.Token(); {
	case err != nil || start == nil:
		return err
	case start != json.Delim('['):
		return fmt.Errorf("%s is not a list", at.path)
	}
	for i := 0; r.decoder.More(); i++ {
		if i == maxElements {
			return fmt.Errorf("%s has more than %d elements", at.path, maxElements)
		}
		if err := visit(i, at.index(i)); err != nil {
			return err
		}
	}
	_, err := r.decoder.Token()
	return err
}

// skip reads a value and forgets it.
func (r *reader) skip() error { return r.decoder.Decode(&ignored{}) }

// strictly reads a value into a Go one, and refuses fields that are given twice.
func (r *reader) strictly(at place, into any) error {
	if err := r.decoder.Decode(&strict{into}); err != nil {
		return fmt.Errorf("%s: %w", at.path, err)
	}
	return nil
}

func duplicate(at place) error { return fmt.Errorf("duplicate field %q", at.path) }

// ignored takes any JSON value and no memory.
type ignored struct{}

func (*ignored) UnmarshalJSON([]byte) error { return nil }

type strict struct{ into any }

func (s *strict) UnmarshalJSON(raw []byte) error {
	problems, err := kjson.UnmarshalStrict(raw, s.into, kjson.DisallowDuplicateFields)
	if err == nil && len(problems) > 0 {
		err = problems[0]
	}
	return err
}
