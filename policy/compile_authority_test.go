// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// testRoots are the trust roots "corp", with all that there is, and others that
// lack something.
func testRoots(t *testing.T) *trust.Roots {
	t.Helper()
	end := time.Now().AddDate(1, 0, 0)
	root := func(name string, keys v1alpha1.SigstoreKeys) v1alpha1.TrustRoot {
		return v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TrustRootSpec{SigstoreKeys: &keys}}
	}
	ca := []v1alpha1.CertificateAuthority{{URI: "https://fulcio.test", CertChain: trusttest.NewCA("CA", end).PEM()}}
	ctLog := []v1alpha1.TransparencyLogInstance{{BaseURL: "https://ctfe.test", PublicKey: trusttest.NewLogKey()}}
	tsa := []v1alpha1.CertificateAuthority{{URI: "https://tsa.test", CertChain: trusttest.NewTSA("TSA", end).PEM()}}
	return trust.RootsFromObjects(t.Context(), []v1alpha1.TrustRoot{
		root("corp", v1alpha1.SigstoreKeys{CertificateAuthorities: ca, CTLogs: ctLog, TimestampAuthorities: tsa}),
		root("unlogged", v1alpha1.SigstoreKeys{CertificateAuthorities: ca}),
		root("stamps", v1alpha1.SigstoreKeys{TimestampAuthorities: tsa}),
		root("broken", v1alpha1.SigstoreKeys{}),
	}, trust.ConfigMaps{})
}

// keylessAuthority asks for all that there is, under the trust root "corp" and
// no log.
func keylessAuthority() v1alpha1.Authority {
	yes := true
	return v1alpha1.Authority{
		Name: "github",
		Keyless: &v1alpha1.KeylessAuthority{TrustRootRef: "corp", Identities: []v1alpha1.Identity{{
			Issuer: "https://token.actions.githubusercontent.com", SubjectRegExp: `https://github\.com/corp/.*`,
			Extensions: map[string]v1alpha1.ExtensionValue{"runnerEnvironment": "github-hosted"},
		}}},
		CTLog:            &v1alpha1.CTLog{InsecureIgnoreTlog: &yes},
		RFC3161Timestamp: &v1alpha1.RFC3161Timestamp{TrustRootRef: "stamps"},
		Attestations:     []v1alpha1.Attestation{{Name: "sbom", PredicateType: "spdxjson"}, {Name: "own", PredicateType: "https://corp.example/own"}},
		Annotations:      map[string]v1alpha1.AnnotationValue{"release": "true"},
		SignatureFormat:  v1alpha1.SignatureFormatBundle,
	}
}

func compileOne(t *testing.T, a v1alpha1.Authority) *Policy {
	t.Helper()
	return Compile(t.Context(), &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images: []v1alpha1.ImagePattern{{Glob: "corp.example/**"}}, Authorities: []v1alpha1.Authority{a},
		},
	}, Trust{Logs: trust.LogsFromObjects(t.Context(), nil, nil), Roots: testRoots(t), Secrets: trust.Secrets{}})
}

func TestAllThatAnAuthorityAsksForIsAskedFor(t *testing.T) {
	p := compileOne(t, keylessAuthority())
	if len(p.Problems()) > 0 {
		t.Fatal(p.Problems())
	}
	got, ok := p.authorities[0].key.(*verify.Authority)
	if !ok {
		t.Fatalf("%T", p.authorities[0].key)
	}
	if got.Keyless == nil || len(got.Keyless.Root.FulcioCertificateAuthorities()) != 1 || len(got.Keyless.Identities) != 1 || got.Keyless.InsecureIgnoreSCT {
		t.Errorf("keyless: %+v", got.Keyless)
	}
	if got.TimestampRoot == nil || len(got.TimestampRoot.FulcioCertificateAuthorities()) != 0 {
		t.Error("the timestamps' trust root is not the one that is named")
	}
	want := []verify.AttestationRequirement{
		{Name: "sbom", PredicateType: "https://spdx.dev/Document", AnyOne: true}, {Name: "own", PredicateType: "https://corp.example/own", AnyOne: true},
	}
	if diff := cmp.Diff(want, got.Attestations); diff != "" {
		t.Errorf("attestations (-want +got):\n%s", diff)
	}
	if got.Format != "bundle" || got.Annotations["release"] != "true" || got.SkipSignature || !got.InsecureIgnoreTlog || got.Name != "github" {
		t.Errorf("the rest: %+v", got)
	}
}

func TestAnAuthorityThatAsksForLess(t *testing.T) {
	yes, no := true, false
	for name, tc := range map[string]struct {
		edit  func(*v1alpha1.Authority)
		holds func(*verify.Authority) bool
	}{
		"attestations alone": {
			func(a *v1alpha1.Authority) { a.RequireSignature, a.Annotations = &no, nil },
			func(v *verify.Authority) bool { return v.SkipSignature },
		},
		"any format": {
			func(a *v1alpha1.Authority) { a.SignatureFormat = v1alpha1.SignatureFormatAuto },
			func(v *verify.Authority) bool { return v.Format == "" },
		},
		"certificates in no log": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef, a.Keyless.InsecureIgnoreSCT = "unlogged", &yes },
			func(v *verify.Authority) bool { return v.Keyless.InsecureIgnoreSCT },
		},
		"a certificate's key": {
			func(a *v1alpha1.Authority) {
				a.Keyless, a.Key = nil, &v1alpha1.KeyAuthority{Data: trusttest.NewCA("a", time.Now()).PEM(0)}
			},
			func(v *verify.Authority) bool { return len(v.Keys) == 1 && v.Keyless == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := keylessAuthority()
			tc.edit(&a)
			p := compileOne(t, a)
			if verifier, ok := p.authorities[0].key.(*verify.Authority); !ok || !tc.holds(verifier) {
				t.Errorf("%+v with problems %v", p.authorities[0].key, p.Problems())
			}
		})
	}
}

func TestAnAuthorityThatCannotBeCompiledAcceptsNothing(t *testing.T) {
	no := false
	for name, tc := range map[string]struct {
		edit  func(*v1alpha1.Authority)
		want  string
		cause error
	}{
		"a trust root that does not exist": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef = "none" },
			"TrustRoot spec.authorities[0].keyless.trustRootRef", trust.ErrRootNotFound,
		},
		"a trust root that cannot be used": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef = "broken" },
			"TrustRoot spec.authorities[0].keyless.trustRootRef", trust.ErrRootNotReady,
		},
		"a URL that no trust root has": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef, a.Keyless.URL = "", "https://fulcio.sigstore.dev" },
			"TrustRoot spec.authorities[0].keyless.url", trust.ErrRootNotFound,
		},
		"a URL that two trust roots have": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef, a.Keyless.URL = "", "https://fulcio.test" },
			"TrustRoot spec.authorities[0].keyless.url", trust.ErrRootUnsuitable,
		},
		"neither a trust root nor a URL": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef = "" },
			"TrustRoot spec.authorities[0].keyless.trustRootRef", trust.ErrRootNotFound,
		},
		"a trust root without authorities": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef = "stamps" },
			"TrustRoot spec.authorities[0].keyless.trustRootRef", trust.ErrRootUnsuitable,
		},
		"a trust root without logs of certificates": {
			func(a *v1alpha1.Authority) { a.Keyless.TrustRootRef = "unlogged" },
			"TrustRoot spec.authorities[0].keyless.trustRootRef", trust.ErrRootUnsuitable,
		},
		"timestamps of a trust root that has no authority for them": {
			func(a *v1alpha1.Authority) { a.RFC3161Timestamp.TrustRootRef = "unlogged" },
			"TrustRoot spec.authorities[0].rfc3161timestamp.trustRootRef", trust.ErrRootUnsuitable,
		},
		"timestamps of a trust root that does not exist": {
			func(a *v1alpha1.Authority) { a.RFC3161Timestamp.TrustRootRef = "none" },
			"TrustRoot spec.authorities[0].rfc3161timestamp.trustRootRef", trust.ErrRootNotFound,
		},
		"an expression that does not parse": {
			func(a *v1alpha1.Authority) { a.Keyless.Identities[0].SubjectRegExp = "(" }, "Spec spec.authorities[0].keyless.identities[0]", nil,
		},
		"an identity without an issuer": {
			func(a *v1alpha1.Authority) { a.Keyless.Identities[0].Issuer = "" }, "Spec spec.authorities[0].keyless.identities[0]", nil,
		},
		"nobody": {
			func(a *v1alpha1.Authority) { a.Keyless.Identities = nil }, "Spec spec.authorities[0].keyless.identities", nil,
		},
		"a format that nobody knows": {
			func(a *v1alpha1.Authority) { a.SignatureFormat = "dsse" }, "Spec spec.authorities[0].signatureFormat", nil,
		},
		"neither a signature nor an attestation": {
			func(a *v1alpha1.Authority) { a.RequireSignature, a.Annotations, a.Attestations = &no, nil, nil },
			"Spec spec.authorities[0].requireSignature", nil,
		},
		"claims in no signature": {
			func(a *v1alpha1.Authority) { a.RequireSignature = &no }, "Spec spec.authorities[0].annotations", nil,
		},
		"an attestation of nothing": {
			func(a *v1alpha1.Authority) { a.Attestations[0].PredicateType = "" }, "Spec spec.authorities[0].attestations[0].predicateType", nil,
		},
		"a key and an identity": {
			func(a *v1alpha1.Authority) { a.Key = &v1alpha1.KeyAuthority{Data: "a"} }, "Spec spec.authorities[0]", nil,
		},
		"no log for an identity": {
			func(a *v1alpha1.Authority) { a.CTLog = nil }, "Log spec.authorities[0].ctlog", trust.ErrNoDefaultLog,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := keylessAuthority()
			tc.edit(&a)
			p := compileOne(t, a)
			if len(p.Problems()) != 1 {
				t.Fatalf("problems %v; want one", p.Problems())
			}
			problem := p.Problems()[0]
			if got := string(problem.Part) + " " + problem.Path; got != tc.want {
				t.Errorf("problem %q; want %q", got, tc.want)
			}
			if tc.cause != nil && !errors.Is(problem.Err, tc.cause) {
				t.Errorf("cause %v; want %v", problem.Err, tc.cause)
			}
			if verdict, ok := p.authorities[0].fixed.(verify.Rejected); !ok || verdict.Reason != verify.PolicyNotReady {
				t.Errorf("verdict %+v; want PolicyNotReady", p.authorities[0].fixed)
			}
		})
	}
}
