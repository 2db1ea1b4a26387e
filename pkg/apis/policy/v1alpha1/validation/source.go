// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	maxSources   = 4
	maxOCI       = 512
	maxTagPrefix = 53

	maxSignaturePullSecrets = 4
)

// sources checks where an authority looks for signatures.
func sources(path *field.Path, sources []v1alpha1.Source) field.ErrorList {
	var errs field.ErrorList
	if len(sources) > maxSources {
		errs = append(errs, field.TooMany(path, len(sources), maxSources))
	}
	seen := sets.New[sourceKey]()
	for i, s := range sources {
		errs = append(errs, source(path.Index(i), s)...)
		if seen.Has(canonical(s)) {
			errs = append(errs, field.Duplicate(path.Index(i), s.OCI))
		}
		seen.Insert(canonical(s))
	}
	return errs
}

func source(path *field.Path, s v1alpha1.Source) field.ErrorList {
	if s.OCI == "" && s.TagPrefix == "" && len(s.SignaturePullSecrets) == 0 {
		return field.ErrorList{field.Required(path, "at least one of oci, tagPrefix, signaturePullSecrets must be set")}
	}
	errs := signaturePullSecrets(path.Child("signaturePullSecrets"), s.SignaturePullSecrets)
	if len(s.OCI) > maxOCI {
		errs = append(errs, field.TooLong(path.Child("oci"), "", maxOCI))
	} else if _, err := image.ParseRepository(s.OCI); s.OCI != "" && err != nil {
		errs = append(errs, field.Invalid(path.Child("oci"), s.OCI, err.Error()))
	}
	if err := image.CheckTagPrefix(s.TagPrefix); err != nil {
		errs = append(errs, field.Invalid(path.Child("tagPrefix"), s.TagPrefix, err.Error()))
	}
	return errs
}

func signaturePullSecrets(path *field.Path, secrets []v1alpha1.SecretReference) field.ErrorList {
	var errs field.ErrorList
	if len(secrets) > maxSignaturePullSecrets {
		errs = append(errs, field.TooMany(path, len(secrets), maxSignaturePullSecrets))
	}
	seen := sets.New[string]()
	for i, s := range secrets {
		errs = append(errs, secretName(path.Index(i).Child("name"), s.Name)...)
		if seen.Has(s.Name) {
			errs = append(errs, field.Duplicate(path.Index(i), s.Name))
		}
		seen.Insert(s.Name)
	}
	return errs
}

// sourceKey tells one place from another.
type sourceKey struct{ repository, tagPrefix string }

// canonical gives two spellings of one place one form. With other credentials it is
// the same place.
func canonical(s v1alpha1.Source) sourceKey {
	if repository, err := image.ParseRepository(s.OCI); err == nil {
		s.OCI = repository.String()
	}
	return sourceKey{s.OCI, s.TagPrefix}
}

// distinctSources refuses a policy that looks in too many places: each costs
// requests for every image, and has limits of its own on what it may send.
func distinctSources(path *field.Path, authorities []v1alpha1.Authority) field.ErrorList {
	seen := sets.New[sourceKey]()
	for i := range authorities {
		for j, s := range authorities[i].Source {
			if seen.Insert(canonical(s)); len(seen) > v1alpha1.MaxPolicySources {
				return field.ErrorList{field.Forbidden(path.Index(i).Child("source").Index(j),
					fmt.Sprintf("the authorities of a policy have at most %d different sources", v1alpha1.MaxPolicySources))}
			}
		}
	}
	return nil
}
