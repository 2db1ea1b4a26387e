// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// TrustRoot is the manifest of a TrustRoot that trusts the given services.
func (s *Stack) TrustRoot(ctx context.Context, name string, services Services) (string, error) {
	root, err := s.TrustedRoot(ctx, services)
	return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: TrustRoot
metadata:
  name: %s
spec:
  trustedRoot:
    data: |
%s`, name, Indent(6, root)), err
}

// Signer is who a policy accepts: texts that the certificate must have.
type Signer struct {
	Issuer        string            `json:"issuer,omitempty"`
	IssuerRegExp  string            `json:"issuerRegExp,omitempty"`
	Subject       string            `json:"subject,omitempty"`
	SubjectRegExp string            `json:"subjectRegExp,omitempty"`
	Extensions    map[string]string `json:"extensions,omitempty"` // by the names in Fulcio's documentation
}

// KeylessPolicyOptions say what a policy demands besides an identity.
type KeylessPolicyOptions struct {
	TrustRoot    string            // name of the TrustRoot
	Timestamp    bool              // demand one by that TrustRoot's timestamp authorities
	Attestations map[string]string // predicate types, by the name of the requirement
	Logs         []string          // TransparencyLogs; without, the default one
}

// KeylessPolicy is the manifest of an enforcing ClusterImagePolicy with one keyless
// authority, "ci", that accepts each of the signers.
func KeylessPolicy(name, glob string, o KeylessPolicyOptions, signers ...Signer) (string, error) {
	identities, err := yaml.Marshal(signers)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata:
  name: %s
spec:
  images:
  - glob: %q
  authorities:
  - name: ci
`, name, glob)
	if len(o.Logs) > 0 {
		fmt.Fprintf(&b, "    ctlog:\n      logRefs: [%s]\n", strings.Join(o.Logs, ", "))
	}
	if o.Timestamp {
		fmt.Fprintf(&b, "    rfc3161timestamp:\n      trustRootRef: %s\n", o.TrustRoot)
	}
	if len(o.Attestations) > 0 {
		b.WriteString("    attestations:\n")
		for _, requirement := range slices.Sorted(maps.Keys(o.Attestations)) {
			fmt.Fprintf(&b, "    - name: %s\n      predicateType: %s\n", requirement, o.Attestations[requirement])
		}
	}
	fmt.Fprintf(&b, "    keyless:\n      trustRootRef: %s\n      identities:\n%s", o.TrustRoot, Indent(6, string(identities)))
	return b.String(), nil
}
