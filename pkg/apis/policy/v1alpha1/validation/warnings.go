// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/url"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
)

// PolicyWarnings returns what is legal in policy and probably not meant, or
// dangerous, one sentence each. logs are the TransparencyLog objects that exist,
// the policy's references are compared with them.
func PolicyWarnings(policy *v1alpha1.ClusterImagePolicy, logs []v1alpha1.TransparencyLog) []string {
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
	for i := range spec.Authorities {
		a, path := &spec.Authorities[i], fmt.Sprintf("spec.authorities[%d]", i)
		if a.Static != nil && a.Static.Action == v1alpha1.StaticPass && coversEverything(spec.Images) {
			warn(path+".static", "accepts every image from everywhere, unverified")
		}
		if a.CTLog.Ignored() {
			warn(path+".ctlog.insecureIgnoreTlog", "whoever steals the key can sign unseen: no log needs to hold the signature")
		}
		if a.Key != nil && !a.CTLog.Ignored() {
			warnings = append(warnings, logWarnings(path, a.CTLog, logs)...)
		}
	}
	if len(spec.Authorities) > 1 && spec.Threshold <= 1 && slices.ContainsFunc(spec.Authorities, passes) {
		warn("spec.authorities", "authorities are alternatives: the static one that passes makes the others needless")
	}
	return warnings
}

func passes(a v1alpha1.Authority) bool {
	return a.Static != nil && a.Static.Action == v1alpha1.StaticPass
}

func coversEverything(patterns []v1alpha1.ImagePattern) bool {
	return slices.ContainsFunc(patterns, func(p v1alpha1.ImagePattern) bool { return p.Glob == "**" })
}

// logWarnings says which logs an authority needs that do not exist yet.
func logWarnings(path string, c *v1alpha1.CTLog, logs []v1alpha1.TransparencyLog) []string {
	if c == nil || len(c.LogRefs) == 0 {
		switch n := len(defaults(logs)); n {
		case 0:
			return []string{path + ": no log is named and no TransparencyLog is the default: the policy is not ready, and refuses what it covers, until there is one"}
		case 1:
			return nil
		default:
			return []string{fmt.Sprintf("%s: no log is named and %d TransparencyLogs are marked as the default: the policy is not ready, and refuses what it covers, until one is", path, n)}
		}
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
	var warnings []string
	for i, text := range log.Spec.URLs {
		if address, err := url.Parse(text); err == nil && address.Scheme == "http" {
			warnings = append(warnings, fmt.Sprintf("spec.urls[%d]: http is not encrypted: what the log is asked can be seen, and its answers can be held back", i))
		}
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
