// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation says what is wrong with an object of policy.countersign.dev
// and what is legal but dangerous. The policy webhook, which sees objects after
// the schema, and the command line, which sees files that no schema has looked
// at, share it; so it checks all that the schema does, and what no schema can:
// that keys and patterns parse.
//
// Objects must have their defaults (SetDefaults).
package validation

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	maxPatterns    = 128
	maxGlob        = 512
	maxAuthorities = 16
	maxLogRefs     = 8
	maxMessage     = 1024
)

// ClusterImagePolicy returns what makes policy unusable. It reads nothing but the
// object: whether a Secret, a log or a trust root exists is a warning, see
// PolicyWarnings.
func ClusterImagePolicy(policy *v1alpha1.ClusterImagePolicy) field.ErrorList {
	spec, path := &policy.Spec, field.NewPath("spec")
	errs := v1alpha1.UnreadErrors(spec.Unread)
	errs = append(errs, oneOf(path.Child("mode"), spec.Mode, v1alpha1.ModeEnforce, v1alpha1.ModeWarn, v1alpha1.ModeAudit)...)
	errs = append(errs, oneOf(path.Child("platforms"), spec.Platforms, v1alpha1.PlatformsIndex, v1alpha1.PlatformsAll)...)
	errs = append(errs, oneOf(path.Child("exceptions"), spec.Exceptions, v1alpha1.ExceptionsDeny, v1alpha1.ExceptionsAllow)...)
	errs = append(errs, oneOf(path.Child("onUnavailable"), spec.OnUnavailable,
		v1alpha1.OnUnavailableDeny, v1alpha1.OnUnavailableAllowEmbeddedProof, v1alpha1.OnUnavailableAllowPreviouslyVerified)...)
	if len(spec.Images) == 0 {
		errs = append(errs, field.Required(path.Child("images"), "at least one pattern says which images are covered"))
	}
	errs = append(errs, patterns(path.Child("images"), spec.Images)...)
	errs = append(errs, patterns(path.Child("excludeImages"), spec.ExcludeImages)...)
	errs = append(errs, labelSelector(path.Child("namespaceSelector"), spec.NamespaceSelector)...)
	errs = append(errs, matches(path.Child("match"), spec.Match)...)
	errs = append(errs, authorities(path.Child("authorities"), spec.Authorities)...)
	if n := len(spec.Authorities); n > 0 && (spec.Threshold < 1 || int(spec.Threshold) > n) {
		errs = append(errs, field.Invalid(path.Child("threshold"), spec.Threshold,
			fmt.Sprintf("must be between 1 and the number of authorities, %d", n)))
	}
	errs = append(errs, distinctSources(path.Child("authorities"), spec.Authorities)...)
	if spec.Threshold > 1 {
		errs = append(errs, repeatedKeys(path.Child("authorities"), spec.Authorities)...)
	}
	return errs
}

// repeatedKeys returns an error for each authority with the key of an earlier
// one: a threshold asks for several signers, and counts each key once. Two
// Secrets, or services, with the same key are found when the policy is compiled.
func repeatedKeys(path *field.Path, authorities []v1alpha1.Authority) field.ErrorList {
	var errs field.ErrorList
	first := map[string]string{}
	for i, a := range authorities {
		var id string
		switch {
		case a.Key == nil:
			continue
		case a.Key.KMS != "":
			id = a.Key.KMS
		case a.Key.SecretRef != nil:
			id = "secret " + a.Key.SecretRef.Name + "/" + a.Key.SecretRef.Key
		default:
			k, err := verify.ParseKey(trust.KeyOfCertificate([]byte(a.Key.Data)), string(a.Key.HashAlgorithm))
			if err != nil {
				continue // an error of its own
			}
			id = k.String()
		}
		if earlier, repeated := first[id]; repeated {
			errs = append(errs, field.Invalid(path.Index(i).Child("key"), field.OmitValueType{},
				fmt.Sprintf("authority %q has the same key, and a threshold above 1 counts each key once", earlier)))
			continue
		}
		first[id] = a.Name
	}
	return errs
}

func patterns(path *field.Path, patterns []v1alpha1.ImagePattern) field.ErrorList {
	var errs field.ErrorList
	if len(patterns) > maxPatterns {
		errs = append(errs, field.TooMany(path, len(patterns), maxPatterns))
	}
	for i, pattern := range patterns {
		if len(pattern.Glob) > maxGlob {
			errs = append(errs, field.TooLong(path.Index(i).Child("glob"), "", maxGlob))
		} else if _, err := image.ParseGlob(pattern.Glob); err != nil {
			errs = append(errs, field.Invalid(path.Index(i).Child("glob"), pattern.Glob, err.Error()))
		}
	}
	return errs
}

func authorities(path *field.Path, authorities []v1alpha1.Authority) field.ErrorList {
	var errs field.ErrorList
	if len(authorities) == 0 {
		errs = append(errs, field.Required(path, "at least one authority vouches for images"))
	}
	if len(authorities) > maxAuthorities {
		errs = append(errs, field.TooMany(path, len(authorities), maxAuthorities))
	}
	names := sets.New[string]()
	for i := range authorities {
		name := authorities[i].Name
		errs = append(errs, authority(path.Index(i), &authorities[i])...)
		if names.Has(name) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), name))
		}
		names.Insert(name)
	}
	return errs
}

func authority(path *field.Path, a *v1alpha1.Authority) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.NameIsDNSLabel(a.Name, false) {
		errs = append(errs, field.Invalid(path.Child("name"), a.Name, problem))
	}
	errs = append(errs, requirements(path, a)...)
	switch {
	case count(a.Key != nil, a.Keyless != nil, a.Static != nil) != 1:
		errs = append(errs, field.Invalid(path, a.Name, "exactly one of key, keyless, static must be set"))
	case a.Key != nil:
		errs = append(errs, key(path.Child("key"), a.Key)...)
		errs = append(errs, ctlog(path.Child("ctlog"), a.CTLog)...)
	case a.Keyless != nil:
		errs = append(errs, keyless(path.Child("keyless"), a.Keyless)...)
		errs = append(errs, ctlog(path.Child("ctlog"), a.CTLog)...)
	default:
		errs = append(errs, static(path.Child("static"), a.Static)...)
		if a.CTLog != nil {
			errs = append(errs, field.Forbidden(path.Child("ctlog"), "ctlog does not apply to a static authority"))
		}
	}
	return errs
}

func count(conditions ...bool) int {
	n := 0
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}

// key never quotes the text of a key: it may be a private one.
func key(path *field.Path, k *v1alpha1.KeyAuthority) field.ErrorList {
	errs := oneOf(path.Child("hashAlgorithm"), k.HashAlgorithm, "sha256", "sha384", "sha512")
	switch {
	case count(k.Data != "", k.SecretRef != nil, k.KMS != "") != 1:
		return append(errs, field.Forbidden(path, "exactly one of data, secretRef, kms must be set"))
	case k.KMS != "":
		if _, err := kms.ParseURI(k.KMS); err != nil {
			errs = append(errs, field.Invalid(path.Child("kms"), k.KMS, err.Error()))
		}
		return errs
	case k.SecretRef != nil:
		return append(errs, secretRef(path.Child("secretRef"), k.SecretRef)...)
	case len(errs) > 0:
		return errs
	}
	if _, err := verify.ParseKey(trust.KeyOfCertificate([]byte(k.Data)), string(k.HashAlgorithm)); err != nil {
		return field.ErrorList{field.Invalid(path.Child("data"), field.OmitValueType{}, err.Error())}
	}
	return nil
}

func static(path *field.Path, s *v1alpha1.StaticAuthority) field.ErrorList {
	errs := oneOf(path.Child("action"), s.Action, v1alpha1.StaticPass, v1alpha1.StaticFail)
	if s.Message != "" && s.Action != v1alpha1.StaticFail {
		errs = append(errs, field.Forbidden(path.Child("message"), "message is shown only when action is fail"))
	}
	if len(s.Message) > maxMessage {
		errs = append(errs, field.TooLong(path.Child("message"), "", maxMessage))
	}
	return errs
}

func ctlog(path *field.Path, c *v1alpha1.CTLog) field.ErrorList {
	if c == nil {
		return nil
	}
	var errs field.ErrorList
	if c.Ignored() && (len(c.LogRefs) > 0 || c.URL != "" || c.TrustRootRef != "" || c.Threshold != 0) {
		errs = append(errs, field.Forbidden(path, "insecureIgnoreTlog excludes logRefs, url, trustRootRef and threshold"))
	}
	if len(c.LogRefs) > 0 && (c.URL != "" || c.TrustRootRef != "") {
		errs = append(errs, field.Forbidden(path, "logRefs excludes url and trustRootRef"))
	}
	if c.URL != "" {
		errs = append(errs, baseURL(path.Child("url"), c.URL)...)
	}
	if c.TrustRootRef != "" {
		for _, problem := range validation.NameIsDNSSubdomain(c.TrustRootRef, false) {
			errs = append(errs, field.Invalid(path.Child("trustRootRef"), c.TrustRootRef, problem))
		}
	}
	errs = append(errs, logNames(path.Child("logRefs"), c.LogRefs)...)
	logs := max(1, len(c.LogRefs))
	if c.TrustRootRef != "" {
		logs = maxLogRefs // how many the trust root has is not known here
	}
	if c.Threshold < 0 || int(c.Threshold) > logs {
		errs = append(errs, field.Invalid(path.Child("threshold"), c.Threshold,
			fmt.Sprintf("must be between 1 and the number of logs, %d", logs)))
	}
	return errs
}

func logNames(path *field.Path, refs []string) field.ErrorList {
	var errs field.ErrorList
	if len(refs) > maxLogRefs {
		errs = append(errs, field.TooMany(path, len(refs), maxLogRefs))
	}
	names := sets.New[string]()
	for i, name := range refs {
		for _, problem := range validation.NameIsDNSSubdomain(name, false) {
			errs = append(errs, field.Invalid(path.Index(i), name, problem))
		}
		if names.Has(name) {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		}
		names.Insert(name)
	}
	return errs
}

func secretRef(path *field.Path, ref *v1alpha1.SecretKeyReference) field.ErrorList {
	errs := secretName(path.Child("name"), ref.Name)
	if ref.Key == "" {
		return errs
	}
	for _, problem := range utilvalidation.IsConfigMapKey(ref.Key) {
		errs = append(errs, field.Invalid(path.Child("key"), ref.Key, problem))
	}
	return errs
}

// oneOf returns an error unless got is one of the values.
func oneOf[T ~string](path *field.Path, got T, values ...T) field.ErrorList {
	if slices.Contains(values, got) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, got, values)}
}
