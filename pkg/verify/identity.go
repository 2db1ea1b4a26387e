// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// IdentitySpec says who may sign without a key, as a policy writes it.
type IdentitySpec struct {
	// Issuer is the OIDC issuer that vouched for the signer, exactly;
	// IssuerRegExp is an expression for it. One of the two is required.
	Issuer, IssuerRegExp string
	// Subject is the certificate's subject alternative name, exactly;
	// SubjectRegExp is an expression for it. One of the two is required.
	Subject, SubjectRegExp string
	// Extensions are values that the certificate's Fulcio extensions must have,
	// by the names that IdentityExtensions returns.
	Extensions map[string]string
}

// Identity is a compiled IdentitySpec. The zero value matches nobody; only
// NewIdentity makes others. Immutable.
type Identity struct {
	issuer, subject func(string) bool
	extensions      map[string]string
	text            string
}

// NewIdentity compiles spec. Regular expressions have RE2's syntax and must match
// the whole value: `github.com/org/.*` does not match
// `https://evil.example/github.com/org/x`.
func NewIdentity(spec IdentitySpec) (Identity, error) {
	issuer, err := matcher("issuer", spec.Issuer, spec.IssuerRegExp)
	if err != nil {
		return Identity{}, err
	}
	subject, err := matcher("subject", spec.Subject, spec.SubjectRegExp)
	if err != nil {
		return Identity{}, err
	}
	known := IdentityExtensions()
	for name, value := range spec.Extensions {
		if !slices.Contains(known, name) {
			return Identity{}, fmt.Errorf("extension %q is none of %s", name, strings.Join(known, ", "))
		}
		if value == "" {
			return Identity{}, fmt.Errorf("extension %q has no value", name)
		}
	}
	text := fmt.Sprintf("subject %q by issuer %q", spec.Subject+spec.SubjectRegExp, spec.Issuer+spec.IssuerRegExp)
	return Identity{issuer: issuer, subject: subject, extensions: spec.Extensions, text: text}, nil
}

// matcher returns a function that compares a value with exactly one of an exact
// string and an expression.
func matcher(what, exact, expression string) (func(string) bool, error) {
	switch {
	case exact != "" && expression != "":
		return nil, fmt.Errorf("%[1]s and %[1]sRegExp exclude each other", what)
	case exact != "":
		return func(value string) bool { return value == exact }, nil
	case expression != "":
		// Compiled alone first: what is put around it must not mend it.
		if _, err := regexp.Compile(expression); err != nil {
			return nil, fmt.Errorf("%sRegExp: %w", what, err)
		}
		anchored, err := regexp.Compile(`\A(?:` + expression + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("%sRegExp: %w", what, err)
		}
		return anchored.MatchString, nil
	default:
		return nil, fmt.Errorf("%[1]s or %[1]sRegExp is required", what)
	}
}

// IdentityExtensions returns the documented names of Fulcio's certificate
// extensions, sorted: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md,
// the arc 1.3.6.1.4.1.57264.1. The issuer is not among them: it is an
// Identity's own field.
func IdentityExtensions() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[certificate.Extensions]()) {
		if name := extensionName(field); name != "issuer" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func extensionName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// matches reports whether the certificate is of this identity.
func (i Identity) matches(c certificate.Summary) bool {
	if i.issuer == nil || i.subject == nil || !i.issuer(c.Issuer) || !i.subject(c.SubjectAlternativeName) {
		return false
	}
	value := reflect.ValueOf(c.Extensions)
	for _, field := range reflect.VisibleFields(value.Type()) {
		want, required := i.extensions[extensionName(field)]
		if required && value.FieldByIndex(field.Index).String() != want {
			return false
		}
	}
	return true
}

// errNoSubject: a certificate without exactly one subject alternative name that
// can be an identity says nothing, or two things.
var errNoSubject = errors.New("the certificate does not have exactly one subject alternative name")

// summarize reads issuer, subject and extensions of a certificate.
func summarize(leaf *x509.Certificate) (certificate.Summary, error) {
	if len(leaf.URIs)+len(leaf.EmailAddresses) > 1 {
		return certificate.Summary{}, errNoSubject
	}
	return certificate.SummarizeCertificate(leaf)
}
