// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// keylessPolicy returns a policy with one keyless authority that asks for all that
// there is.
func keylessPolicy() *v1alpha1.ClusterImagePolicy {
	p := &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{
		Images: []v1alpha1.ImagePattern{{Glob: "registry.example/payments/**"}},
		Authorities: []v1alpha1.Authority{{
			Name: "github",
			Keyless: &v1alpha1.KeylessAuthority{TrustRootRef: "corp", Identities: []v1alpha1.Identity{{
				Issuer:        "https://token.actions.githubusercontent.com",
				SubjectRegExp: `https://github\.com/corp/payments/\.github/workflows/release\.yml@refs/tags/.*`,
				Extensions:    map[string]v1alpha1.ExtensionValue{"runnerEnvironment": "github-hosted"},
			}}},
			CTLog:            &v1alpha1.CTLog{LogRefs: []string{"corp"}},
			RFC3161Timestamp: &v1alpha1.RFC3161Timestamp{TrustRootRef: "corp"},
			Attestations: []v1alpha1.Attestation{
				{Name: "sbom", PredicateType: "https://spdx.dev/Document"}, {Name: "provenance", PredicateType: "slsaprovenance1"},
			},
			Annotations:     map[string]v1alpha1.AnnotationValue{"release": "true"},
			SignatureFormat: v1alpha1.SignatureFormatBundle,
			Source:          []v1alpha1.Source{{OCI: "registry.example/signatures", TagPrefix: "release-"}, {TagPrefix: "old-"}},
		}},
	}}
	p.SetDefaults()
	return p
}

func TestKeylessAuthority(t *testing.T) {
	no := false
	type authority = v1alpha1.Authority
	identity := func(edit func(*v1alpha1.Identity)) func(*authority) {
		return func(a *authority) { edit(&a.Keyless.Identities[0]) }
	}
	const at = "spec.authorities[0]"
	for name, tc := range map[string]struct {
		edit func(*authority)
		want []string
	}{
		"all that there is":                 {func(*authority) {}, nil},
		"a trust root's name":               {func(a *authority) { a.Keyless.TrustRootRef = "Corp Root" }, []string{at + ".keyless.trustRootRef"}},
		"no trust root":                     {func(a *authority) { a.Keyless.TrustRootRef = "" }, []string{at + ".keyless.trustRootRef"}},
		"a URL and no trust root":           {func(a *authority) { a.Keyless.TrustRootRef, a.Keyless.URL = "", "https://fulcio.test" }, nil},
		"a URL and a trust root":            {func(a *authority) { a.Keyless.URL = "https://fulcio.test/" }, nil},
		"a URL that is none":                {func(a *authority) { a.Keyless.URL = "fulcio.test" }, []string{at + ".keyless.url"}},
		"a URL with a user":                 {func(a *authority) { a.Keyless.URL = "https://a@fulcio.test" }, []string{at + ".keyless.url"}},
		"nobody":                            {func(a *authority) { a.Keyless.Identities = nil }, []string{at + ".keyless.identities"}},
		"everybody and his brother":         {func(a *authority) { a.Keyless.Identities = make([]v1alpha1.Identity, maxIdentities+1) }, manyIdentities()},
		"an identity without an issuer":     {identity(func(i *v1alpha1.Identity) { i.Issuer = "" }), []string{at + ".keyless.identities[0]"}},
		"an identity with two issuers":      {identity(func(i *v1alpha1.Identity) { i.IssuerRegExp = "a" }), []string{at + ".keyless.identities[0]"}},
		"an identity without a subject":     {identity(func(i *v1alpha1.Identity) { i.SubjectRegExp = "" }), []string{at + ".keyless.identities[0]"}},
		"an identity with two subjects":     {identity(func(i *v1alpha1.Identity) { i.Subject = "a" }), []string{at + ".keyless.identities[0]"}},
		"an issuer that is no URL":          {identity(func(i *v1alpha1.Identity) { i.Issuer = "accounts.google.com" }), []string{at + ".keyless.identities[0].issuer"}},
		"an issuer with a query":            {identity(func(i *v1alpha1.Identity) { i.Issuer = "https://a.example?b" }), []string{at + ".keyless.identities[0].issuer"}},
		"a space after the issuer":          {identity(func(i *v1alpha1.Identity) { i.Issuer = "https://a.example " }), []string{at + ".keyless.identities[0].issuer", at + ".keyless.identities[0].issuer"}},
		"an expression that does not parse": {identity(func(i *v1alpha1.Identity) { i.SubjectRegExp = "a)|(?:b" }), []string{at + ".keyless.identities[0].subjectRegExp"}},
		"an expression of Perl":             {identity(func(i *v1alpha1.Identity) { i.SubjectRegExp = "a(?!b)" }), []string{at + ".keyless.identities[0].subjectRegExp"}},
		"an extension that nobody gives": {
			identity(func(i *v1alpha1.Identity) { i.Extensions["sourceRepositoryUri"] = "a" }), []string{at + ".keyless.identities[0].extensions"},
		},
		"the issuer as an extension": {
			identity(func(i *v1alpha1.Identity) { i.Extensions["issuer"] = "a" }), []string{at + ".keyless.identities[0].extensions"},
		},
		"an extension without a value": {
			identity(func(i *v1alpha1.Identity) { i.Extensions["buildTrigger"] = "" }), []string{at + ".keyless.identities[0].extensions[buildTrigger]"},
		},
		"a timestamp of nobody":         {func(a *authority) { a.RFC3161Timestamp.TrustRootRef = "" }, []string{at + ".rfc3161timestamp.trustRootRef"}},
		"an attestation twice":          {func(a *authority) { a.Attestations[1].Name = "sbom" }, []string{at + ".attestations[1].name"}},
		"an attestation's name":         {func(a *authority) { a.Attestations[0].Name = "" }, []string{at + ".attestations[0].name"}},
		"a predicate that nobody knows": {func(a *authority) { a.Attestations[0].PredicateType = "sbom" }, []string{at + ".attestations[0].predicateType"}},
		"no predicate":                  {func(a *authority) { a.Attestations[0].PredicateType = "" }, []string{at + ".attestations[0].predicateType"}},
		"the signature as an attestation": {
			func(a *authority) { a.Attestations[0].PredicateType = signPredicateType }, []string{at + ".attestations[0].predicateType"},
		},
		"attestations alone":     {func(a *authority) { a.RequireSignature, a.Annotations = &no, nil }, nil},
		"claims in no signature": {func(a *authority) { a.RequireSignature = &no }, []string{at + ".annotations"}},
		"neither a signature nor an attestation": {
			func(a *authority) { a.RequireSignature, a.Annotations, a.Attestations = &no, nil, nil }, []string{at + ".requireSignature"},
		},
		"a claim without a value":    {func(a *authority) { a.Annotations["release"] = "" }, []string{at + ".annotations[release]"}},
		"a format that nobody knows": {func(a *authority) { a.SignatureFormat = "dsse" }, []string{at + ".signatureFormat"}},
		"a static answer that looks at something": {
			func(a *authority) {
				a.Keyless, a.CTLog, a.Static = nil, nil, &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail}
			}, []string{at + ".static"},
		},
		"a key and an identity": {func(a *authority) { a.Key = &v1alpha1.KeyAuthority{Data: "a"} }, []string{at}},
		"logs that are named and ignored": {
			func(a *authority) { yes := true; a.CTLog.InsecureIgnoreTlog = &yes }, []string{at + ".ctlog"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := keylessPolicy()
			tc.edit(&p.Spec.Authorities[0])
			if diff := cmp.Diff(tc.want, where(t, ClusterImagePolicy(p), "")); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s", diff)
			}
		})
	}
}

// manyIdentities is what is wrong with identities that are empty and too many.
func manyIdentities() []string {
	want := []string{"spec.authorities[0].keyless.identities"}
	for i := range maxIdentities + 1 {
		path := "spec.authorities[0].keyless.identities[" + strconv.Itoa(i) + "]"
		want = append(want, path, path)
	}
	return want
}

func TestKeylessWarnings(t *testing.T) {
	yes := true
	known := Known{
		Logs: []v1alpha1.TransparencyLog{{
			ObjectMeta: metav1.ObjectMeta{Name: "corp"}, Spec: v1alpha1.TransparencyLogSpec{URLs: []string{"https://rekor.example"}},
		}},
		Roots: []v1alpha1.TrustRoot{{ObjectMeta: metav1.ObjectMeta{Name: "corp"}}},
	}
	type authority = v1alpha1.Authority
	subject := func(expression string) func(*authority) {
		return func(a *authority) { a.Keyless.Identities[0].SubjectRegExp = expression }
	}
	for name, tc := range map[string]struct {
		edit func(*authority)
		want []string
	}{
		"nothing to warn of":             {func(*authority) {}, nil},
		"everybody":                      {subject(".*"), []string{"matches everybody"}},
		"everybody, anchored":            {subject("^.+$"), []string{"matches everybody"}},
		"everybody, in a group":          {subject("(.*)"), []string{"matches everybody"}},
		"everybody or somebody":          {subject("a|.*"), []string{"matches everybody"}},
		"a dot that is any letter":       {subject("https://github.com/corp/.*"), []string{"any character"}},
		"an issuer that is anybody":      {func(a *authority) { i := &a.Keyless.Identities[0]; i.Issuer, i.IssuerRegExp = "", ".*" }, []string{"issuerRegExp"}},
		"an issuer without TLS":          {func(a *authority) { a.Keyless.Identities[0].Issuer = "http://a.example" }, []string{"impersonated"}},
		"certificates in no log":         {func(a *authority) { a.Keyless.InsecureIgnoreSCT = &yes }, []string{"insecureIgnoreSCT"}},
		"a trust root that is not there": {func(a *authority) { a.Keyless.TrustRootRef = "b" }, []string{"TrustRoot \"b\" does not exist"}},
		"authorities that are not there": {func(a *authority) { a.RFC3161Timestamp.TrustRootRef = "b" }, []string{"rfc3161timestamp.trustRootRef"}},
		"signatures in no log":           {func(a *authority) { a.CTLog = &v1alpha1.CTLog{InsecureIgnoreTlog: &yes} }, []string{"insecureIgnoreTlog"}},
		"a URL that no log has":          {func(a *authority) { a.CTLog = &v1alpha1.CTLog{URL: "https://b.example"} }, []string{"no TransparencyLog is at its url"}},
		"a log at a URL":                 {func(a *authority) { a.CTLog = &v1alpha1.CTLog{URL: "https://rekor.example/"} }, nil},
		"a log that is not there":        {func(a *authority) { a.CTLog.LogRefs[0] = "b" }, []string{"logRefs[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := keylessPolicy()
			tc.edit(&p.Spec.Authorities[0])
			expectEach(t, PolicyWarnings(p, known), tc.want)
		})
	}
}

// TestAnExpressionIsShownAsItWasWritten: one of policy.sigstore.dev is open at its ends, and
// says so here.
func TestAnExpressionIsShownAsItWasWritten(t *testing.T) {
	for expression, want := range map[string]string{
		`(?s:.*)(?:github.com/acme)(?s:.*)`: `f: "github.com/acme" has a dot`,
		`(?s:.*)(?:.*)(?s:.*)`:              `f: ".*" matches everybody`,
		`github.com/acme`:                   `f: "github.com/acme" has a dot`,
	} {
		if got := expressionWarnings("f", expression); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}
