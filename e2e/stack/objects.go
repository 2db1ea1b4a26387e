// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"strconv"
	"strings"
)

// TransparencyLog is the manifest of a TransparencyLog for a log of the stack.
func (s *Stack) TransparencyLog(l Log, name string, isDefault bool) string {
	return TransparencyLogAt(l.known().readURL, l, name, isDefault)
}

// TransparencyLogAt is TransparencyLog with another URL to read at: that of a proxy.
func TransparencyLogAt(url string, l Log, name string, isDefault bool) string {
	log := l.known()
	where := fmt.Sprintf("urls: [%q]", url)
	if log.version == 2 {
		where = fmt.Sprintf("urls: [%q]\n  readURLs: [%q]", log.url, url)
	}
	return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: TransparencyLog
metadata:
  name: %s
spec:
  type: rekor-v%d
  %s
  origin: %s
  default: %t
  pollInterval: 1s
  publicKey:
    data: |
%s`, name, log.version, where, log.hostname, isDefault, Indent(6, string(log.pem)))
}

// TransparencyLogOf is the manifest of a Rekor v1 whose replicas are at urls.
func TransparencyLogOf(r *Rekor, name string, isDefault bool, urls ...string) string {
	quoted := make([]string, len(urls))
	for i, url := range urls {
		quoted[i] = strconv.Quote(url)
	}
	return strings.Replace(TransparencyLogAt(urls[0], r, name, isDefault), "urls: ["+quoted[0]+"]", "urls: ["+strings.Join(quoted, ", ")+"]", 1)
}

// KeyPolicy is the manifest of an enforcing ClusterImagePolicy with one key
// authority, "release-key". Without logs, the default log is the one.
func KeyPolicy(name, glob string, key KeyPair, logs ...string) string {
	var ctlog string
	if len(logs) > 0 {
		ctlog = fmt.Sprintf("    ctlog:\n      logRefs: [%s]\n", strings.Join(logs, ", "))
	}
	return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata:
  name: %s
spec:
  images:
  - glob: %q
  authorities:
  - name: release-key
%s    key:
      data: |
%s`, name, glob, ctlog, Indent(8, string(key.PublicPEM)))
}

// Indent puts spaces before each line of text, and ends it with a newline.
func Indent(spaces int, text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString(strings.Repeat(" ", spaces) + line)
	}
	return b.String()
}
