// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"reflect"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// newerExtension returns the documented name of an extension that Fulcio writes and
// sigstore-go does not read yet, and "" for any other.
func newerExtension(id asn1.ObjectIdentifier) string {
	for name, known := range newerExtensions() {
		if id.Equal(known) {
			return name
		}
	}
	return ""
}

func newerExtensions() map[string]asn1.ObjectIdentifier {
	return map[string]asn1.ObjectIdentifier{
		"deploymentEnvironment": {1, 3, 6, 1, 4, 1, 57264, 1, 23},
		"tokenSubject":          {1, 3, 6, 1, 4, 1, 57264, 1, 24},
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
	for name := range newerExtensions() {
		if !slices.Contains(names, name) {
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

// extensionValues returns the values of a certificate's extensions by name: those
// that sigstore-go has read, and the newer ones.
func extensionValues(known certificate.Extensions, leaf *x509.Certificate) (map[string]string, error) {
	values := map[string]string{}
	all := reflect.ValueOf(known)
	for _, field := range reflect.VisibleFields(all.Type()) {
		values[extensionName(field)] = all.FieldByIndex(field.Index).String()
	}
	for _, e := range leaf.Extensions {
		name := newerExtension(e.Id)
		if name == "" {
			continue
		}
		var value string
		if err := certificate.ParseDERString(e.Value, &value); err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, nil
}
