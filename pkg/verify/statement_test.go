// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestFieldsOfStatements has what encoding/json would take one field of, and half of what
// it would refuse: the fields are of one whole object, or there are none.
func TestFieldsOfStatements(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string // nil if it is refused
	}{
		"an object":                         {`{"a":1,"b":{"a":[{}]}}`, []string{"a", "b"}},
		"with spaces around it":             {" \n{ \"a\" : null }\t", []string{"a"}},
		"nothing":                           {text: ``},
		"a list":                            {text: `[{"a":1}]`},
		"a text":                            {text: `"a"`},
		"an object without an end":          {text: `{"a":1`},
		"without an end, after a comma":     {text: `{"a":1,`},
		"a name without a value":            {text: `{"a"`},
		"a name without a value, and a end": {text: `{"a":}`},
		"a value that is not whole":         {text: `{"a":[1}`},
		"a name that is a number":           {text: `{1:2}`},
		"a name that is not whole":          {text: `{"a`},
		"another end":                       {text: `{"a":1]`},
		"two objects":                       {text: `{"a":1}{"b":1}`},
		"an object and an end":              {text: `{"a":1}}`},
		"an object and half of another":     {text: `{"a":1}{`},
		"a field twice":                     {text: `{"a":1,"a":1}`},
		"a field twice, in capitals":        {text: `{"a":1,"A":1}`},
		"a field twice, by its number":      {text: `{"a":1,"\u0041":1}`},
		"a field twice, with a long s":      {text: `{"s":1,"\u017f":1}`},
		"a field twice, as a Kelvin sign":   {text: `{"k":1,"\u212a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify.FieldsOf([]byte(tt.text))
			if (err == nil) != (tt.want != nil) || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			var whole map[string]any
			if other := json.Unmarshal([]byte(tt.text), &whole); err == nil && other != nil {
				t.Errorf("encoding/json refuses it: %v", other)
			}
		})
	}
}
