// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"net/url"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// Bounds of the schema. TestBoundsAreThoseOfTheSchema holds them together.
const (
	minPollInterval = time.Second
	maxPollInterval = 24 * time.Hour
	minStaleness    = time.Second
	maxStaleness    = 720 * time.Hour
	maxURLs         = 8
	maxReadURLs     = 8
)

// originPattern is a host name, with a port where the log's operator named the
// log so. It is what the schema says, too.
var originPattern = regexp.MustCompile("^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?$")

// TransparencyLog returns what makes log unusable. It reads nothing but the
// object, and does not ask the log.
func TransparencyLog(log *v1alpha1.TransparencyLog) field.ErrorList {
	spec, path := &log.Spec, field.NewPath("spec")
	errs := v1alpha1.UnreadErrors(spec.Unread)
	errs = append(errs, oneOf(path.Child("type"), spec.Type, v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV2)...)
	if len(spec.URLs) == 0 {
		errs = append(errs, field.Required(path.Child("urls"), "where the log answers"))
	}
	errs = append(errs, urls(path.Child("urls"), spec.URLs, maxURLs)...)
	errs = append(errs, urls(path.Child("readURLs"), spec.ReadURLs, maxReadURLs)...)
	if len(spec.ReadURLs) > 0 && spec.Type == v1alpha1.LogTypeRekorV1 {
		errs = append(errs, field.Forbidden(path.Child("readURLs"), "only a rekor-v2 log has readURLs: a rekor-v1 log is read where it is written"))
	}
	if len(spec.Origin) > validation.DNS1123SubdomainMaxLength || !originPattern.MatchString(spec.Origin) {
		errs = append(errs, field.Invalid(path.Child("origin"), spec.Origin,
			"must be the host name with which the log's checkpoints begin, without \" - <tree ID>\""))
	}
	errs = append(errs, logKey(path.Child("publicKey"), &spec.PublicKey)...)
	errs = append(errs, connection(path, spec)...)
	errs = append(errs, logDemands(path, spec)...)
	errs = append(errs, logReset(path.Child("reset"), spec)...)
	if interval := spec.PollInterval; interval != nil && (interval.Duration < minPollInterval || interval.Duration > maxPollInterval) {
		errs = append(errs, field.Invalid(path.Child("pollInterval"), interval.Duration.String(), "must be between 1s and 24h"))
	}
	if staleness := spec.MaxStaleness; staleness != nil && (staleness.Duration < minStaleness || staleness.Duration > maxStaleness) {
		errs = append(errs, field.Invalid(path.Child("maxStaleness"), staleness.Duration.String(), "must be between 1s and 720h"))
	}
	return errs
}

func urls(path *field.Path, urls []string, limit int) field.ErrorList {
	var errs field.ErrorList
	if len(urls) > limit {
		errs = append(errs, field.TooMany(path, len(urls), limit))
	}
	for i, text := range urls {
		errs = append(errs, baseURL(path.Index(i), text)...)
	}
	return errs
}

func baseURL(path *field.Path, text string) field.ErrorList {
	if problem := urlProblem(text); problem != "" {
		// The text is not quoted: it may hold a password.
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, problem)}
	}
	return nil
}

// urlProblem returns what is wrong with the base URL of a log, or nothing.
func urlProblem(text string) string {
	address, err := url.Parse(text)
	switch {
	case err != nil:
		return "must be a URL"
	case address.Scheme != "http" && address.Scheme != "https":
		return "must begin with https:// or http://"
	case address.Hostname() == "":
		return "must name a host"
	case address.User != nil:
		return "must hold no user name or password"
	case address.RawQuery != "" || address.ForceQuery || address.Fragment != "":
		return "must have no query and no fragment"
	}
	return ""
}

// logKey never quotes the text of a key: it may be a private one.
func logKey(path *field.Path, k *v1alpha1.LogPublicKey) field.ErrorList {
	switch {
	case (k.Data == "") == (k.SecretRef == nil):
		return field.ErrorList{field.Forbidden(path, "exactly one of data, secretRef must be set")}
	case k.SecretRef != nil:
		return secretRef(path.Child("secretRef"), k.SecretRef)
	}
	if _, err := trust.ParseLogKey([]byte(k.Data)); err != nil {
		return field.ErrorList{field.Invalid(path.Child("data"), field.OmitValueType{}, err.Error())}
	}
	return nil
}
