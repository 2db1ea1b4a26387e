// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrapBreaksLinesWhereTheyCanBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"nothing":                     {"", ""},
		"a line that fits":            {"  0123456789 0123456", "  0123456789 0123456"},
		"a line that does not":        {"  → one two three four five", "  → one two three\n      four five"},
		"a line of many parts":        {"one two three four five six seven eight", "one two three four\n    five six seven\n    eight"},
		"a word that fits nowhere":    {"0123456789012345678901234 five", "0123456789012345678901234 five"},
		"an image with its digest":    {"registry/app:1.0@sha256:01234567", "registry/app:1.0\n    @sha256:01234567"},
		"a digest that fits nowhere":  {"app@sha256:0123456789012345678901234", "app\n    @sha256:0123456789012345678901234"},
		"a break just at the edge":    {"01234567890123456789 x", "01234567890123456789\n    x"},
		"letters of more than a byte": {"éééééééééééééééééééé", "éééééééééééééééééééé"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, wrap(test.line, 20)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
