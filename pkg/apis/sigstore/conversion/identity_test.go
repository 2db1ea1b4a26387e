// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
)

// expressionOf returns what an expression of that API becomes, and whether it was warned of.
func expressionOf(t *testing.T, expression string) (string, bool) {
	t.Helper()
	converted, refused := read(t, with("{keyless: {url: https://fulcio.test, identities: [{issuer: https://a.test, subjectRegExp: '"+
		strings.ReplaceAll(expression, "'", "''")+"'}]}, ctlog: {url: https://rekor.test}}"), options)
	if len(refused) > 0 {
		t.Fatalf("%q: %v", expression, converted.Refused)
	}
	return converted.Object.Spec.Authorities[0].Keyless.Identities[0].SubjectRegExp, len(converted.Warnings) > 0
}

// expressions are examples, and whether each says where it begins and ends.
var expressions = map[string]bool{
	"a": false, "^a$": true, "^a": false, "a$": false, `\Aa\z`: true, "^a|b$": false, "^a$|^b$": true, "^(a|b)$": true, "(^a$)": true,
	"(?i)^A$": true, "(?m)^a$": false, "^*a$": false, "(^)?a$": false, "^a(b|$)": false, ".*a.*": false, ".*": false, "": true, "a|": false, "^$": true,
	"(?s).*": false, "[^a]": false, `\^a\$`: false, "a?": false, `\ba\b`: false, "(?:^a)+$": true, "(?:^a$)*": false,
}

func TestAnExpressionMatchesAnywhereAsInThatAPI(t *testing.T) {
	texts := []string{"", "a", "b", "ab", "ba", "xax", "A", "a\nb", "b\na", "\na\n", "^a$", "https://github.com/myorg/myrepo", "aa", "a b"}
	for expression, anchored := range expressions {
		if expression == "" {
			continue // none is given
		}
		t.Run(expression, func(t *testing.T) {
			converted, warned := expressionOf(t, expression)
			if warned == anchored {
				t.Errorf("warned: %v", warned)
			}
			theirs, err := regexp.Compile(expression)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := regexp.Compile(`\A(?:` + converted + `)\z`)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				if theirs.MatchString(text) != ours.MatchString(text) {
					t.Errorf("%q: that API says %v, and %q says %v", text, theirs.MatchString(text), converted, ours.MatchString(text))
				}
			}
		})
	}
}

// FuzzExpression: whatever an expression is, it is refused or means the same.
func FuzzExpression(f *testing.F) {
	for expression := range expressions {
		f.Add(expression, "xax")
	}
	f.Add(`\Qa`, "a")
	f.Add(`a)|(?:b`, "b")
	f.Fuzz(func(t *testing.T, expression, text string) {
		converted, ok := conversion.Expression(expression)
		theirs, err := regexp.Compile(expression)
		if err != nil && ok && expression != "" {
			t.Fatalf("%q does not compile, and is kept as %q", expression, converted)
		}
		if !ok || expression == "" {
			return
		}
		ours, err := regexp.Compile(`\A(?:` + converted + `)\z`)
		if err != nil {
			t.Skip() // our own validation refuses it
		}
		if theirs.MatchString(text) != ours.MatchString(text) {
			t.Fatalf("%q on %q: that API says %v, and %q says %v", expression, text, theirs.MatchString(text), converted, ours.MatchString(text))
		}
	})
}
