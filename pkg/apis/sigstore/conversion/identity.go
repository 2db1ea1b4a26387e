// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import (
	"regexp"
	"regexp/syntax"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

func (c *converter) identity(path *field.Path, in sigstore.Identity) v1alpha1.Identity {
	return v1alpha1.Identity{
		Issuer: in.Issuer, IssuerRegExp: c.expression(path.Child("issuerRegExp"), in.IssuerRegExp),
		Subject: in.Subject, SubjectRegExp: c.expression(path.Child("subjectRegExp"), in.SubjectRegExp),
	}
}

// expression returns the expression that, anchored as ours are, matches what the given
// one matches anywhere in a text, as in that API.
func (c *converter) expression(path *field.Path, text string) string {
	if text == "" {
		return ""
	}
	// Compiled alone first: what is put around it must not mend it.
	if _, err := regexp.Compile(text); err != nil {
		c.refuse(field.Invalid(path, text, err.Error()))
		return text
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		c.refuse(field.Invalid(path, text, err.Error()))
		return text
	}
	begins, ends := beginsAnchored(parsed), endsAnchored(parsed)
	if begins && ends {
		return text
	}
	c.warnf(path, "%q matches anywhere in the text, as in policy-controller: whoever has it in a longer name is accepted, too; begin it with ^ and end it with $", text)
	wrapped := "(?s:.*)(?:" + text + ")(?s:.*)"
	if _, err := regexp.Compile(wrapped); err != nil {
		c.refuse(field.Invalid(path, text, "does not end what it begins: "+err.Error()))
		return text
	}
	return wrapped
}

// beginsAnchored reports whether whatever re matches is at the beginning of the text.
func beginsAnchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return beginsAnchored(re.Sub[0])
	case syntax.OpConcat:
		return len(re.Sub) > 0 && beginsAnchored(re.Sub[0])
	case syntax.OpAlternate:
		return all(re.Sub, beginsAnchored)
	default:
		return false
	}
}

// endsAnchored reports whether whatever re matches is at the end of the text.
func endsAnchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEndText:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return endsAnchored(re.Sub[0])
	case syntax.OpConcat:
		return len(re.Sub) > 0 && endsAnchored(re.Sub[len(re.Sub)-1])
	case syntax.OpAlternate:
		return all(re.Sub, endsAnchored)
	default:
		return false
	}
}

func all(subs []*syntax.Regexp, holds func(*syntax.Regexp) bool) bool {
	for _, sub := range subs {
		if !holds(sub) {
			return false
		}
	}
	return len(subs) > 0
}
