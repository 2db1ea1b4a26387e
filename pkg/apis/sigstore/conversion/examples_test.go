// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheExamplesOfPolicyController: policy-controller v0.13.1 comes with these policies,
// as examples and for its own tests. Each is here by the name of its file, in the shape that it
// has there, with what becomes of it: nothing is refused, or these fields are. It has many of
// them a second time in v1beta1, which is the same.
func TestTheExamplesOfPolicyController(t *testing.T) {
	const (
		rekor    = "ctlog: {url: http://rekor.rekor-system.svc}"
		public   = "ctlog: {url: https://rekor.sigstore.dev}"
		service  = "identities: [{issuerRegExp: .*kubernetes.default.*, subjectRegExp: .*kubernetes.io/namespaces/default/serviceaccounts/default}]"
		actions  = "identities: [{issuer: https://token.actions.githubusercontent.com, subject: https://github.com/sigstore/policy-controller/.github/workflows/a.yml@refs/heads/main}]"
		fulcio   = "keyless: {url: http://fulcio.fulcio-system.svc, " + service + "}"
		rooted   = "keyless: {url: http://fulcio.fulcio-system.svc, trustRootRef: my-keys, " + service + "}, ctlog: {url: http://rekor.rekor-system.svc, trustRootRef: my-keys}"
		cue      = "attestations: [{name: custom-match-predicate, predicateType: https://cosign.sigstore.dev/attestation/v1, policy: {type: cue, data: x}}]"
		rego     = "attestations: [{name: custom-match-predicate, predicateType: https://cosign.sigstore.dev/attestation/v1, policy: {type: rego, data: x}}]"
		awskms   = "{kms: 'awskms:///arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'}"
		alias    = "{kms: 'awskms://localhost:4566/arn:aws:kms:us-east-2:111122223333:alias/ExampleAlias'}"
		details  = "identities: [{issuer: issue-details, subject: subject-details}]"
		program  = "spec.authorities[0].attestations[0].policy"
		nowhere  = "spec.images[0].glob"
		nowhere2 = "spec.images[1].glob"
	)
	on := func(glob string) func(authorities string, more ...string) string {
		return func(authorities string, more ...string) string {
			return "{images: [{glob: '" + strings.ReplaceAll(glob, " ", "'}, {glob: '") + "'}], authorities: [" + authorities + "]" + strings.Join(more, "") + "}"
		}
	}
	demo, all, stamps, images, both := on("**demo**"), on("**"), on("ghcr.io/sigstore/timestamp-server**"), on("images.*"), on("images.* image*")
	pass := "{static: {action: pass}}"
	for name, tt := range map[string]struct {
		spec    string
		refused []string
	}{
		"examples/allow-only-pods":                      {stamps(pass, ", policy: {includeTypeMeta: true, type: cue, data: x}"), []string{"spec.policy"}},
		"examples/custom-key-attestation-sbom-spdxjson": {all("{name: custom-key, key: " + key + ", " + public + ", attestations: [{name: must-have-spdxjson, predicateType: spdxjson, policy: {type: cue, data: x}}]}"), []string{program}},
		"examples/keyless-attestation-sbom-spdxjson":    {all("{name: keyless, keyless: {url: 'https://fulcio.sigstore.dev', " + actions + "}, " + public + ", attestations: [{name: must-have-spdxjson, predicateType: spdxjson, policy: {type: cue, data: x}}]}"), []string{program}},
		"examples/release-signed-by-github-actions": {
			on("gcr.io/projectsigstore/policy-webhook@sha256:" + strings.Repeat("d1", 32))("{keyless: {url: https://fulcio.sigstore.dev, " + actions + "}, " + public + "}"), nil,
		},
		"examples/signed-by-aws-kms-key":      {all("{name: aws-kms, key: {kms: 'awskms:///arn:aws:kms:<< region >>:<< account id >>:key/<< key id >>'}, " + public + "}"), []string{"spec.authorities[0].key.kms"}}, // to be filled in
		"examples/signed-by-gcp-kms-key":      {all("{name: gcp-kms, key: {kms: 'gcpkms://projects/${PROJECT_ID}/locations/${REGION}/keyRings/${KEY_RING}/cryptoKeys/${KEY_NAME}/cryptoKeyVersions/${KEY_VERSION}'}, " + public + "}"), []string{"spec.authorities[0].key.kms"}},
		"examples/signed-by-github-actions":   {all("{keyless: {url: https://fulcio.sigstore.dev, " + actions + "}, " + public + "}"), nil},
		"e2e/cip-config-file-policy":          {stamps(pass, ", policy: {fetchConfigFile: true, type: cue, data: x}"), []string{"spec.policy"}}, // and -fails
		"e2e/…-policy-from-configmap":         {stamps(pass, ", policy: {fetchConfigFile: true, type: cue, configMapRef: {name: policy-config, key: policy}}"), []string{"spec.policy"}},
		"e2e/cip-policy-from-url":             {stamps(pass, ", policy: {fetchConfigFile: true, type: cue, remote: {url: https://a.test, sha256sum: '29'}}"), []string{"spec.policy"}},
		"e2e/cip-include-objectmeta":          {stamps(pass, ", policy: {includeObjectMeta: true, type: cue, data: x}"), []string{"spec.policy"}}, // and -fails
		"e2e/cip-include-spec":                {stamps(pass, ", policy: {includeSpec: true, type: cue, data: x}"), []string{"spec.policy"}},       // and -fails
		"e2e/cip-include-typemeta":            {stamps(pass, ", policy: {includeTypeMeta: true, type: cue, data: x}"), []string{"spec.policy"}},
		"e2e/cip-key-and-keyless":             {demo("{key: " + key + ", " + rekor + "}, {keyless: {url: http://fulcio.sigstore.dev, " + service + "}}"), nil},
		"e2e/cip-key-and-keyless-ignore-sct":  {demo("{key: " + key + ", " + rekor + "}, {keyless: {url: http://fulcio.sigstore.dev, insecureIgnoreSCT: true, " + service + "}}"), nil},
		"e2e/cip-key-hash-algorithm":          {on("quay.io/jetstack/cert-manager-acmesolver:*")("{key: {kms: hashivault://a, hashAlgorithm: sha512}}"), nil},
		"e2e/cip-key":                         {demo("{key: " + key + ", " + rekor + "}"), nil},
		"e2e/cip-key-no-rekor":                {demo("{key: " + key + "}"), nil}, // asks the default log
		"e2e/cip-key-secret":                  {demo("{key: {secretRef: {name: cip-secret}}, " + rekor + "}"), nil},
		"e2e/cip-key-tsa":                     {demo("{key: " + key + ", rfc3161timestamp: {trustRootRef: my-sigstore-keys}}"), nil},
		"e2e/cip-key-with-attestations":       {demo("{name: verify custom attestation, key: " + key + ", " + rekor + ", " + cue + "}"), []string{program}}, // and -no-rekor, -rego
		"e2e/cip-keyless":                     {demo("{" + fulcio + ", " + rekor + "}"), nil},                                                               // and -with-identities, -mismatch
		"e2e/cip-keyless-warn":                {demo("{"+fulcio+", "+rekor+"}", ", mode: warn"), nil},
		"e2e/cip-keyless-with-attestations":   {demo("{name: attestation, " + fulcio + ", " + rekor + ", " + cue + "}"), []string{program}},
		"e2e/…-with-attestations-rego":        {demo("{name: attestation, " + fulcio + ", " + rekor + ", " + rego + "}"), []string{program}},
		"e2e/cip-keyless-with-source":         {demo("{" + fulcio + ", source: [{oci: 'registry.local:5000/policy-controller/demo'}], " + rekor + "}"), nil},
		"e2e/…-with-source-prefix-tag":        {demo("{" + fulcio + ", source: [{tagPrefix: sigprefix}], " + rekor + ", " + cue + "}"), []string{program}},
		"e2e/…-with-trustroot":                {demo("{name: attestation, " + rooted + ", " + cue + "}"), []string{program}}, // and -remote, -repository
		"e2e/cip-match-resource-label":        {demo("{key: "+key+", "+rekor+"}", ", match: [{resource: pods, version: '*', selector: {matchLabels: {match: match}}}]"), nil},
		"e2e/cip-requires-two-signatures-…":   {demo("{name: keyatt, key: "+key+", "+rekor+", "+cue+"}, {name: keysignature, key: "+key+", "+rekor+"}", ", policy: {type: cue, data: x}"), []string{program, "spec.policy"}},
		"e2e/cip-static-fail":                 {stamps("{static: {action: fail}}"), nil},
		"e2e/cip-static-pass":                 {stamps(pass), nil},
		"tester/cip-public-keyless":           {on("ghcr.io/sigstore/cosign/cosign:v1.12.1")("{keyless: {url: https://fulcio.sigstore.dev, identities: [{issuerRegExp: .*accounts.google.com.*, subjectRegExp: .*projectsigstore.iam.gserviceaccount.com}]}}"), nil},
		"valid/valid-keyref-awskms":           {images("{key: " + awskms + "}, {key: " + alias + "}"), []string{nowhere}}, // its globs match nothing
		"valid/valid-keylessref-awskms":       {images("{keyless: {ca-cert: " + awskms + ", " + service + "}}"), []string{"spec.authorities[0].keyless.ca-cert", nowhere}},
		"valid/valid-policy-hash-algo-sha512": {on("ghcr.io/sgtcodfish/ace:0.5")("{key: {kms: hashivault://a, hashAlgorithm: sha512}}", ", mode: enforce"), nil},
		"valid/valid-keyless-with-source": {
			images("{keyless: {ca-cert: {secretRef: {name: ca-cert-secret}}, " + service + "}, source: [{signaturePullSecrets: [{name: examplePullSecret}]}]}"),
			[]string{"spec.authorities[0].keyless.ca-cert", "spec.authorities[0].source[0].signaturePullSecrets", nowhere},
		},
		"valid/valid-policy, …-glob, …-hash-algo": {
			both("{keyless: {ca-cert: {secretRef: {name: c}}, "+service+"}}, {name: keyless signatures, keyless: {"+details+"}}, {key: {kms: 'hashivault://key/path'}}, {key: {secretRef: {name: secret-name, namespace: cosign-system}}}", ", mode: enforce"),
			[]string{
				"spec.authorities[0].keyless.ca-cert", "spec.authorities[1].keyless.identities[0].issuer", "spec.authorities[1].keyless.url",
				"spec.authorities[2].key.kms", "spec.authorities[3].key.secretRef.namespace", nowhere, nowhere2,
			},
		},
		"valid/valid-policy-keyless-ignore-sct": {
			both("{keyless: {insecureIgnoreSCT: true, ca-cert: {secretRef: {name: c}}, "+service+"}}", ", mode: warn"), []string{"spec.authorities[0].keyless.ca-cert", nowhere, nowhere2},
		},
		"valid/valid-policy-match-resource": {
			both("{key: {secretRef: {name: secret-name}}}", ", match: [{resource: deployments, version: v1, group: apps, selector: {matchLabels: {match: match}}}]"),
			[]string{nowhere, nowhere2},
		},
		"invalid/empty-keyref":                         {on("image*")("{key: {}}"), []string{"spec.authorities[0].key", nowhere}},
		"invalid/empty-keyref-and-keylessref":          {on("image*")("{keyless: {}, key: {}}"), []string{"spec.authorities[0]", nowhere}},
		"invalid/v1beta1-empty-keyref-and-keylessref":  {on("image*")("{key: {}, keyless: }"), []string{"spec.authorities[0].key", nowhere}},
		"invalid/valid-keyref-and-keylessref":          {on("image*")("{keyless: {identities: [{issuer: issue-details}]}, key: {kms: 'hashivault://url'}}"), []string{"spec.authorities[0]", nowhere}},
		"invalid/invalid-authority":                    {on("image*")("{rfc3161timestamp: {trustRootRef: my-sigstore-keys}}"), []string{"spec.authorities[0]", nowhere}},
		"invalid/invalid-glob":                         {on("[")("{key: " + key + "}"), []string{nowhere}},
		"invalid/invalid-keyref-awskms":                {images("{key: {kms: 'awskms:///alias/ExampleAlias'}}"), []string{nowhere}}, // which is a key that can be asked for here
		"invalid/invalid-mode":                         {all("{key: "+key+"}", ", mode: garbage"), []string{"spec.mode"}},
		"invalid/invalid-pubkey":                       {on("image*")("{key: {data: ---somedata---}}"), []string{"spec.authorities[0].key.data", nowhere}},
		"invalid/keylessref-with-empty-authorities":    {"{images: [{glob: image*}], authorities: []}", []string{"spec.authorities", nowhere}},
		"invalid/keylessref-with-malformed-issuer":     {on("image*")("{keyless: {identities: [{issuerRegExp: '****'}]}}"), []string{"spec.authorities[0].keyless.identities[0]", "spec.authorities[0].keyless.identities[0].issuerRegExp", "spec.authorities[0].keyless.url", nowhere}},
		"invalid/keylessref-with-malformed-subject":    {on("image*")("{keyless: {identities: [{subjectRegExp: '****'}]}}"), []string{"spec.authorities[0].keyless.identities[0]", "spec.authorities[0].keyless.identities[0].subjectRegExp", "spec.authorities[0].keyless.url", nowhere}},
		"invalid/keylessref-with-multiple-properties":  {on("image*")("{keyless: {ca-cert: {secretRef: {name: c}}, url: http://example.com, " + service + "}}"), []string{"spec.authorities[0].keyless.ca-cert", nowhere}},
		"invalid/keyref-with-multiple-properties":      {on("image*")("{key: {data: x, kms: hashivault://url}}"), []string{"spec.authorities[0].key", nowhere}},
		"invalid/missing-identity":                     {all("{keyless: {url: https://fulcio.sigstore.dev}}", ", mode: warn"), []string{"spec.authorities[0].keyless.identities"}},
		"invalid/missing-issuer":                       {all("{keyless: {url: https://fulcio.sigstore.dev, identities: [{subject: testsubject}]}}", ", mode: warn"), []string{"spec.authorities[0].keyless.identities[0]"}},
		"invalid/missing-subject":                      {all("{keyless: {url: https://fulcio.sigstore.dev, identities: [{issuer: https://testissuer}]}}", ", mode: warn"), []string{"spec.authorities[0].keyless.identities[0]"}},
		"invalid/v1beta1-invalid-hash-algo":            {on("image*")("{key: {hashAlgorithm: shaINVALID, kms: hashivault://a}}"), []string{"spec.authorities[0].key.hashAlgorithm", nowhere}},
		"invalid/v1beta1-invalid-match-resource":       {on("image*")("{key: "+key+"}", ", match: [{resource: apple, version: v1, group: apps}]"), []string{nowhere}}, // a resource that nobody serves here; there, one that is not in a list of its own
		"empty-authorities/authorities-absent":         {"{images: [{glob: image*}]}", []string{"spec.authorities", nowhere}},
		"empty-authorities/authorities-present (none)": {"{images: [{glob: image*}], authorities: []}", []string{"spec.authorities", nowhere}},
	} {
		t.Run(name, func(t *testing.T) {
			converted, refused := read(t, tt.spec, options)
			if diff := cmp.Diff(tt.refused, refused); diff != "" {
				t.Errorf("refused fields (-want +got):\n%s\n%v", diff, converted.Refused)
			}
		})
	}
}
