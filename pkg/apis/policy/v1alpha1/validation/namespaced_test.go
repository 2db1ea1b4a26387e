// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

func goodImagePolicy(t *testing.T) *v1alpha1.ImagePolicy {
	t.Helper()
	cluster := goodPolicy(t)
	p := &v1alpha1.ImagePolicy{Spec: v1alpha1.ImagePolicySpec{Images: cluster.Spec.Images, Authorities: cluster.Spec.Authorities}}
	p.SetDefaults()
	return p
}

func TestAnImagePolicyAsksNobodyOnItsOwnersBehalf(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*v1alpha1.ImagePolicySpec, *v1alpha1.Authority)
		want []string
	}{
		"a key in the policy": {func(*v1alpha1.ImagePolicySpec, *v1alpha1.Authority) {}, nil},
		"a Secret": {func(_ *v1alpha1.ImagePolicySpec, a *v1alpha1.Authority) {
			a.Key = &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "countersign-webhook-cert"}, HashAlgorithm: "sha256"}
		}, []string{"spec.authorities[0].key.secretRef"}},
		"a key service": {func(_ *v1alpha1.ImagePolicySpec, a *v1alpha1.Authority) {
			a.Key = &v1alpha1.KeyAuthority{KMS: "hashivault://key", HashAlgorithm: "sha256"}
		}, []string{"spec.authorities[0].key.kms"}},
		"another registry": {func(_ *v1alpha1.ImagePolicySpec, a *v1alpha1.Authority) {
			a.Source = []v1alpha1.Source{{OCI: "metadata.internal/x"}}
		}, []string{"spec.authorities[0].source"}},
		"an answer that is yes": {func(_ *v1alpha1.ImagePolicySpec, a *v1alpha1.Authority) {
			a.Key, a.CTLog, a.Static = nil, nil, &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}
		}, []string{"spec.authorities[0].static.action"}},
		"an answer that is no": {func(_ *v1alpha1.ImagePolicySpec, a *v1alpha1.Authority) {
			a.Key, a.CTLog, a.Static = nil, nil, &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail}
		}, nil},
		"more authorities than the cluster is to pay for": {func(s *v1alpha1.ImagePolicySpec, _ *v1alpha1.Authority) {
			for _, n := range []string{"b", "c", "d", "e"} {
				s.Authorities = append(s.Authorities, v1alpha1.Authority{Name: n, Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail}})
			}
		}, []string{"spec.authorities"}},
		"more patterns": {func(s *v1alpha1.ImagePolicySpec, _ *v1alpha1.Authority) { s.Images = make129()[:33] }, []string{"spec.images"}},
	} {
		t.Run(name, func(t *testing.T) {
			policy := goodImagePolicy(t)
			tt.edit(&policy.Spec, &policy.Spec.Authorities[0])
			var got []string
			for _, err := range ImagePolicy(policy) {
				got = append(got, err.Field)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryFieldOfAnAuthorityIsConsideredForImagePolicies: whoever adds a field decides
// here whether it may be written by somebody who owns no more than a namespace: whether it
// can make countersign use its own rights, credentials or network for him.
func TestEveryFieldOfAnAuthorityIsConsideredForImagePolicies(t *testing.T) {
	refused := []string{"KeyAuthority.kms", "KeyAuthority.secretRef", "Authority.source"}
	harmless := []string{
		"Authority.name", "Authority.key", "Authority.keyless", "Authority.static", "Authority.ctlog", "Authority.rfc3161timestamp",
		"Authority.attestations", "Authority.requireSignature", "Authority.annotations", "Authority.signatureFormat",
		"KeyAuthority.data", "KeyAuthority.hashAlgorithm", "StaticAuthority.action", "StaticAuthority.message",
		"KeylessAuthority.trustRootRef", "KeylessAuthority.url", "KeylessAuthority.identities", "KeylessAuthority.insecureIgnoreSCT",
		"CTLog.logRefs", "CTLog.url", "CTLog.trustRootRef", "CTLog.threshold", "CTLog.insecureIgnoreTlog", // of the logs that are configured
		"RFC3161Timestamp.trustRootRef", "Attestation.name", "Attestation.predicateType",
	}
	considered := map[string]bool{}
	for _, field := range append(refused, harmless...) {
		considered[field] = true
	}
	for _, of := range []any{
		v1alpha1.Authority{}, v1alpha1.KeyAuthority{}, v1alpha1.StaticAuthority{}, v1alpha1.KeylessAuthority{},
		v1alpha1.CTLog{}, v1alpha1.RFC3161Timestamp{}, v1alpha1.Attestation{},
	} {
		kind := reflect.TypeOf(of)
		for field := range kind.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !considered[kind.Name()+"."+name] {
				t.Errorf("nobody has said whether the owner of a namespace may write %s.%s: see ownAuthority, and the rules of ImagePolicySpec", kind.Name(), name)
			}
		}
	}
}
