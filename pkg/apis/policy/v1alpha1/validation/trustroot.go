// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	maxRootAuthorities = 16
	maxRootLogs        = 16
	maxURI             = 2048
	maxLogTypes        = 64
	minRefreshInterval = time.Second
	maxRefreshInterval = 24 * time.Hour
)

// TrustRoot returns what makes a trust root unusable. It reads nothing but the
// object, and asks no mirror; what a TUF repository in it holds is only unpacked.
func TrustRoot(obj *v1alpha1.TrustRoot) field.ErrorList {
	spec, path := &obj.Spec, field.NewPath("spec")
	errs := v1alpha1.UnreadErrors(spec.Unread)
	if count(spec.SigstoreKeys != nil, spec.Remote != nil, spec.Repository != nil, spec.TrustedRoot != nil) != 1 {
		return append(errs, field.Forbidden(path, "exactly one of sigstoreKeys, remote, repository, trustedRoot must be set"))
	}
	errs = append(errs, logTypes(path.Child("logTypes"), spec)...)
	switch {
	case spec.SigstoreKeys != nil:
		return append(errs, sigstoreKeys(path.Child("sigstoreKeys"), spec.SigstoreKeys)...)
	case spec.Remote != nil:
		return append(errs, remote(path.Child("remote"), spec.Remote)...)
	case spec.Repository != nil:
		return append(errs, repository(path.Child("repository"), spec.Repository)...)
	default:
		return append(errs, trustedRoot(path.Child("trustedRoot"), spec.TrustedRoot)...)
	}
}

// logTypes checks what is said of logs that the object does not hold itself. Whether there
// are such logs is known only when the trust root has been read.
func logTypes(path *field.Path, spec *v1alpha1.TrustRootSpec) field.ErrorList {
	if len(spec.LogTypes) == 0 {
		return nil
	}
	if spec.SigstoreKeys != nil {
		return field.ErrorList{field.Forbidden(path, "with sigstoreKeys the type stands in each of tLogs")}
	}
	var errs field.ErrorList
	if len(spec.LogTypes) > maxLogTypes {
		errs = append(errs, field.TooMany(path, len(spec.LogTypes), maxLogTypes))
	}
	seen := map[string]bool{}
	for i, declared := range spec.LogTypes {
		path := path.Index(i)
		errs = append(errs, required(path.Child("baseURL"), declared.BaseURL, maxURI)...)
		errs = append(errs, oneOf(path.Child("type"), declared.Type, v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV2)...)
		if seen[declared.BaseURL] {
			errs = append(errs, field.Duplicate(path.Child("baseURL"), field.OmitValueType{}))
		}
		seen[declared.BaseURL] = true
	}
	return errs
}

func sigstoreKeys(path *field.Path, keys *v1alpha1.SigstoreKeys) field.ErrorList {
	var errs field.ErrorList
	if len(keys.CertificateAuthorities)+len(keys.CTLogs)+len(keys.TimestampAuthorities)+len(keys.TLogs) == 0 {
		errs = append(errs, field.Required(path, "at least one authority or log"))
	}
	errs = append(errs, rootAuthorities(path.Child("certificateAuthorities"), keys.CertificateAuthorities, func(ca *v1alpha1.CertificateAuthority) error {
		_, err := trust.ParseCertificateAuthority(ca)
		return err
	})...)
	errs = append(errs, rootAuthorities(path.Child("timestampAuthorities"), keys.TimestampAuthorities, func(ca *v1alpha1.CertificateAuthority) error {
		_, err := trust.ParseTimestampAuthority(ca)
		return err
	})...)
	errs = append(errs, rootLogs(path.Child("ctLogs"), keys.CTLogs)...)
	for i := range keys.CTLogs {
		if keys.CTLogs[i].Type != "" {
			errs = append(errs, field.Forbidden(path.Child("ctLogs").Index(i).Child("type"), "a certificate transparency log has no type"))
		}
	}
	errs = append(errs, rootLogs(path.Child("tLogs"), keys.TLogs)...)
	if len(errs) > 0 {
		return errs
	}
	if _, err := trust.ParseSigstoreKeys(keys); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	return nil
}

// rootAuthorities never quotes a chain: it may hold a private key.
func rootAuthorities(path *field.Path, authorities []v1alpha1.CertificateAuthority, parse func(*v1alpha1.CertificateAuthority) error) field.ErrorList {
	var errs field.ErrorList
	if len(authorities) > maxRootAuthorities {
		errs = append(errs, field.TooMany(path, len(authorities), maxRootAuthorities))
	}
	for i := range authorities {
		path := path.Index(i)
		errs = append(errs, required(path.Child("uri"), authorities[i].URI, maxURI)...)
		errs = append(errs, validity(path.Child("validity"), authorities[i].Validity)...)
		if err := parse(&authorities[i]); err != nil {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, err.Error()))
		}
	}
	return errs
}

func rootLogs(path *field.Path, logs []v1alpha1.TransparencyLogInstance) field.ErrorList {
	var errs field.ErrorList
	if len(logs) > maxRootLogs {
		errs = append(errs, field.TooMany(path, len(logs), maxRootLogs))
	}
	for i := range logs {
		path := path.Index(i)
		errs = append(errs, oneOf(path.Child("hashAlgorithm"), logs[i].HashAlgorithm, "sha-256", "sha256")...)
		errs = append(errs, validity(path.Child("validity"), logs[i].Validity)...)
		if logs[i].Type != "" {
			errs = append(errs, oneOf(path.Child("type"), logs[i].Type, v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV2)...)
		}
		if problem := urlProblem(logs[i].BaseURL); problem != "" {
			errs = append(errs, field.Invalid(path.Child("baseURL"), field.OmitValueType{}, problem))
		}
		if _, err := trust.ParseLogInstance(&logs[i]); err != nil {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, err.Error()))
		}
	}
	return errs
}

func validity(path *field.Path, v *v1alpha1.Validity) field.ErrorList {
	if v != nil && v.NotBefore != nil && v.NotAfter != nil && !v.NotBefore.Before(v.NotAfter) {
		return field.ErrorList{field.Invalid(path, v.NotAfter.String(), "notBefore must be before notAfter")}
	}
	return nil
}

func remote(path *field.Path, r *v1alpha1.RemoteRepository) field.ErrorList {
	var errs field.ErrorList
	if _, err := trust.ParseTUFRoot(r.Root); err != nil {
		errs = append(errs, field.Invalid(path.Child("root"), field.OmitValueType{}, err.Error()))
	}
	if problem := urlProblem(r.Mirror); problem != "" {
		errs = append(errs, field.Invalid(path.Child("mirror"), field.OmitValueType{}, problem))
	}
	if interval := r.RefreshInterval; interval != nil && (interval.Duration < minRefreshInterval || interval.Duration > maxRefreshInterval) {
		errs = append(errs, field.Invalid(path.Child("refreshInterval"), interval.Duration.String(), "must be between 1s and 24h"))
	}
	errs = append(errs, relative(path.Child("targets"), r.Targets)...)
	return append(errs, relative(path.Child("trustedRootTarget"), r.TrustedRootTarget)...)
}

func repository(path *field.Path, r *v1alpha1.EmbeddedRepository) field.ErrorList {
	var errs field.ErrorList
	if _, err := trust.ParseTUFRoot(r.Root); err != nil {
		errs = append(errs, field.Invalid(path.Child("root"), field.OmitValueType{}, err.Error()))
	}
	if _, err := trust.UnpackRepository(r.MirrorFS); err != nil {
		errs = append(errs, field.Invalid(path.Child("mirrorFS"), field.OmitValueType{}, err.Error()))
	}
	errs = append(errs, relative(path.Child("targets"), r.Targets)...)
	return append(errs, relative(path.Child("trustedRootTarget"), r.TrustedRootTarget)...)
}

// relative checks a path below the repository.
func relative(where *field.Path, name string) field.ErrorList {
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, ".") {
		return field.ErrorList{field.Invalid(where, name, "must be a path below the repository, without . and ..")}
	}
	return nil
}

func trustedRoot(path *field.Path, t *v1alpha1.TrustedRootText) field.ErrorList {
	switch {
	case (t.Data == "") == (t.ConfigMapRef == nil):
		return field.ErrorList{field.Forbidden(path, "exactly one of data, configMapRef must be set")}
	case t.ConfigMapRef == nil:
		if _, err := trust.ParseTrustedRoot([]byte(t.Data)); err != nil {
			return field.ErrorList{field.Invalid(path.Child("data"), field.OmitValueType{}, err.Error())}
		}
		return nil
	}
	var errs field.ErrorList
	path = path.Child("configMapRef")
	for _, problem := range validation.NameIsDNSSubdomain(t.ConfigMapRef.Name, false) {
		errs = append(errs, field.Invalid(path.Child("name"), t.ConfigMapRef.Name, problem))
	}
	if t.ConfigMapRef.Key != "" {
		for _, problem := range utilvalidation.IsConfigMapKey(t.ConfigMapRef.Key) {
			errs = append(errs, field.Invalid(path.Child("key"), t.ConfigMapRef.Key, problem))
		}
	}
	return errs
}

// TrustRootWarnings returns what is legal in a trust root and probably not meant,
// or dangerous.
func TrustRootWarnings(obj *v1alpha1.TrustRoot) []string {
	var warnings []string
	spec := &obj.Spec
	if spec.Remote != nil && strings.HasPrefix(spec.Remote.Mirror, "http://") {
		warnings = append(warnings, "spec.remote.mirror: http is not encrypted: the mirror's answers can be held back until they expire")
	}
	if spec.SigstoreKeys == nil {
		return warnings
	}
	keys := spec.SigstoreKeys
	if len(keys.CertificateAuthorities) > 0 && len(keys.CTLogs) == 0 {
		warnings = append(warnings, "spec.sigstoreKeys.ctLogs: there is none: keyless authorities can use this trust root only with insecureIgnoreSCT")
	}
	for i := range keys.CTLogs {
		for j := range keys.TLogs {
			if keys.CTLogs[i].PublicKey == keys.TLogs[j].PublicKey {
				warnings = append(warnings, fmt.Sprintf("spec.sigstoreKeys.tLogs[%d]: its key is that of ctLogs[%d]", j, i))
			}
		}
	}
	return warnings
}
