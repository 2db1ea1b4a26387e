// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// connection returns what is wrong with how a log's servers are asked. It never
// quotes the text of a certificate: a private key may stand there by mistake.
func connection(path *field.Path, spec *v1alpha1.TransparencyLogSpec) field.ErrorList {
	var errs field.ErrorList
	if tls := spec.TLS; tls != nil {
		path := path.Child("tls")
		if tls.CABundle != "" {
			if _, err := trust.ParseCABundle(tls.CABundle); err != nil {
				errs = append(errs, field.Invalid(path.Child("caBundle"), field.OmitValueType{}, err.Error()))
			}
		}
		if ref := tls.ClientCertSecretRef; ref != nil {
			errs = append(errs, secretName(path.Child("clientCertSecretRef", "name"), ref.Name)...)
		}
		if *tls == (v1alpha1.LogTLS{}) {
			errs = append(errs, field.Required(path, "caBundle, clientCertSecretRef or insecureSkipVerify"))
		}
	}
	if auth := spec.Auth; auth != nil {
		path := path.Child("auth")
		switch {
		case (auth.BasicSecretRef == nil) == (auth.BearerSecretRef == nil):
			errs = append(errs, field.Forbidden(path, "exactly one of basicSecretRef, bearerSecretRef must be set"))
		case auth.BasicSecretRef != nil:
			errs = append(errs, secretName(path.Child("basicSecretRef", "name"), auth.BasicSecretRef.Name)...)
		default:
			errs = append(errs, secretRef(path.Child("bearerSecretRef"), auth.BearerSecretRef)...)
		}
	}
	return errs
}

func secretName(path *field.Path, name string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(path, name, problem))
	}
	return errs
}
