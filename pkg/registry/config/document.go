// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads the file that says how registries are reached, and follows
// its changes. docs/registries.md describes the file.
package config

import (
	"errors"
	"fmt"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// What the file says of itself.
const (
	apiVersion = "config.countersign.dev/v1alpha1"
	kind       = "RegistryConfig"
)

// document is the file, YAML or JSON.
type document struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Registries []entry `json:"registries"`
	// RefersTo is for the registries that have none of their own.
	RefersTo []string `json:"refersTo"`
}

// entry is what it says about one registry.
type entry struct {
	Host              string       `json:"host"`
	CABundle          string       `json:"caBundle"`
	CAFile            string       `json:"caFile"`
	ClientCertificate *certificate `json:"clientCertificate"`
	CredentialsFile   string       `json:"credentialsFile"`
	InsecureHTTP      bool         `json:"insecureHTTP"`
	Proxy             string       `json:"proxy"`
	Mirrors           []string     `json:"mirrors"`
	MirrorsOnly       bool         `json:"mirrorsOnly"`
	Signatures        string       `json:"signatures"`
	RefersTo          []string     `json:"refersTo"`
}

// certificate names the files of a certificate and its key, PEM both.
type certificate struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// parse reads a document strictly: a field that nobody knows, that stands there
// twice or is in other letters is a mistake, since what it was to say would be
// missed.
func parse(text []byte) (document, error) {
	var d document
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return d, err
	}
	strict, err := kjson.UnmarshalStrict(raw, &d)
	if err := errors.Join(append(strict, err)...); err != nil {
		return d, err
	}
	if d.APIVersion != apiVersion || d.Kind != kind {
		return d, fmt.Errorf("it is %q of %q, and must be %q of %q", d.Kind, d.APIVersion, kind, apiVersion)
	}
	return d, nil
}
