// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	maxIdentities    = 32
	maxIdentityText  = 2048
	maxRegExp        = 1024
	maxExtensions    = 24
	maxAttestations  = 16
	maxPredicateType = 1024
	maxAnnotations   = 32
	maxAnnotation    = 1024
)

// predicateTypePattern is a URI. It is what the schema says, too, besides the short
// names.
var predicateTypePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$`)

// signPredicateType is what cosign's own signatures are statements of.
const signPredicateType = "https://sigstore.dev/cosign/sign/v1"

func rootRef(path *field.Path, name string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(path, name, problem))
	}
	return errs
}

func keyless(path *field.Path, k *v1alpha1.KeylessAuthority) field.ErrorList {
	var errs field.ErrorList
	if k.TrustRootRef == "" && k.URL == "" {
		errs = append(errs, field.Required(path.Child("trustRootRef"), "trustRootRef or url says which certificate authorities count"))
	}
	if k.TrustRootRef != "" {
		errs = append(errs, rootRef(path.Child("trustRootRef"), k.TrustRootRef)...)
	}
	if k.URL != "" {
		errs = append(errs, baseURL(path.Child("url"), k.URL)...)
	}
	path = path.Child("identities")
	if len(k.Identities) == 0 {
		errs = append(errs, field.Required(path, "at least one identity says who may sign"))
	}
	if len(k.Identities) > maxIdentities {
		errs = append(errs, field.TooMany(path, len(k.Identities), maxIdentities))
	}
	for i := range k.Identities {
		errs = append(errs, identity(path.Index(i), &k.Identities[i])...)
	}
	return errs
}

func identity(path *field.Path, id *v1alpha1.Identity) field.ErrorList {
	var errs field.ErrorList
	if (id.Issuer == "") == (id.IssuerRegExp == "") {
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "exactly one of issuer, issuerRegExp must be set"))
	}
	if (id.Subject == "") == (id.SubjectRegExp == "") {
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "exactly one of subject, subjectRegExp must be set"))
	}
	errs = append(errs, text(path.Child("issuer"), id.Issuer, maxIdentityText)...)
	errs = append(errs, text(path.Child("subject"), id.Subject, maxIdentityText)...)
	errs = append(errs, expression(path.Child("issuerRegExp"), id.IssuerRegExp)...)
	errs = append(errs, expression(path.Child("subjectRegExp"), id.SubjectRegExp)...)
	if problem := issuerProblem(id.Issuer); id.Issuer != "" && problem != "" {
		errs = append(errs, field.Invalid(path.Child("issuer"), id.Issuer, problem))
	}
	if len(id.Extensions) > maxExtensions {
		errs = append(errs, field.TooMany(path.Child("extensions"), len(id.Extensions), maxExtensions))
	}
	known := verify.IdentityExtensions()
	for _, name := range slices.Sorted(maps.Keys(id.Extensions)) {
		errs = append(errs, oneOf(path.Child("extensions"), name, known...)...)
		errs = append(errs, required(path.Child("extensions").Key(name), string(id.Extensions[name]), maxIdentityText)...)
	}
	return errs
}

// issuerProblem returns what is wrong with the exact URL of an OpenID Connect
// issuer (OpenID Connect Discovery 1.0, section 3), or nothing.
func issuerProblem(issuer string) string {
	address, err := url.Parse(issuer)
	switch {
	case err != nil || (address.Scheme != "https" && address.Scheme != "http") || address.Hostname() == "":
		return "must be a URL that begins with https://, or use issuerRegExp"
	case address.User != nil || address.RawQuery != "" || address.ForceQuery || address.Fragment != "":
		return "must have no user, query or fragment"
	}
	return ""
}

func expression(path *field.Path, expression string) field.ErrorList {
	errs := text(path, expression, maxRegExp)
	if _, err := regexp.Compile(expression); err != nil {
		errs = append(errs, field.Invalid(path, expression, err.Error()))
	}
	return errs
}

// requirements checks what an authority asks for besides a signature.
func requirements(path *field.Path, a *v1alpha1.Authority) field.ErrorList {
	var errs field.ErrorList
	if a.Static != nil && (a.RFC3161Timestamp != nil || len(a.Attestations) > 0 || a.RequireSignature != nil || len(a.Annotations) > 0 || a.SignatureFormat != "" || len(a.Source) > 0) {
		errs = append(errs, field.Forbidden(path.Child("static"),
			"a static authority looks at no signature: rfc3161timestamp, attestations, requireSignature, annotations, signatureFormat and source do not apply to it"))
	}
	if a.RFC3161Timestamp != nil {
		errs = append(errs, rootRef(path.Child("rfc3161timestamp", "trustRootRef"), a.RFC3161Timestamp.TrustRootRef)...)
	}
	if !a.SignatureRequired() && len(a.Attestations) == 0 {
		errs = append(errs, field.Forbidden(path.Child("requireSignature"), "requireSignature: false needs attestations"))
	}
	if !a.SignatureRequired() && len(a.Annotations) > 0 {
		errs = append(errs, field.Forbidden(path.Child("annotations"), "annotations are in the image's signature, which requireSignature: false does not look at"))
	}
	if a.SignatureFormat != "" {
		errs = append(errs, oneOf(path.Child("signatureFormat"), a.SignatureFormat,
			v1alpha1.SignatureFormatAuto, v1alpha1.SignatureFormatLegacy, v1alpha1.SignatureFormatBundle)...)
	}
	errs = append(errs, sources(path.Child("source"), a.Source)...)
	errs = append(errs, annotations(path.Child("annotations"), a.Annotations)...)
	return append(errs, attestations(path.Child("attestations"), a.Attestations)...)
}

func annotations(path *field.Path, claims map[string]v1alpha1.AnnotationValue) field.ErrorList {
	var errs field.ErrorList
	if len(claims) > maxAnnotations {
		errs = append(errs, field.TooMany(path, len(claims), maxAnnotations))
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		errs = append(errs, required(path.Key(name), string(claims[name]), maxAnnotation)...)
	}
	return errs
}

func attestations(path *field.Path, attestations []v1alpha1.Attestation) field.ErrorList {
	var errs field.ErrorList
	if len(attestations) > maxAttestations {
		errs = append(errs, field.TooMany(path, len(attestations), maxAttestations))
	}
	names := sets.New[string]()
	for i := range attestations {
		a, path := &attestations[i], path.Index(i)
		for _, problem := range validation.NameIsDNSLabel(a.Name, false) {
			errs = append(errs, field.Invalid(path.Child("name"), a.Name, problem))
		}
		if names.Has(a.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), a.Name))
		}
		names.Insert(a.Name)
		errs = append(errs, predicateType(path.Child("predicateType"), a.PredicateType)...)
	}
	return errs
}

func predicateType(path *field.Path, predicateType string) field.ErrorList {
	switch uri := verify.PredicateType(predicateType); {
	case len(predicateType) > maxPredicateType:
		return field.ErrorList{field.TooLong(path, "", maxPredicateType)}
	case !predicateTypePattern.MatchString(uri):
		return field.ErrorList{field.Invalid(path, predicateType, "must be a URI, or one of cosign's short names such as slsaprovenance1, spdxjson, cyclonedx, vuln, custom")}
	case uri == signPredicateType:
		return field.ErrorList{field.Invalid(path, predicateType, "is that of the image's signature: use requireSignature")}
	}
	return nil
}

func text(path *field.Path, text string, limit int) field.ErrorList {
	switch {
	case len(text) > limit:
		return field.ErrorList{field.TooLong(path, "", limit)}
	case strings.TrimSpace(text) != text:
		return field.ErrorList{field.Invalid(path, text, "must not begin or end with white space")}
	}
	return nil
}

func required(path *field.Path, value string, limit int) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "an empty value is that of everybody who has none")}
	}
	if len(value) > limit {
		return field.ErrorList{field.TooLong(path, "", limit)}
	}
	return nil
}

// identityWarnings says what is legal in an identity and dangerous.
func identityWarnings(path string, id *v1alpha1.Identity) []string {
	var warnings []string
	if strings.HasPrefix(id.Issuer, "http://") {
		warnings = append(warnings, path+".issuer: an issuer without TLS can be impersonated")
	}
	warnings = append(warnings, expressionWarnings(path+".issuerRegExp", id.IssuerRegExp)...)
	return append(warnings, expressionWarnings(path+".subjectRegExp", id.SubjectRegExp)...)
}

func expressionWarnings(path, expression string) []string {
	// As its author wrote it, where it was made open by the conversion from
	// policy.sigstore.dev.
	shown := strings.TrimSuffix(strings.TrimPrefix(expression, "(?s:.*)(?:"), ")(?s:.*)")
	switch {
	case expression == "":
		return nil
	case matchesAnything(expression):
		return []string{fmt.Sprintf("%s: %q matches everybody", path, shown)}
	case bareDot.MatchString(expression):
		return []string{fmt.Sprintf("%s: %q has a dot that matches any character: write \\. in a host name", path, shown)}
	}
	return nil
}

// bareDot is the dot of a host name that was left unescaped.
var bareDot = regexp.MustCompile(`[a-z0-9]\.(com|org|net|io|dev|app|cloud|example|internal|local)\b`)

// matchesAnything reports whether an expression, anchored, matches texts that have
// nothing in common.
func matchesAnything(expression string) bool {
	anchored, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	return err == nil && anchored.MatchString("\u00a7 anybody") && anchored.MatchString("https://a.example/b@c")
}
