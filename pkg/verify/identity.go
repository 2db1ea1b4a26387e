// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
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
	return Identity{issuer: issuer, subject: subject, extensions: maps.Clone(spec.Extensions), text: text}, nil
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

// matches reports whether the certificate is of this identity.
func (i Identity) matches(h holder) bool {
	// An expression can match nothing at all; an issuer there must be.
	if i.issuer == nil || i.subject == nil || h.issuer == "" || !i.issuer(h.issuer) || !i.subject(h.subject) {
		return false
	}
	for name, want := range i.extensions {
		if h.extensions[name] != want {
			return false
		}
	}
	return true
}

// holder is what a certificate says of its holder.
type holder struct {
	issuer, subject string
	// extensions are by the names that IdentityExtensions returns.
	extensions map[string]string
}

// readIdentity reads issuer, subject and extensions of a certificate.
func readIdentity(leaf *x509.Certificate) (holder, error) {
	known, err := certificate.ParseExtensions(leaf.Extensions)
	if err != nil {
		return holder{}, err
	}
	// As it stands there, not parsed and printed as a URI.
	subject, err := subjectName(leaf)
	if err != nil {
		return holder{}, err
	}
	if subject == "" {
		return holder{}, errNoSubject
	}
	extensions, err := extensionValues(known, leaf)
	if err != nil {
		return holder{}, err
	}
	return holder{issuer: known.Issuer, subject: subject, extensions: extensions}, checkIssuers(leaf)
}

// errNoSubject: a certificate without exactly one subject alternative name that
// can be an identity says nothing, or two things.
var errNoSubject = errors.New("it does not have exactly one subject alternative name")

// Tags of the general names that can be an identity, RFC 5280 section 4.2.1.6.
const (
	otherNameTag = 0
	emailTag     = 1
	uriTag       = 6
)

// subjectName returns the only subject alternative name of a certificate: an e-mail
// address, a URI, or Fulcio's other name.
func subjectName(leaf *x509.Certificate) (string, error) {
	at := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(cryptoutils.SANOID) })
	if at < 0 {
		return "", errNoSubject
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(leaf.Extensions[at].Value, &names); err != nil || len(rest) > 0 || len(names) != 1 {
		return "", errNoSubject
	}
	name := names[0]
	switch {
	case name.Class == asn1.ClassContextSpecific && (name.Tag == uriTag || name.Tag == emailTag):
		return string(name.Bytes), nil
	case name.Class == asn1.ClassContextSpecific && name.Tag == otherNameTag:
		return cryptoutils.UnmarshalOtherNameSAN(leaf.Extensions)
	default:
		return "", errNoSubject
	}
}

// checkIssuers refuses a certificate whose two extensions for the issuer, of which
// the older one is deprecated, name two.
func checkIssuers(leaf *x509.Certificate) error {
	var old, current []byte
	for _, e := range leaf.Extensions {
		switch {
		case e.Id.Equal(certificate.OIDIssuer): //nolint:staticcheck // deprecated, and still written
			old = e.Value
		case e.Id.Equal(certificate.OIDIssuerV2):
			var issuer string
			if err := certificate.ParseDERString(e.Value, &issuer); err != nil {
				return err
			}
			current = []byte(issuer)
		}
	}
	if old != nil && current != nil && !bytes.Equal(old, current) {
		return errors.New("it names two issuers")
	}
	return nil
}
