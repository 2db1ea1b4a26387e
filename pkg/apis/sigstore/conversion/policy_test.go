// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
)

const (
	key = "{data: \"-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZxAfzrQG1EbWyCI8LiSB7YgSFXoI\\nFNGTyQGKHFc6/H8TQumT9VLS78pUwtv3w7EfKoyFZoP32KrO7nzUy2q6Cw==\\n-----END PUBLIC KEY-----\\n\"}"
	who = "[{issuer: https://issuer.test, subject: a@corp.test}]"
)

var options = conversion.Options{Namespace: "countersign-system"}

// read converts a policy with this spec, and says which fields were refused.
func read(t *testing.T, spec string, o conversion.Options) (conversion.Policy, []string) {
	t.Helper()
	text := "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: p}\nspec: " + spec
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	converted := conversion.ClusterImagePolicy(raw, o)
	var refused []string
	for _, err := range converted.Refused {
		refused = append(refused, err.Field)
	}
	slices.Sort(refused)
	return converted, slices.Compact(refused)
}

// with is the spec of a policy with one authority.
func with(authority string) string {
	return "{images: [{glob: corp.example/**}], authorities: [" + authority + "]}"
}

// ours reads one authority of our own API.
func ours(t *testing.T, text string) v1alpha1.Authority {
	t.Helper()
	var a v1alpha1.Authority
	if err := yaml.UnmarshalStrict([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheTutorialsPolicyMeansWhatItsAuthorMeant(t *testing.T) {
	converted, refused := read(t, `
  images: [{glob: "ghcr.io/myorg/**"}]
  authorities:
  - keyless:
      url: https://fulcio.sigstore.dev
      identities:
      - issuer: https://token.actions.githubusercontent.com
        subjectRegExp: ".*myorg/myrepo.*"
    ctlog: {url: https://rekor.sigstore.dev}
`, options)
	if len(refused) > 0 {
		t.Fatal(converted.Refused)
	}
	want := v1alpha1.ClusterImagePolicySpec{
		Mode: v1alpha1.ModeEnforce, Threshold: 1, Platforms: v1alpha1.PlatformsIndex, Exceptions: v1alpha1.ExceptionsDeny, OnUnavailable: v1alpha1.OnUnavailableDeny,
		Images: []v1alpha1.ImagePattern{{Glob: "ghcr.io/myorg/**"}},
		Authorities: []v1alpha1.Authority{{
			Name: "authority-0",
			Keyless: &v1alpha1.KeylessAuthority{URL: "https://fulcio.sigstore.dev", Identities: []v1alpha1.Identity{{
				Issuer: "https://token.actions.githubusercontent.com", SubjectRegExp: "(?s:.*)(?:.*myorg/myrepo.*)(?s:.*)",
			}}},
			CTLog: &v1alpha1.CTLog{URL: "https://rekor.sigstore.dev"},
		}},
	}
	if diff := cmp.Diff(want, converted.Object.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if len(converted.Warnings) != 1 || !strings.Contains(converted.Warnings[0], "spec.authorities[0].keyless.identities[0].subjectRegExp") {
		t.Errorf("warnings %q, want one that the expression is not anchored", converted.Warnings)
	}
}

func TestWhatEachFieldOfAnAuthorityBecomes(t *testing.T) {
	for name, tt := range map[string]struct {
		theirs, ours string
		// warning is part of a warning; "" is none.
		warning string
	}{
		"a key and a log": {"{name: k, key: " + key + ", ctlog: {url: https://rekor.test}}", "{name: k, key: " + key + ", ctlog: {url: https://rekor.test}}", ""},
		"a key and no log asks the default log": {"{key: " + key + "}", "{name: authority-0, key: " + key + "}",
			"spec.authorities[0].ctlog: names no log"},
		"a key and an empty ctlog asks the default log, too": {"{key: " + key + ", ctlog: {}}", "{name: authority-0, key: " + key + "}", "names no log"},
		"a key with its hash": {"{key: {kms: hashivault://a, hashAlgorithm: ' SHA512 '}, ctlog: {url: https://rekor.test}}",
			"{name: authority-0, key: {kms: hashivault://a, hashAlgorithm: sha512}, ctlog: {url: https://rekor.test}}", ""},
		"a Secret": {"{key: {secretRef: {name: s}}, ctlog: {url: https://rekor.test}}", "{name: authority-0, key: {secretRef: {name: s}}, ctlog: {url: https://rekor.test}}", ""},
		"a Secret in our own namespace": {"{key: {secretRef: {name: s, namespace: countersign-system}}, ctlog: {url: https://rekor.test}}",
			"{name: authority-0, key: {secretRef: {name: s}}, ctlog: {url: https://rekor.test}}", ""},
		"a log of a trust root": {"{key: " + key + ", ctlog: {trustRootRef: corp}}", "{name: authority-0, key: " + key + ", ctlog: {trustRootRef: corp}}", ""},
		"a URL beside a trust root chooses no log": {"{key: " + key + ", ctlog: {trustRootRef: corp, url: https://rekor.test}}",
			"{name: authority-0, key: " + key + ", ctlog: {trustRootRef: corp}}", "spec.authorities[0].ctlog.url: chooses nothing"},
		"an identity": {"{keyless: {url: https://fulcio.test, identities: " + who + "}, ctlog: {url: https://rekor.test}}",
			"{name: authority-0, keyless: {url: https://fulcio.test, identities: " + who + "}, ctlog: {url: https://rekor.test}}", ""},
		"an identity and no log asks the default log, and no public one": {"{keyless: {url: https://fulcio.test, identities: " + who + "}}",
			"{name: authority-0, keyless: {url: https://fulcio.test, identities: " + who + "}}", "sigstore's public one"},
		"a trust root": {"{keyless: {trustRootRef: corp, insecureIgnoreSCT: true, identities: " + who + "}, ctlog: {trustRootRef: corp}}",
			"{name: authority-0, keyless: {trustRootRef: corp, insecureIgnoreSCT: true, identities: " + who + "}, ctlog: {trustRootRef: corp}}", ""},
		"the URL that policy-controller writes beside a trust root": {"{keyless: {trustRootRef: corp, url: https://fulcio.sigstore.dev, identities: " + who + "}, ctlog: {trustRootRef: corp}}",
			"{name: authority-0, keyless: {trustRootRef: corp, identities: " + who + "}, ctlog: {trustRootRef: corp}}", ""},
		"another URL beside a trust root": {"{keyless: {trustRootRef: corp, url: https://fulcio.test, identities: " + who + "}, ctlog: {trustRootRef: corp}}",
			"{name: authority-0, keyless: {trustRootRef: corp, identities: " + who + "}, ctlog: {trustRootRef: corp}}", "keyless.url: chooses nothing"},
		"an image that passes":               {"{static: {action: pass}}", "{name: authority-0, static: {action: pass}}", ""},
		"an image that fails":                {"{static: {action: fail, message: 'no'}}", "{name: authority-0, static: {action: fail, message: 'no'}}", ""},
		"a message that is never shown":      {"{static: {action: pass, message: 'no'}}", "{name: authority-0, static: {action: pass}}", "static.message"},
		"a name with spaces and upper case":  {"{name: ' Signed by CI! ', static: {action: fail}}", "{name: signed-by-ci, static: {action: fail}}", ""},
		"a name of nothing that can be kept": {"{name: '??', static: {action: fail}}", "{name: authority-0, static: {action: fail}}", ""},
		"a source": {"{key: " + key + ", ctlog: {url: https://rekor.test}, source: [{oci: corp.example/signatures, tagPrefix: p}]}",
			"{name: authority-0, key: " + key + ", ctlog: {url: https://rekor.test}, source: [{oci: corp.example/signatures, tagPrefix: p}]}", ""},
		"attestations are asked for in the place of the signature": {
			"{key: " + key + ", ctlog: {url: https://rekor.test}, attestations: [{name: S B O M, predicateType: spdxjson}, {name: s-b-o-m, predicateType: https://a.test/b}]}",
			"{name: authority-0, key: " + key + ", ctlog: {url: https://rekor.test}, requireSignature: false, attestations: [{name: s-b-o-m, predicateType: spdxjson}, {name: s-b-o-m-2, predicateType: https://a.test/b}]}", ""},
		"a timestamp is asked for besides the log": {"{key: " + key + ", ctlog: {url: https://rekor.test}, rfc3161timestamp: {trustRootRef: tsa}}",
			"{name: authority-0, key: " + key + ", ctlog: {url: https://rekor.test}, rfc3161timestamp: {trustRootRef: tsa}}", ""},
		"the legacy format": {"{key: " + key + ", ctlog: {url: https://rekor.test}, signatureFormat: legacy}",
			"{name: authority-0, key: " + key + ", ctlog: {url: https://rekor.test}, signatureFormat: legacy}", ""},
		"bundles, for a key, too": {"{key: " + key + ", ctlog: {url: https://rekor.test}, signatureFormat: bundle}",
			"{name: authority-0, key: " + key + ", ctlog: {url: https://rekor.test}, signatureFormat: bundle}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, with(tt.theirs), options)
			if len(refused) > 0 {
				t.Fatal(converted.Refused)
			}
			want := v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{Authorities: []v1alpha1.Authority{ours(t, tt.ours)}}}
			want.SetDefaults()
			if diff := cmp.Diff(want.Spec.Authorities, converted.Object.Spec.Authorities); diff != "" {
				t.Errorf("authorities (-want +got):\n%s", diff)
			}
			warnings := strings.Join(converted.Warnings, "\n")
			if (warnings != "") != (tt.warning != "") || !strings.Contains(warnings, tt.warning) {
				t.Errorf("warnings %q, want %q", warnings, tt.warning)
			}
		})
	}
}

func TestAKeyWithoutALogDoesWithoutOneOnlyWhereThatIsAskedFor(t *testing.T) {
	optional := options
	optional.OptionalTLog = true
	for name, tt := range map[string]struct {
		authority string
		options   conversion.Options
		ignored   bool
	}{
		"a key":                             {"{key: " + key + "}", options, false},
		"a key, where logs are optional":    {"{key: " + key + "}", optional, true},
		"a key and an empty ctlog there":    {"{key: " + key + ", ctlog: {}}", optional, true},
		"a key with a timestamp there":      {"{key: " + key + ", rfc3161timestamp: {trustRootRef: tsa}}", optional, true},
		"a key that names a log there":      {"{key: " + key + ", ctlog: {url: https://rekor.test}}", optional, false},
		"a key that names a trust root":     {"{key: " + key + ", ctlog: {trustRootRef: corp}}", optional, false},
		"a keyless authority there":         {"{keyless: {url: https://fulcio.test, identities: " + who + "}}", optional, false},
		"a keyless one with an empty ctlog": {"{keyless: {url: https://fulcio.test, identities: " + who + "}, ctlog: {}}", optional, false},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, with(tt.authority), tt.options)
			if len(refused) > 0 {
				t.Fatal(converted.Refused)
			}
			if got := converted.Object.Spec.Authorities[0].CTLog.Ignored(); got != tt.ignored {
				t.Errorf("does without a log: %v, want %v", got, tt.ignored)
			}
		})
	}
}

func TestWhatCannotBeKeptIsRefusedWithItsPath(t *testing.T) {
	good := "{static: {action: fail}}"
	spec := func(more string) string {
		return "{images: [{glob: corp.example/**}], authorities: [" + good + "], " + more + "}"
	}
	keyed := func(more string) string {
		return with("{key: " + key + ", ctlog: {url: https://rekor.test}, " + more + "}")
	}
	keyless := func(more string) string { return with("{keyless: {url: https://fulcio.test, " + more + "}}") }
	at := "spec.authorities[0]"
	for name, tt := range map[string]struct {
		spec string
		want []string
	}{
		"no images":                                {"{authorities: [" + good + "]}", []string{"spec.images"}},
		"no authorities":                           {"{images: [{glob: a/b}]}", []string{"spec.authorities"}},
		"no authorities at all":                    {"{images: [{glob: a/b}], authorities: []}", []string{"spec.authorities"}},
		"a misspelt field":                         {spec("moed: warn"), []string{"spec.moed"}},
		"a field in another case":                  {spec("Mode: warn"), []string{"spec.Mode"}},
		"a field of ours":                          {spec("threshold: 1"), []string{"spec.threshold"}},
		"a misspelt mode":                          {spec("mode: warning"), []string{"spec.mode"}},
		"a mode of ours":                           {spec("mode: audit"), []string{"spec.mode"}},
		"a list where a text is":                   {spec("mode: [warn]"), []string{"spec"}},
		"a program over what was found":            {spec("policy: {type: cue, data: x}"), []string{"spec.policy"}},
		"a program of no known type":               {spec("policy: {type: cel, data: x}"), []string{"spec.policy.type"}},
		"a resource of no version":                 {spec("match: [{resource: pods}]"), []string{"spec.match[0].version"}},
		"a kind in the place of a resource":        {spec("match: [{version: '*', resource: Pod}]"), []string{"spec.match[0].resource"}},
		"labels of no resource":                    {spec("match: [{version: '*', selector: {matchLabels: {a: b}}}]"), []string{"spec.match[0].resource"}},
		"an operator that is none":                 {spec("match: [{version: '*', resource: pods, selector: {matchExpressions: [{key: a, operator: in, values: [b]}]}}]"), []string{"spec.match[0].selector.matchExpressions[0].operator"}},
		"a selector that selects nothing":          {spec("match: [{resource: pods}, {version: v1, group: apps, resource: deployments, selector: {matchExpressions: [{key: a, operator: In}]}}]"), []string{"spec.match[1].selector"}},
		"a pattern after one that does nothing":    {"{images: [{glob: nginx}, {glob: 'corp.example/['}], authorities: [" + good + "]}", []string{"spec.images[1].glob"}},
		"a field of selectors of ours":             {spec("match: [{version: '*', resource: pods, objectSelector: {}}]"), []string{"spec.match[0].objectSelector"}},
		"a misspelt selector":                      {spec("match: [{version: '*', resource: pods, selector: {matchLabel: {a: b}}}]"), []string{"spec.match[0].selector.matchLabel"}},
		"more resources than there may be":         {spec("match: [" + strings.Repeat("{version: '*', resource: pods},", 33) + "]"), []string{"spec.match"}},
		"more patterns than there may be":          {"{images: [" + strings.Repeat("{glob: a/b},", 129) + "], authorities: [" + good + "]}", []string{"spec.images"}},
		"an empty pattern":                         {"{images: [{glob: ''}], authorities: [" + good + "]}", []string{"spec.images[0].glob"}},
		"a digest that is not said to be one":      {"{images: [{glob: 'corp.example/app*sha256*'}], authorities: [" + good + "]}", []string{"spec.images[0].glob"}},
		"patterns that match nothing":              {"{images: [{glob: nginx}, {glob: images.*}], authorities: [" + good + "]}", []string{"spec.images[0].glob", "spec.images[1].glob"}},
		"a pattern with brackets":                  {"{images: [{glob: '['}], authorities: [" + good + "]}", []string{"spec.images[0].glob"}},
		"a digest that is too short":               {"{images: [{glob: 'a.test/b@sha256:12'}], authorities: [" + good + "]}", []string{"spec.images[0].glob"}},
		"an empty authority":                       {with("{}"), []string{at}},
		"an authority with nothing but a name":     {with("{name: a}"), []string{at}},
		"an authority of null":                     {with("{key: null}"), []string{at}},
		"an authority with nothing but a log":      {with("{ctlog: {url: https://rekor.test}}"), []string{at}},
		"an authority that is a timestamp":         {with("{rfc3161timestamp: {trustRootRef: a}}"), []string{at}},
		"a key and an identity":                    {with("{key: {}, keyless: {}}"), []string{at}},
		"a key and an answer":                      {with("{key: " + key + ", static: {action: pass}}"), []string{at}},
		"a misspelt kind of authority":             {with("{keyles: {}}"), []string{at, at + ".keyles"}},
		"a key of nothing":                         {with("{key: {}}"), []string{at + ".key"}},
		"two keys":                                 {with("{key: {data: x, kms: hashivault://a}}"), []string{at + ".key"}},
		"a key that does not parse":                {with("{key: {data: ---somedata---}}"), []string{at + ".key.data"}},
		"a hash that cosign does not sign":         {with("{key: {kms: hashivault://a, hashAlgorithm: sha224}}"), []string{at + ".key.hashAlgorithm"}},
		"a misspelt hash":                          {with("{key: {kms: hashivault://a, hashAlgorithm: shaINVALID}}"), []string{at + ".key.hashAlgorithm"}},
		"a Secret of another namespace":            {with("{key: {secretRef: {name: s, namespace: cosign-system}}}"), []string{at + ".key.secretRef.namespace"}},
		"a Secret without a name":                  {with("{key: {secretRef: {}}}"), []string{at + ".key.secretRef.name"}},
		"a key service that nobody knows":          {with("{key: {kms: mykms://a}}"), []string{at + ".key.kms"}},
		"an identity of no authority":              {with("{keyless: {identities: " + who + "}}"), []string{at + ".keyless.url"}},
		"a certificate as the authority":           {with("{keyless: {ca-cert: " + key + ", identities: " + who + "}}"), []string{at + ".keyless.ca-cert"}},
		"an authority at no URL":                   {with("{keyless: {url: fulcio, identities: " + who + "}}"), []string{at + ".keyless.url"}},
		"an authority at a URL with a query":       {with("{keyless: {url: 'https://fulcio.test?a', identities: " + who + "}}"), []string{at + ".keyless.url"}},
		"no identities":                            {keyless("identities: []"), []string{at + ".keyless.identities"}},
		"an identity without issuer":               {keyless("identities: [{subject: a}]"), []string{at + ".keyless.identities[0]"}},
		"an identity without subject":              {keyless("identities: [{issuer: https://a.test}]"), []string{at + ".keyless.identities[0]"}},
		"an identity with two subjects":            {keyless("identities: [{issuer: https://a.test, subject: a, subjectRegExp: b}]"), []string{at + ".keyless.identities[0]"}},
		"an issuer that is no URL":                 {keyless("identities: [{issuer: issue-details, subject: a}]"), []string{at + ".keyless.identities[0].issuer"}},
		"an expression that does not compile":      {keyless("identities: [{issuerRegExp: '****', subject: a}]"), []string{at + ".keyless.identities[0].issuerRegExp"}},
		"an expression that closes what is around": {keyless("identities: [{issuerRegExp: 'a)|(?:b', subject: a}]"), []string{at + ".keyless.identities[0].issuerRegExp"}},
		"an expression with an open quotation":     {keyless(`identities: [{issuerRegExp: '\Qa', subject: a}]`), []string{at + ".keyless.identities[0].issuerRegExp"}},
		"a misspelt identity":                      {keyless("identities: [{issuer: https://a.test, subjectRegexp: a}]"), []string{at + ".keyless.identities[0]", at + ".keyless.identities[0].subjectRegexp"}},
		"a log at no URL":                          {with("{key: " + key + ", ctlog: {url: rekor}}"), []string{at + ".ctlog.url"}},
		"a log of ours":                            {with("{key: " + key + ", ctlog: {logRefs: [a]}}"), []string{at + ".ctlog.logRefs"}},
		"a way around the log":                     {with("{key: " + key + ", ctlog: {insecureIgnoreTlog: true}}"), []string{at + ".ctlog.insecureIgnoreTlog"}},
		"a timestamp of nobody":                    {keyed("rfc3161timestamp: {}"), []string{at + ".rfc3161timestamp.trustRootRef"}},
		"a misspelt format":                        {keyed("signatureFormat: bundles"), []string{at + ".signatureFormat"}},
		"a format of ours":                         {keyed("signatureFormat: auto"), []string{at + ".signatureFormat"}},
		"two sources":                              {keyed("source: [{oci: a.test/b}, {oci: a.test/c}]"), []string{at + ".source"}},
		"a source that is nowhere":                 {keyed("source: [{}]"), []string{at + ".source[0]"}},
		"a source with Secrets":                    {keyed("source: [{oci: a.test/b, signaturePullSecrets: [{name: s}]}]"), []string{at + ".source[0].signaturePullSecrets"}},
		"a prefix with a slash":                    {keyed("source: [{tagPrefix: a/b}]"), []string{at + ".source[0].tagPrefix"}},
		"an attestation without a name":            {keyed("attestations: [{predicateType: spdx}]"), []string{at + ".attestations[0].name"}},
		"an attestation of no type":                {keyed("attestations: [{name: a}]"), []string{at + ".attestations[0].predicateType"}},
		"an attestation with a misspelt type":      {keyed("attestations: [{name: a, predicateType: spdxjso}]"), []string{at + ".attestations[0].predicateType"}},
		"a signature as an attestation":            {keyed("attestations: [{name: a, predicateType: https://sigstore.dev/cosign/sign/v1}]"), []string{at + ".attestations[0].predicateType"}},
		"a cue program over an attestation":        {keyed("attestations: [{name: a, predicateType: spdx, policy: {type: cue, data: x}}]"), []string{at + ".attestations[0].policy"}},
		"a rego program over an attestation":       {keyed("attestations: [{name: a, predicateType: spdx, policy: {type: rego, remote: {url: https://a.test}}}]"), []string{at + ".attestations[0].policy"}},
		"no type of program":                       {keyed("attestations: [{name: a, predicateType: spdx, policy: {}}]"), []string{at + ".attestations[0].policy.type"}},
		"no answer":                                {with("{static: {}}"), []string{at + ".static.action"}},
		"a misspelt answer":                        {with("{static: {action: passed}}"), []string{at + ".static.action"}},
		"an answer and a log":                      {with("{static: {action: pass}, ctlog: {url: https://rekor.test}}"), []string{at + ".ctlog"}},
		"an answer and attestations":               {with("{static: {action: pass}, attestations: [{name: a, predicateType: spdx}]}"), []string{at + ".static"}},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, tt.spec, options)
			if diff := cmp.Diff(tt.want, refused); diff != "" {
				t.Errorf("refused fields (-want +got):\n%s\n%v", diff, converted.Refused)
			}
		})
	}
}

func TestPatternsThatMatchNothingCoverNothing(t *testing.T) {
	const authorities = "authorities: [{static: {action: fail}}]"
	for name, tt := range map[string]struct {
		images  string
		nothing bool
		kept    int
	}{
		"a host":                          {"[{glob: images.*}]", true, 0},
		"a short name":                    {"[{glob: image*}, {glob: nginx}]", true, 0},
		"a host and an image":             {"[{glob: images.*}, {glob: a.test/b}]", false, 1},
		"Docker Hub's official images":    {"[{glob: '*'}]", false, 1},
		"everything":                      {"[{glob: '**'}]", false, 1},
		"a part of any name":              {"[{glob: '**demo**'}]", false, 1},
		"a pattern that cannot be read":   {"[{glob: '['}]", false, 1},
		"a digest that is not said to be": {"[{glob: 'a.test/b*sha256*'}]", false, 1},
		"one with a slash that cannot be": {"[{glob: 'a.test/['}]", false, 1},
		"a tool that sums":                {"[{glob: 'a.test/sha256*'}]", false, 1},
		"none":                            {"[]", false, 0},
		"something else than a list":      {"5", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, "{images: "+tt.images+", "+authorities+"}", options)
			if converted.CoversNothing != tt.nothing || len(converted.Object.Spec.Images) != tt.kept {
				t.Errorf("covers nothing: %v, and %d patterns are kept; want %v and %d", converted.CoversNothing, len(converted.Object.Spec.Images), tt.nothing, tt.kept)
			}
			if tt.nothing && len(refused) == 0 {
				t.Error("a policy that covers nothing is accepted")
			}
			if idle := tt.kept > 0 && strings.Contains(tt.images, "images.*"); idle && (len(refused) > 0 || len(converted.Warnings) != 1) {
				t.Errorf("a pattern that does nothing beside others: refused %q, warnings %q, want one warning", refused, converted.Warnings)
			}
		})
	}
}

func TestAnObjectThatIsNoneIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":                "nonsense",
		"nothing":                "",
		"a list":                 "[]",
		"a spec of text":         `{"spec":"x"}`,
		"the same field twice":   `{"metadata":{"name":"p"},"spec":{"mode":"warn","mode":"enforce","images":[{"glob":"a/b"}],"authorities":[{"static":{"action":"fail"}}]}}`,
		"a field beside spec":    `{"metadata":{"name":"p"},"specs":{},"spec":{"images":[{"glob":"a/b"}],"authorities":[{"static":{"action":"fail"}}]}}`,
		"authorities of a thing": `{"metadata":{"name":"p"},"spec":{"images":[{"glob":"a/b"}],"authorities":{"static":{"action":"pass"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			converted := conversion.ClusterImagePolicy([]byte(text), options)
			if len(converted.Refused) == 0 || converted.Object == nil || converted.CoversNothing {
				t.Errorf("%+v", converted)
			}
		})
	}
}

func TestWhatIsNotThePolicysOwnIsNotRefused(t *testing.T) {
	const spec = `"spec":{"images":[{"glob":"a/b"}],"authorities":[{"static":{"action":"fail"}}]}`
	for name, text := range map[string]string{
		"metadata of a later Kubernetes": `{"metadata":{"name":"p","shard":{"of":3}},` + spec + `}`,
		"the status of somebody else":    `{"metadata":{"name":"p"},` + spec + `,"status":{"conditions":[{"type":5}],"more":{}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if converted := conversion.ClusterImagePolicy([]byte(text), options); len(converted.Refused) > 0 || converted.Object.Name != "p" {
				t.Errorf("%v", converted.Refused)
			}
		})
	}
}

func TestNamesOfThatAPIAreNeverThoseOfOurs(t *testing.T) {
	converted, _ := read(t, with("{keyless: {trustRootRef: corp, identities: "+who+"}, ctlog: {trustRootRef: corp}, rfc3161timestamp: {trustRootRef: corp}}"), options)
	converted.Qualify()
	a := converted.Object.Spec.Authorities[0]
	for _, name := range []string{converted.Object.Name, a.Keyless.TrustRootRef, a.CTLog.TrustRootRef, a.RFC3161Timestamp.TrustRootRef} {
		if _, theirs := v1alpha1.CutSigstoreName(name); !theirs {
			t.Errorf("%q is a name that an object of ours can have", name)
		}
	}
	byURL, _ := read(t, with("{keyless: {url: https://fulcio.test, identities: "+who+"}, ctlog: {url: https://rekor.test}}"), options)
	byURL.Qualify()
	if a := byURL.Object.Spec.Authorities[0]; a.Keyless.TrustRootRef != "" || a.CTLog.TrustRootRef != "" {
		t.Errorf("%+v", a)
	}
}
