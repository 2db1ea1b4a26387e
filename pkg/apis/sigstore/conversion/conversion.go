// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conversion says in the terms of policy.countersign.dev what objects of
// policy.sigstore.dev mean. What it cannot say it refuses, with the field's path; it
// leaves nothing out that would make a policy accept more. docs/policy-sigstore-dev.md
// lists the differences.
package conversion

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/v1beta1"
)

// Options say how what that API leaves open is meant.
type Options struct {
	// Namespace is countersign's own, where the Secrets of policies are.
	Namespace string
	// OptionalTLog asks no log of an authority with a key that names none, as
	// policy-controller does. Otherwise the default TransparencyLog is asked.
	OptionalTLog bool
}

// IsPolicy reports whether objects of that kind are for ClusterImagePolicy.
func IsPolicy(kind schema.GroupVersionKind) bool {
	return kind.Group == sigstore.GroupName && kind.Kind == sigstore.ClusterImagePolicyKind &&
		(kind.Version == sigstore.Version || kind.Version == v1beta1.Version)
}

// IsTrustRoot reports whether objects of that kind are for TrustRoot.
func IsTrustRoot(kind schema.GroupVersionKind) bool {
	return kind.Group == sigstore.GroupName && kind.Kind == sigstore.TrustRootKind && kind.Version == sigstore.Version
}

// converter collects what is to be said of one object.
type converter struct {
	Options
	refused  field.ErrorList
	warnings []string
	// settled are fields of ours that have been refused under another path.
	settled []string
	// theirs are the paths of fields that have another one in our object, by that.
	theirs map[string]string
}

func (c *converter) refuse(err *field.Error) { c.refused = append(c.refused, err) }

// moved takes down that what is at ours in our object is at theirs in the one that is read.
func (c *converter) moved(ours, theirs *field.Path) {
	if c.theirs == nil {
		c.theirs = map[string]string{}
	}
	c.theirs[ours.String()] = theirs.String()
}

// original returns the path, in the object that is read, of a field of ours.
func (c *converter) original(ours string) string {
	for end := len(ours); end > 0; end = strings.LastIndexAny(ours[:end], ".[") {
		if theirs, moved := c.theirs[ours[:end]]; moved {
			return theirs + ours[end:]
		}
	}
	return ours
}

func (c *converter) warnf(path *field.Path, format string, args ...any) {
	c.warnings = append(c.warnings, path.String()+": "+fmt.Sprintf(format, args...))
}

// refuseAlso takes the errors of our own validation that are about something else than
// what has been refused already.
func (c *converter) refuseAlso(errs field.ErrorList) {
	before := c.refused
	for _, err := range errs {
		settled := slices.Contains(c.settled, err.Field)
		err.Field = c.original(err.Field)
		if !settled && !covered(err.Field, before) {
			c.refuse(err)
		}
	}
}

func covered(path string, errs field.ErrorList) bool {
	for _, err := range errs {
		if rest, ok := strings.CutPrefix(path, err.Field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// object is what is read of an object. Its status says nothing about what it asks for.
type object[S any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              S   `json:"spec"`
	Status            any `json:"status"`
}

// decode reads an object as it is written: names are case-sensitive, and what is unknown
// or repeated is refused, but for what a later Kubernetes knows of metadata. It reports
// whether the object could be read at all.
func (c *converter) decode(raw []byte, into any) bool {
	strict, err := json.UnmarshalStrict(raw, into)
	for _, problem := range strict {
		at := "spec"
		if named := json.FieldError(nil); errors.As(problem, &named) {
			at = named.FieldPath()
		}
		if strings.HasPrefix(at, "metadata.") {
			continue
		}
		c.refuse(&field.Error{Type: field.ErrorTypeForbidden, Field: at, Detail: problem.Error()})
	}
	if err != nil {
		c.refuse(&field.Error{Type: field.ErrorTypeInvalid, Field: "spec", BadValue: field.OmitValueType{}, Detail: err.Error()})
	}
	return err == nil
}

// qualified returns the name by which a TrustRoot of that API is known among ours.
func qualified(name string) string {
	if name == "" {
		return ""
	}
	return v1alpha1.SigstoreName(name)
}
