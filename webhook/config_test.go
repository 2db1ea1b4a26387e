// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/image"
)

func readConfiguration(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

func installed(t *testing.T) (mutating []admissionregistrationv1.MutatingWebhook, validating []admissionregistrationv1.ValidatingWebhook) {
	t.Helper()
	var m admissionregistrationv1.MutatingWebhookConfiguration
	readConfiguration(t, "../config/webhook/mutating.yaml", &m)
	var v admissionregistrationv1.ValidatingWebhookConfiguration
	readConfiguration(t, "../config/webhook/validating.yaml", &v)
	return m.Webhooks, v.Webhooks
}

// asked are the kinds of request that a webhook is sent: "CREATE apps/v1/deployments".
func asked(rules []admissionregistrationv1.RuleWithOperations) []string {
	var all []string
	for _, rule := range rules {
		for _, operation := range rule.Operations {
			for _, group := range rule.APIGroups {
				for _, version := range rule.APIVersions {
					for _, resource := range rule.Resources {
						all = append(all, string(operation)+" "+group+"/"+version+"/"+resource)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestEveryKindWhoseImagesAreKnownIsAskedAbout: a kind that is read and that no
// rule names would not be judged, and the other way round it could not be created.
func TestEveryKindWhoseImagesAreKnownIsAskedAbout(t *testing.T) {
	mutating, validating := installed(t)
	const ephemeral = "UPDATE /v1/pods/ephemeralcontainers"
	builtIn, custom := []string{ephemeral}, []string(nil)
	for _, k := range image.Kinds() {
		for _, operation := range []string{"CREATE ", "UPDATE "} {
			builtIn = append(builtIn, operation+k.Group+"/"+k.Version+"/"+k.Resource)
		}
	}
	kinds, err := image.ShippedCustomKinds()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		for _, gvk := range k.Kinds() {
			for _, operation := range []string{"CREATE ", "UPDATE "} {
				custom = append(custom, operation+gvk.Group+"/"+gvk.Version+"/"+strings.ToLower(gvk.Kind)+"s")
			}
		}
	}
	slices.Sort(builtIn)
	slices.Sort(custom)
	for _, w := range validating {
		want := map[string][]string{"images.countersign.dev": builtIn, "customresources.countersign.dev": custom}[w.Name]
		if diff := cmp.Diff(want, asked(w.Rules)); want != nil && diff != "" {
			t.Errorf("%s is asked about (-want +got)\n%s", w.Name, diff)
		}
	}
	if len(validating) != 3 || len(mutating) != 1 {
		t.Fatalf("%d validating and %d mutating webhooks, want 3 and 1", len(validating), len(mutating))
	}
	if diff := cmp.Diff([]string{"CREATE /v1/pods", "UPDATE /v1/pods", ephemeral}, asked(mutating[0].Rules)); diff != "" {
		t.Errorf("%s is asked about (-want +got)\n%s", mutating[0].Name, diff)
	}
}

// TestNothingInTheConfigurationLetsARequestBy: what the API server does with each
// webhook, as far as a request's author could use it.
func TestNothingInTheConfigurationLetsARequestBy(t *testing.T) {
	exempt := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{"kube-system", "kube-public", "kube-node-lease", "countersign-system"},
	}}}
	type essential struct {
		Failure    admissionregistrationv1.FailurePolicyType
		Match      admissionregistrationv1.MatchPolicyType
		Effects    admissionregistrationv1.SideEffectClass
		Timeout    int32
		Namespaces *metav1.LabelSelector
		Objects    *metav1.LabelSelector
		Conditions int
	}
	want := essential{admissionregistrationv1.Fail, admissionregistrationv1.Equivalent, admissionregistrationv1.SideEffectClassNone, 10, exempt, nil, 1}
	mutating, validating := installed(t)
	got := map[string]essential{}
	for _, w := range validating {
		got[w.Name] = essential{*w.FailurePolicy, *w.MatchPolicy, *w.SideEffects, *w.TimeoutSeconds, w.NamespaceSelector, w.ObjectSelector, len(w.MatchConditions)}
	}
	for _, w := range mutating {
		got[w.Name] = essential{*w.FailurePolicy, *w.MatchPolicy, *w.SideEffects, *w.TimeoutSeconds, w.NamespaceSelector, w.ObjectSelector, len(w.MatchConditions)}
		if *w.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy {
			t.Errorf("%s: what a later webhook adds is not pinned", w.Name)
		}
	}
	ours := want
	ours.Namespaces = nil // the objects are the cluster's
	judges := want
	judges.Effects = admissionregistrationv1.SideEffectClassNoneOnDryRun // Events
	if diff := cmp.Diff(map[string]essential{
		"pods.countersign.dev": want, "images.countersign.dev": judges, "customresources.countersign.dev": judges, "policies.countersign.dev": ours,
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
