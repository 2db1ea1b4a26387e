// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
)

// Known are the objects that exist, which references are compared with.
type Known struct {
	Logs  []v1alpha1.TransparencyLog
	Roots []v1alpha1.TrustRoot
}

// PolicyWarnings returns what is legal in policy and probably not meant, or
// dangerous, one sentence each.
func PolicyWarnings(policy *v1alpha1.ClusterImagePolicy, known Known) []string {
	var warnings []string
	warn := func(path, format string, args ...any) {
		warnings = append(warnings, path+": "+fmt.Sprintf(format, args...))
	}
	spec := &policy.Spec
	for i, pattern := range spec.Images {
		path := fmt.Sprintf("spec.images[%d].glob", i)
		if glob, err := image.ParseGlob(pattern.Glob); err == nil && glob.HasTag() {
			warn(path, "%q names a tag: whoever writes a digest instead of a tag is not covered", pattern.Glob)
		}
	}
	warnings = append(warnings, selectionWarnings(spec.NamespaceSelector, spec.Match)...)
	for i := range spec.Authorities {
		a, path := &spec.Authorities[i], fmt.Sprintf("spec.authorities[%d]", i)
		if a.Static != nil && a.Static.Action == v1alpha1.StaticPass && coversEverything(spec.Images) {
			warn(path+".static", "accepts every image from everywhere, unverified")
		}
		warnings = append(warnings, authorityWarnings(path, a, known)...)
	}
	if spec.Exceptions == v1alpha1.ExceptionsAllow {
		warn("spec.exceptions", "whoever may write ImagePolicyExceptions in a namespace can admit there what this policy refuses")
	}
	if spec.OnUnavailable == v1alpha1.OnUnavailableAllowEmbeddedProof {
		if slices.ContainsFunc(spec.Authorities, mayEmbedProofs) {
			warn("spec.onUnavailable", "while a log does not answer, whoever has its key can pass off an entry that nobody else sees")
		} else {
			warn("spec.onUnavailable", "allowEmbeddedProof changes nothing: no authority looks for signatures that bring a proof of being in a log")
		}
	}
	if spec.OnUnavailable == v1alpha1.OnUnavailableAllowPreviouslyVerified {
		warn("spec.onUnavailable", "while a registry or a log does not answer, a signature that was withdrawn counts for as long as the log's maxStaleness")
	}
	if len(spec.Authorities) > 1 && spec.Threshold <= 1 && slices.ContainsFunc(spec.Authorities, passes) {
		warn("spec.authorities", "authorities are alternatives: the static one that passes makes the others needless")
	}
	return warnings
}

// mayEmbedProofs reports whether an authority accepts signatures that bring a proof of
// inclusion: a legacy signature has only the log's promise.
func mayEmbedProofs(a v1alpha1.Authority) bool {
	return a.Static == nil && !a.CTLog.Ignored() && (a.SignatureFormat != v1alpha1.SignatureFormatLegacy || len(a.Attestations) > 0)
}

// authorityWarnings says what is legal in an authority and dangerous, and what it
// names that does not exist yet.
func authorityWarnings(path string, a *v1alpha1.Authority, known Known) []string {
	var warnings []string
	if a.CTLog.Ignored() {
		warnings = append(warnings, path+".ctlog.insecureIgnoreTlog: whoever steals the key can sign unseen: no log needs to hold the signature")
	}
	if a.Static == nil && !a.CTLog.Ignored() {
		warnings = append(warnings, logWarnings(path, a.CTLog, known.Logs)...)
	}
	if a.Key != nil && strings.Contains(a.Key.Data, "BEGIN CERTIFICATE") {
		warnings = append(warnings, path+".key.data: of a certificate only the key counts, neither who issued it nor when it is valid")
	}
	if a.Keyless != nil {
		if a.Keyless.TrustRootRef != "" {
			warnings = append(warnings, rootWarnings(path+".keyless.trustRootRef", a.Keyless.TrustRootRef, known.Roots)...)
		}
		if a.Keyless.SCTIgnored() {
			warnings = append(warnings, path+".keyless.insecureIgnoreSCT: whoever breaks into the certificate authority can issue unseen")
		}
		for i := range a.Keyless.Identities {
			warnings = append(warnings, identityWarnings(fmt.Sprintf("%s.keyless.identities[%d]", path, i), &a.Keyless.Identities[i])...)
		}
	}
	if a.RFC3161Timestamp != nil {
		warnings = append(warnings, rootWarnings(path+".rfc3161timestamp.trustRootRef", a.RFC3161Timestamp.TrustRootRef, known.Roots)...)
	}
	return warnings
}

// rootWarnings says that a trust root does not exist yet.
func rootWarnings(path, name string, roots []v1alpha1.TrustRoot) []string {
	if slices.ContainsFunc(roots, func(r v1alpha1.TrustRoot) bool { return r.Name == name }) {
		return nil
	}
	return []string{fmt.Sprintf("%s: TrustRoot %q does not exist: the policy is not ready, and refuses what it covers, until it does", path, name)}
}

func passes(a v1alpha1.Authority) bool {
	return a.Static != nil && a.Static.Action == v1alpha1.StaticPass
}

func coversEverything(patterns []v1alpha1.ImagePattern) bool {
	return slices.ContainsFunc(patterns, func(p v1alpha1.ImagePattern) bool { return p.Glob == "**" })
}

// logWarnings says which logs an authority needs that do not exist yet.
func logWarnings(path string, c *v1alpha1.CTLog, logs []v1alpha1.TransparencyLog) []string {
	if c.Ignored() {
		return nil
	}
	if c.IsDefault() {
		switch n := len(defaults(logs)); n {
		case 0:
			return []string{path + ": no log is named and no TransparencyLog is the default: the policy is not ready, and refuses what it covers, until there is one"}
		case 1:
			return nil
		default:
			return []string{fmt.Sprintf("%s: no log is named and %d TransparencyLogs are marked as the default: the policy is not ready, and refuses what it covers, until one is", path, n)}
		}
	}
	if len(c.LogRefs) == 0 {
		if slices.ContainsFunc(logs, func(l v1alpha1.TransparencyLog) bool { return c.Selects(&l) }) {
			return nil
		}
		return []string{fmt.Sprintf("%s.ctlog: no TransparencyLog is at its url and of its trustRootRef: the policy is not ready, and refuses what it covers, until one is", path)}
	}
	known := sets.New[string]()
	for i := range logs {
		known.Insert(logs[i].Name)
	}
	var warnings []string
	for i, name := range c.LogRefs {
		if !known.Has(name) {
			warnings = append(warnings, fmt.Sprintf(
				"%s.ctlog.logRefs[%d]: TransparencyLog %q does not exist: the policy is not ready, and refuses what it covers, until it does", path, i, name))
		}
	}
	return warnings
}

// defaults returns the names of the logs that are marked as the default.
func defaults(logs []v1alpha1.TransparencyLog) []string {
	var names []string
	for i := range logs {
		if logs[i].Spec.IsDefault() {
			names = append(names, logs[i].Name)
		}
	}
	return names
}

// LogWarnings returns what is legal in log and probably not meant, or dangerous.
// others are the TransparencyLog objects that exist; one with log's name is log
// itself.
func LogWarnings(log *v1alpha1.TransparencyLog, others []v1alpha1.TransparencyLog) []string {
	warnings := append(addressWarnings("urls", log.Spec.URLs, log.Spec.Auth != nil),
		addressWarnings("readURLs", log.Spec.ReadURLs, log.Spec.Auth != nil)...)
	if log.Spec.SkipsTLSVerification() {
		warnings = append(warnings, "spec.tls.insecureSkipVerify: whoever sits between can read the credentials, see what the log is asked, and hold its answers back: "+
			"name the authority of its certificate in spec.tls.caBundle instead")
	}
	if interval, staleness := log.Spec.Interval(), log.Spec.Staleness(); staleness < 2*interval {
		warnings = append(warnings, fmt.Sprintf(
			"spec.maxStaleness: %v is less than two poll intervals of %v: between polls the log becomes stale, and requests wait for one", staleness, interval))
	}
	if !log.Spec.IsDefault() {
		return warnings
	}
	for _, name := range defaults(others) {
		if name != log.Name {
			warnings = append(warnings, fmt.Sprintf(
				"spec.default: TransparencyLog %q is the default, too: with two, neither is, and policies that name no log are not ready", name))
		}
	}
	return warnings
}

// addressWarnings returns what is dangerous, or needless, in the addresses of a log.
func addressWarnings(field string, addresses []string, credentials bool) []string {
	var warnings []string
	for i, text := range addresses {
		if address, err := url.Parse(text); err == nil && address.Scheme == "http" {
			warnings = append(warnings, fmt.Sprintf("spec.%s[%d]: http is not encrypted: what the log is asked can be seen, and its answers can be held back", field, i))
			if credentials {
				warnings = append(warnings, fmt.Sprintf("spec.%s[%d]: http is not encrypted: the credentials in spec.auth can be read on the way", field, i))
			}
		}
		if slices.Contains(addresses[:i], text) {
			warnings = append(warnings, fmt.Sprintf("spec.%s[%d]: the same address twice is not two replicas", field, i))
		}
	}
	return warnings
}
