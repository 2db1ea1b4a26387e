// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
)

// Unread is a field of a specification that its type does not hold: one that is unknown, or
// that is there twice. It may ask for more than the rest says. The webhook refuses
// such an object; one that was stored while no webhook asked, or by a later version of
// countersign, accepts nothing.
type Unread struct {
	// Field is its path.
	Field string `json:"-"`
	// Problem says why it was not read.
	Problem string `json:"-"`
}

// Err says that the field cannot be there.
func (u *Unread) Err() *field.Error {
	return &field.Error{Type: field.ErrorTypeForbidden, Field: u.Field, Detail: u.Problem}
}

// UnreadErrors says so of each of them.
func UnreadErrors(all []Unread) field.ErrorList {
	var errs field.ErrorList
	for i := range all {
		errs = append(errs, all[i].Err())
	}
	return errs
}

// read decodes a specification, and returns what of it was not read. Names are
// case-sensitive, as for the API server. Of one that cannot be decoded nothing is kept:
// half of it could say less than all.
//
// It never fails. An error would keep every object of its kind from being read: an informer
// that cannot decode one of a list has none.
func read[T any](raw []byte, spec *T) []Unread {
	strict, err := json.UnmarshalStrict(raw, spec)
	if err != nil {
		*spec = *new(T)
		return []Unread{{Field: "spec", Problem: err.Error()}}
	}
	var unread []Unread
	for _, problem := range strict {
		at := "spec"
		if named := json.FieldError(nil); errors.As(problem, &named) {
			at += "." + named.FieldPath()
			named.SetFieldPath(at)
		}
		unread = append(unread, Unread{Field: at, Problem: problem.Error()})
	}
	return unread
}

// UnmarshalJSON implements json.Unmarshaler. It keeps in mind what it does not read.
func (s *ClusterImagePolicySpec) UnmarshalJSON(raw []byte) error {
	type spec ClusterImagePolicySpec
	s.Unread = read(raw, (*spec)(s))
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It keeps in mind what it does not read.
func (s *ImagePolicySpec) UnmarshalJSON(raw []byte) error {
	type spec ImagePolicySpec
	s.Unread = read(raw, (*spec)(s))
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It keeps in mind what it does not read.
func (s *ImagePolicyExceptionSpec) UnmarshalJSON(raw []byte) error {
	type spec ImagePolicyExceptionSpec
	s.Unread = read(raw, (*spec)(s))
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It keeps in mind what it does not read.
func (s *TransparencyLogSpec) UnmarshalJSON(raw []byte) error {
	type spec TransparencyLogSpec
	s.Unread = read(raw, (*spec)(s))
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It keeps in mind what it does not read.
func (s *TrustRootSpec) UnmarshalJSON(raw []byte) error {
	type spec TrustRootSpec
	s.Unread = read(raw, (*spec)(s))
	return nil
}
