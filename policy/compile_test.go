// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestCompileFailsClosed(t *testing.T) {
	key := publicKey(t)
	yes := true
	shared := publicKey(t)
	logs := []v1alpha1.TransparencyLog{
		{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"http://127.0.0.1:1/one"}, Origin: "one.corp.example",
			PublicKey: v1alpha1.LogPublicKey{Data: shared},
		}},
		{ObjectMeta: metav1.ObjectMeta{Name: "again"}, Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"http://127.0.0.1:1/again"}, Origin: "again.corp.example",
			PublicKey: v1alpha1.LogPublicKey{Data: shared},
		}},
		{ObjectMeta: metav1.ObjectMeta{Name: "corp"}, Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"http://127.0.0.1:1"}, Origin: "rekor.corp.example",
			PublicKey: v1alpha1.LogPublicKey{Data: publicKey(t)},
		}},
		{ObjectMeta: metav1.ObjectMeta{Name: "broken"}, Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"http://127.0.0.1:1"}, Origin: "rekor.corp.example",
			PublicKey: v1alpha1.LogPublicKey{Data: "not a key"},
		}},
	}
	keyed := func(name string, k v1alpha1.KeyAuthority, c *v1alpha1.CTLog) v1alpha1.Authority {
		return v1alpha1.Authority{Name: name, Key: &k, CTLog: c}
	}
	corp := &v1alpha1.CTLog{LogRefs: []string{"corp"}}
	good := keyed("good", v1alpha1.KeyAuthority{Data: key}, corp)
	pass := v1alpha1.Authority{Name: "pass", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}}
	all := []v1alpha1.ImagePattern{{Glob: "corp.example/**"}}
	for name, tt := range map[string]struct {
		spec v1alpha1.ClusterImagePolicySpec
		// problems are the parts and paths of what is wrong.
		problems []string
		cause    error
		// uncovered is what the policy says of an image outside its patterns.
		covered, uncovered string
	}{
		"a good policy has no problem": {
			spec:    v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{good}},
			covered: "p=Rejected/NoSignature",
		},
		"a key in a Secret": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "keys"}}, corp),
			}},
			covered: "p=Rejected/NoSignature",
		},
		"a key without a log needs no log when that is said": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}),
			}},
			covered: "p=Rejected/NoSignature",
		},
		"a key that does not parse": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: "nonsense"}, corp),
			}},
			problems: []string{"Key spec.authorities[0].key"}, cause: trust.ErrKeyInvalid,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a Secret that does not exist": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "none"}}, corp),
			}},
			problems: []string{"Key spec.authorities[0].key"}, cause: trust.ErrSecretNotFound,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a log that does not exist": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{LogRefs: []string{"corp", "none"}}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"}, cause: trust.ErrLogNotFound,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a log that cannot be used": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{LogRefs: []string{"broken"}}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"}, cause: trust.ErrLogNotReady,
			covered: "p=Rejected/PolicyNotReady",
		},
		"no default log": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, nil),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"}, cause: trust.ErrNoDefaultLog,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a threshold that the logs cannot meet": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{LogRefs: []string{"corp"}, Threshold: 2}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"},
			covered:  "p=Rejected/PolicyNotReady",
		},
		"a threshold that one log's key under two names would meet": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{LogRefs: []string{"one", "again"}, Threshold: 2}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"},
			covered:  "p=Rejected/PolicyNotReady",
		},
		"a threshold that two logs can meet": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{LogRefs: []string{"one", "corp"}, Threshold: 2}),
			}},
			covered: "p=Rejected/NoSignature",
		},
		"a log by its URL": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{URL: "http://127.0.0.1:1/one/"}),
			}},
			covered: "p=Rejected/NoSignature",
		},
		"a URL that no log has": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{URL: "https://rekor.sigstore.dev"}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"}, cause: trust.ErrLogNotFound,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a trust root that has no log": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{TrustRootRef: "corp", Threshold: 2}),
			}},
			problems: []string{"Log spec.authorities[0].ctlog"}, cause: trust.ErrLogNotFound,
			covered: "p=Rejected/PolicyNotReady",
		},
		"a broken authority leaves the others as alternatives": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				keyed("a", v1alpha1.KeyAuthority{Data: "nonsense"}, corp), pass,
			}},
			problems: []string{"Key spec.authorities[0].key"},
			covered:  "p=Verified",
		},
		"an authority that is both is neither": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				{Name: "a", Key: &v1alpha1.KeyAuthority{Data: key}, Static: pass.Static},
			}},
			problems: []string{"Spec spec.authorities[0]"},
			covered:  "p=Rejected/PolicyNotReady",
		},
		"no authority": {
			spec:     v1alpha1.ClusterImagePolicySpec{Images: all},
			problems: []string{"Spec spec.threshold"},
			covered:  "p=Rejected/PolicyNotReady",
		},
		"a threshold that the authorities cannot meet": {
			spec:     v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{pass}, Threshold: 2},
			problems: []string{"Spec spec.threshold"},
			covered:  "p=Rejected/PolicyNotReady",
		},
		"one key under two names does not meet a threshold of two": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Threshold: 2, Authorities: []v1alpha1.Authority{
				good, pass, keyed("again", v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "keys"}, HashAlgorithm: "sha512"}, corp),
			}},
			problems: []string{"Key spec.authorities[2].key"}, cause: trust.ErrKeyInvalid,
			covered: "p=Rejected/PolicyNotReady",
		},
		"one key under two names may be two alternatives": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Threshold: 1, Authorities: []v1alpha1.Authority{
				good, keyed("again", v1alpha1.KeyAuthority{Data: key}, &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}),
			}},
			covered: "p=Rejected/NoSignature",
		},
		"a static action that nobody knows refuses": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, Authorities: []v1alpha1.Authority{
				{Name: "a", Static: &v1alpha1.StaticAuthority{Action: "Pass"}},
			}},
			covered: "p=Rejected/StaticDenied",
		},
		"a pattern that cannot be read covers everything": {
			spec:     v1alpha1.ClusterImagePolicySpec{Images: []v1alpha1.ImagePattern{{Glob: "https://corp.example/**"}}, Authorities: []v1alpha1.Authority{good}},
			problems: []string{"Spec spec.images[0].glob"},
			covered:  "p=Rejected/NoSignature", uncovered: "p=Rejected/NoSignature",
		},
		"no pattern covers everything": {
			spec:     v1alpha1.ClusterImagePolicySpec{Authorities: []v1alpha1.Authority{good}},
			problems: []string{"Spec spec.images"},
			covered:  "p=Rejected/NoSignature", uncovered: "p=Rejected/NoSignature",
		},
		"an exclusion that cannot be read excludes nothing": {
			spec: v1alpha1.ClusterImagePolicySpec{Images: all, ExcludeImages: []v1alpha1.ImagePattern{{Glob: "https://corp.example/**"}},
				Authorities: []v1alpha1.Authority{good}},
			problems: []string{"Spec spec.excludeImages[0].glob"},
			covered:  "p=Rejected/NoSignature",
		},
	} {
		t.Run(name, func(t *testing.T) {
			secrets := trust.Secrets{"keys": {"cosign.pub": []byte(key)}}
			p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 7}, Spec: tt.spec},
				Trust{Logs: trust.LogsFromObjects(t.Context(), logs, secrets), Secrets: secrets})
			var problems []string
			for _, problem := range p.Problems() {
				problems = append(problems, string(problem.Part)+" "+problem.Path)
				if tt.cause != nil && !errors.Is(problem.Err, tt.cause) {
					t.Errorf("cause = %v, want %v", problem.Err, tt.cause)
				}
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			e := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{digest: digestOf("1")}})
			if got := summary(e.Evaluate(t.Context(), Origin{}, "corp.example/app:1")); got != tt.covered {
				t.Errorf("a covered image: %s, want %s", got, tt.covered)
			}
			if got := summary(e.Evaluate(t.Context(), Origin{}, "other.example/app:1")); got != tt.uncovered {
				t.Errorf("another image: %q, want %q", got, tt.uncovered)
			}
			if p.Mode() != verifyMode || p.Generation() != 7 {
				t.Errorf("mode %q, generation %d, want enforce, 7", p.Mode(), p.Generation())
			}
		})
	}
}

// verifyMode is what a policy that names no mode does.
const verifyMode = v1alpha1.ModeEnforce

func TestAModeThatNobodyKnowsEnforces(t *testing.T) {
	for mode, want := range map[v1alpha1.Mode]v1alpha1.Mode{"": enforce, "Audit": enforce, "off": enforce, "warn": warn, "audit": audit} {
		p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{Mode: mode}}, Trust{})
		if p.Mode() != want {
			t.Errorf("mode %q compiles to %q, want %q", mode, p.Mode(), want)
		}
	}
}

var _ Verifier = (*verify.Authority)(nil)
