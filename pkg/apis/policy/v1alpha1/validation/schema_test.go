// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

type schema = apiextensionsv1.JSONSchemaProps

// specSchema returns the schema of spec in a generated CustomResourceDefinition.
func specSchema(t *testing.T, resource string) schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "..", "config", "crd", "bases", "policy.countersign.dev_"+resource+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// TestBoundsAreThoseOfTheSchema: what the command line refuses is what the API
// server refuses.
func TestBoundsAreThoseOfTheSchema(t *testing.T) {
	policy, log := specSchema(t, "clusterimagepolicies"), specSchema(t, "transparencylogs")
	images, authorities := policy.Properties["images"], policy.Properties["authorities"]
	authority := authorities.Items.Schema.Properties
	ctlog, static, key := authority["ctlog"], authority["static"], authority["key"]
	got := map[string]int64{
		"images":        *images.MaxItems,
		"glob":          *images.Items.Schema.Properties["glob"].MaxLength,
		"excludeImages": *policy.Properties["excludeImages"].MaxItems,
		"authorities":   *authorities.MaxItems,
		"logRefs":       *ctlog.Properties["logRefs"].MaxItems,
		"message":       *static.Properties["message"].MaxLength,
		"kms":           *key.Properties["kms"].MaxLength,
		"urls":          *log.Properties["urls"].MaxItems,
		"readURLs":      *log.Properties["readURLs"].MaxItems,
		"reset.origin":  *log.Properties["reset"].Properties["origin"].MaxLength,
		"requestedBy":   *log.Properties["reset"].Properties["requestedBy"].MaxLength,
		"reset.reason":  *log.Properties["reset"].Properties["reason"].MaxLength,
		"logTypes":      *specSchema(t, "trustroots").Properties["logTypes"].MaxItems,
	}
	want := map[string]int64{
		"images": maxPatterns, "glob": maxGlob, "excludeImages": maxPatterns, "authorities": maxAuthorities,
		"logRefs": maxLogRefs, "message": maxMessage, "kms": kms.MaxURI, "urls": maxURLs, "readURLs": maxReadURLs,
		"logTypes": maxLogTypes, "reset.origin": maxResetOrigin, "requestedBy": maxRequestedBy, "reset.reason": maxResetReason,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-here +schema):\n%s", diff)
	}
	selector, match := policy.Properties["namespaceSelector"].Properties, policy.Properties["match"]
	requirement := selector["matchExpressions"].Items.Schema.Properties
	got = map[string]int64{
		"match":            *match.MaxItems,
		"resource":         *match.Items.Schema.Properties["resource"].MaxLength,
		"matchLabels":      *selector["matchLabels"].MaxProperties,
		"label":            *selector["matchLabels"].AdditionalProperties.Schema.MaxLength,
		"matchExpressions": *selector["matchExpressions"].MaxItems,
		"key":              *requirement["key"].MaxLength,
		"values":           *requirement["values"].MaxItems,
	}
	want = map[string]int64{
		"match": maxMatch, "resource": maxLabelValue, "matchLabels": maxLabels, "label": maxLabelValue, "matchExpressions": maxLabels,
		"key": maxLabelKey, "values": maxLabelValues,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-here +schema):\n%s", diff)
	}
	if got := match.Items.Schema.Properties["resource"].Pattern; got != resourcePattern.String() {
		t.Errorf("pattern of resource: here %s, schema %s", resourcePattern, got)
	}
	own := specSchema(t, "imagepolicies").Properties
	got = map[string]int64{
		"images": *own["images"].MaxItems, "excludeImages": *own["excludeImages"].MaxItems,
		"match": *own["match"].MaxItems, "authorities": *own["authorities"].MaxItems,
	}
	want = map[string]int64{"images": maxOwnPatterns, "excludeImages": maxOwnPatterns, "match": maxOwnMatch, "authorities": maxOwnAuthorities}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds of an ImagePolicy (-here +schema):\n%s", diff)
	}
	exception := specSchema(t, "imagepolicyexceptions").Properties
	got = map[string]int64{
		"images": *exception["images"].MaxItems, "reason": *exception["reason"].MaxLength,
		"approvedBy": *exception["approvedBy"].MaxLength, "reference": *exception["reference"].MaxLength,
	}
	want = map[string]int64{"images": maxExceptionImages, "reason": maxExceptionReason, "approvedBy": maxExceptionApprover, "reference": maxExceptionReference}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds of an exception (-here +schema):\n%s", diff)
	}
	keyless, attestation, source := authority["keyless"], authority["attestations"], authority["source"]
	identities := keyless.Properties["identities"]
	identity := identities.Items.Schema.Properties
	roots := specSchema(t, "trustroots").Properties["sigstoreKeys"].Properties
	got = map[string]int64{
		"identities":             *identities.MaxItems,
		"issuer":                 *identity["issuer"].MaxLength,
		"subject":                *identity["subject"].MaxLength,
		"issuerRegExp":           *identity["issuerRegExp"].MaxLength,
		"subjectRegExp":          *identity["subjectRegExp"].MaxLength,
		"extensions":             *identity["extensions"].MaxProperties,
		"extension":              *identity["extensions"].AdditionalProperties.Schema.MaxLength,
		"attestations":           *attestation.MaxItems,
		"predicateType":          *attestation.Items.Schema.Properties["predicateType"].MaxLength,
		"annotations":            *authority["annotations"].MaxProperties,
		"source":                 *source.MaxItems,
		"oci":                    *source.Items.Schema.Properties["oci"].MaxLength,
		"tagPrefix":              *source.Items.Schema.Properties["tagPrefix"].MaxLength,
		"signaturePullSecrets":   *source.Items.Schema.Properties["signaturePullSecrets"].MaxItems,
		"annotation":             *authority["annotations"].AdditionalProperties.Schema.MaxLength,
		"certificateAuthorities": *roots["certificateAuthorities"].MaxItems,
		"timestampAuthorities":   *roots["timestampAuthorities"].MaxItems,
		"ctLogs":                 *roots["ctLogs"].MaxItems,
		"tLogs":                  *roots["tLogs"].MaxItems,
		"uri":                    *roots["certificateAuthorities"].Items.Schema.Properties["uri"].MaxLength,
	}
	want = map[string]int64{
		"identities": maxIdentities, "issuer": maxIdentityText, "subject": maxIdentityText, "issuerRegExp": maxRegExp, "subjectRegExp": maxRegExp,
		"extensions": maxExtensions, "extension": maxIdentityText, "attestations": maxAttestations, "predicateType": maxPredicateType,
		"annotations": maxAnnotations, "annotation": maxAnnotation, "source": maxSources, "oci": maxOCI, "tagPrefix": maxTagPrefix, "signaturePullSecrets": maxSignaturePullSecrets, "certificateAuthorities": maxRootAuthorities,
		"timestampAuthorities": maxRootAuthorities, "ctLogs": maxRootLogs, "tLogs": maxRootLogs, "uri": maxURI,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-here +schema):\n%s", diff)
	}
	// The names of extensions stand in a rule of the schema.
	rule := identity["extensions"].XValidations[0].Rule
	for _, name := range verify.IdentityExtensions() {
		if !strings.Contains(rule, "'"+name+"'") {
			t.Errorf("the schema does not know the extension %s", name)
		}
	}
	if got, want := strings.Count(rule, "'"), 2*len(verify.IdentityExtensions()); got != want {
		t.Errorf("the schema knows %d extensions, not %d", got/2, want/2)
	}
	if got := log.Properties["origin"].Pattern; got != originPattern.String() {
		t.Errorf("pattern of origin: here %s, schema %s", originPattern, got)
	}
}

// TestSamplesAreValid: what is offered to copy works.
func TestSamplesAreValid(t *testing.T) {
	samples := filepath.Join("..", "..", "..", "..", "..", "config", "samples")
	files, err := filepath.Glob(filepath.Join(samples, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkSample(t, text)
		})
	}
}

// TestObjectsInTheDocumentationAreValid: so is what the pages say.
func TestObjectsInTheDocumentationAreValid(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(apiVersion: policy\\.countersign\\.dev/.*?)```")
	checked := 0
	pages := os.DirFS(filepath.Join("..", "..", "..", "..", "..", "docs"))
	err := fs.WalkDir(pages, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".md" {
			return err
		}
		page, err := fs.ReadFile(pages, file)
		for _, block := range blocks.FindAllSubmatch(page, -1) {
			checked++
			t.Run(entry.Name(), func(t *testing.T) { checkSample(t, block[1]) })
		}
		return err
	})
	if err != nil || checked < 6 {
		t.Fatalf("%d objects found, %v", checked, err)
	}
}

func checkSample(t *testing.T, text []byte) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		t.Fatal(err)
	}
	var errs field.ErrorList
	switch kind.Kind {
	case v1alpha1.ClusterImagePolicyKind:
		var policy v1alpha1.ClusterImagePolicy
		if err := yaml.UnmarshalStrict(text, &policy); err != nil {
			t.Fatal(err)
		}
		policy.SetDefaults()
		errs = ClusterImagePolicy(&policy)
	case v1alpha1.ImagePolicyKind:
		var policy v1alpha1.ImagePolicy
		if err := yaml.UnmarshalStrict(text, &policy); err != nil {
			t.Fatal(err)
		}
		policy.SetDefaults()
		errs = ImagePolicy(&policy)
	case v1alpha1.ImagePolicyExceptionKind:
		var exception v1alpha1.ImagePolicyException
		if err := yaml.UnmarshalStrict(text, &exception); err != nil {
			t.Fatal(err)
		}
		now := exception.Spec.Expires.Add(-v1alpha1.DefaultMaxExceptionAge) // an example is of some day
		errs = ImagePolicyException(&exception, now, v1alpha1.DefaultMaxExceptionAge)
	case v1alpha1.TrustRootKind:
		var root v1alpha1.TrustRoot
		if err := yaml.UnmarshalStrict(text, &root); err != nil {
			t.Fatal(err)
		}
		root.SetDefaults()
		errs = TrustRoot(&root)
	case v1alpha1.TransparencyLogKind:
		var log v1alpha1.TransparencyLog
		if err := yaml.UnmarshalStrict(text, &log); err != nil {
			t.Fatal(err)
		}
		log.SetDefaults()
		errs = TransparencyLog(&log)
	default:
		t.Fatalf("kind %q", kind.Kind)
	}
	if len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
}

// TestUnknownFieldsReachTheWebhook: what the schema prunes nobody can refuse, and a
// requirement that is misspelt would be no requirement.
func TestUnknownFieldsReachTheWebhook(t *testing.T) {
	var walk func(at *field.Path, s schema)
	walk = func(at *field.Path, s schema) {
		if len(s.Properties) > 0 && (s.XPreserveUnknownFields == nil || !*s.XPreserveUnknownFields) {
			t.Errorf("%s: its type needs +kubebuilder:pruning:PreserveUnknownFields", at)
		}
		for name, property := range s.Properties {
			walk(at.Child(name), property)
		}
		if s.Items != nil {
			walk(at.Key("*"), *s.Items.Schema)
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			walk(at.Key("*"), *s.AdditionalProperties.Schema)
		}
	}
	for _, resource := range []string{"clusterimagepolicies", "imagepolicies", "imagepolicyexceptions", "transparencylogs", "trustroots"} {
		walk(field.NewPath(resource, "spec"), specSchema(t, resource))
	}
}
