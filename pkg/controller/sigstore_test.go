// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
	"github.com/countersign-dev/countersign/policy"
)

// served is what the API server says of policy.sigstore.dev: the kinds of each version.
type served struct {
	versions map[string][]string
	err      error
}

func (s *served) ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error) {
	if s.err != nil {
		return nil, s.err
	}
	kinds, ok := s.versions[groupVersion]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, groupVersion)
	}
	list := &metav1.APIResourceList{}
	for _, kind := range kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind}, metav1.APIResource{Name: strings.ToLower(kind) + "/status", Kind: kind})
	}
	return list, nil
}

// informed counts the kinds that are followed; it reads from the fake API server.
type informed struct {
	client.Client
	following map[string]bool
	err       error
}

func (i *informed) GetInformer(_ context.Context, obj client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	if i.err != nil {
		return nil, i.err
	}
	i.following[obj.GetObjectKind().GroupVersionKind().Kind] = true
	return &controllertest.FakeInformer{}, nil
}

func (i *informed) RemoveInformer(_ context.Context, obj client.Object) error {
	delete(i.following, obj.GetObjectKind().GroupVersionKind().Kind)
	return nil
}

// withSigstore has a replica follow the objects of policy.sigstore.dev.
func withSigstore(t *testing.T, r *replica) (*served, *informed) {
	t.Helper()
	api := &served{versions: map[string][]string{
		"policy.sigstore.dev/v1alpha1": {"ClusterImagePolicy", "TrustRoot"}, "policy.sigstore.dev/v1beta1": {"ClusterImagePolicy"},
	}}
	objects := &informed{Client: r.client, following: map[string]bool{}}
	r.loader.sigstore = &sigstoreKinds{served: api, objects: objects, options: conversion.Options{Namespace: namespace}, changed: make(signal, 1)}
	r.loader.theirs = &sigstoreStatus{
		client: r.client, kinds: r.loader.sigstore, ready: r.loader.ready, policy: r.status, loaded: make(signal, 1),
		roots: newRootStatus(r.client, r.config.Roots, events.NewFakeRecorder(100), make(signal, 1)),
	}
	return api, objects
}

// theirs is a kind of policy.sigstore.dev.
func theirs(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "policy.sigstore.dev", Version: "v1alpha1", Kind: kind}
}

// theirObject is an object of policy.sigstore.dev.
func theirObject(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	text := "apiVersion: policy.sigstore.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + ", uid: " + kind + "-" + name + ", generation: 1}\nspec: " + spec
	if err := yaml.UnmarshalStrict([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// covers are the names of the policies that cover an image.
func covers(t *testing.T, r *replica, reference string) []string {
	t.Helper()
	ref, err := image.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range r.config.Policies.Covering(ref, policy.Origin{}) {
		names = append(names, p.ID().Short())
	}
	return names
}

// saysReady writes status, and returns what ours is in an object's.
func saysReady(t *testing.T, r *replica, kind, name string) (status, message string) {
	t.Helper()
	r.loader.theirs.writeAll(t.Context(), r.loader.theirs.current.Load())
	obj := objectOf(theirs(kind))
	if err := r.client.Get(t.Context(), types.NamespacedName{Name: name}, obj); err != nil {
		t.Fatal(err)
	}
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == ConditionCountersignReady {
			status, _ = condition["status"].(string)
			message, _ = condition["message"].(string)
		}
	}
	return status, message
}

const refuseAll = "{images: [{glob: corp.example/**}], authorities: [{static: {action: fail}}]}"

func TestPoliciesOfBothAPIsAreInForceWhateverTheirNames(t *testing.T) {
	r := newReplica(t, &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "payments", UID: "ours", Generation: 1},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images:      []v1alpha1.ImagePattern{{Glob: "corp.example/**"}},
			Authorities: []v1alpha1.Authority{{Name: "a", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}}},
		},
	}, theirObject(t, "ClusterImagePolicy", "payments", refuseAll))
	withSigstore(t, r)
	r.load()
	want := []string{"payments", "policy.sigstore.dev/payments"}
	if diff := cmp.Diff(want, covers(t, r, "corp.example/app")); diff != "" {
		t.Fatalf("covering policies (-want +got):\n%s", diff)
	}
	if status, message := saysReady(t, r, "ClusterImagePolicy", "payments"); status != "True" || !strings.HasPrefix(message, "generation 1: ") {
		t.Errorf("ready %s: %s", status, message)
	}
	if err := r.client.Delete(t.Context(), theirObject(t, "ClusterImagePolicy", "payments", refuseAll)); err != nil {
		t.Fatal(err)
	}
	r.load()
	if diff := cmp.Diff([]string{"payments"}, covers(t, r, "corp.example/app")); diff != "" {
		t.Errorf("covering policies after a deletion (-want +got):\n%s", diff)
	}
}

func TestKindsThatComeAndGoAreFollowedWhileTheyAreThere(t *testing.T) {
	r := newReplica(t, theirObject(t, "ClusterImagePolicy", "p", refuseAll))
	api, objects := withSigstore(t, r)
	there := api.versions
	for i, step := range []struct {
		versions  map[string][]string
		deleted   bool
		following []string
		covers    int
	}{
		{nil, false, nil, 0},
		{there, false, []string{"ClusterImagePolicy", "TrustRoot"}, 1},
		{map[string][]string{"policy.sigstore.dev/v1alpha1": {"ClusterImagePolicy", "Other"}}, false, []string{"ClusterImagePolicy"}, 1},
		// It is not served, and yet its objects were not deleted.
		{map[string][]string{"policy.sigstore.dev/v1alpha1": {}}, false, []string{"ClusterImagePolicy"}, 1},
		{nil, true, nil, 0},
		{there, false, []string{"ClusterImagePolicy", "TrustRoot"}, 0},
	} {
		api.versions = step.versions
		if step.deleted {
			if err := r.client.Delete(t.Context(), theirObject(t, "ClusterImagePolicy", "p", refuseAll)); err != nil {
				t.Fatal(err)
			}
		}
		r.load()
		var following []string
		for kind := range objects.following {
			following = append(following, kind)
		}
		slices.Sort(following)
		if diff := cmp.Diff(step.following, following); diff != "" {
			t.Errorf("step %d: following (-want +got):\n%s", i, diff)
		}
		if got := len(covers(t, r, "corp.example/app")); got != step.covers {
			t.Errorf("step %d: %d policies cover, want %d", i, got, step.covers)
		}
	}
}

func TestWhileTheirKindsCannotBeReadNothingOfThemIsForgotten(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func(*served, *informed){
		"discovery fails": func(api *served, _ *informed) { api.err = broken },
		"a kind cannot be listed": func(api *served, objects *informed) {
			api.versions["policy.sigstore.dev/v1alpha1"] = []string{"ClusterImagePolicy"}
			objects.err = broken
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, theirObject(t, "ClusterImagePolicy", "p", refuseAll))
			api, objects := withSigstore(t, r)
			healthy := *api
			healthy.versions = map[string][]string{"policy.sigstore.dev/v1alpha1": {"ClusterImagePolicy"}}
			fail(api, objects)
			if _, err := r.loader.Reconcile(t.Context(), everything()); !errors.Is(err, broken) || r.loader.ready.Check(nil) == nil {
				t.Fatalf("error %v: a replica is ready that knows not all policies", err)
			}
			*api, objects.err = healthy, nil
			r.load()
			if r.loader.ready.Check(nil) != nil || len(covers(t, r, "corp.example/app")) != 1 {
				t.Fatal("the policy is not in force")
			}
			api.err = broken
			r.create(&v1alpha1.ClusterImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: "ours", UID: "ours", Generation: 1}, Spec: v1alpha1.ClusterImagePolicySpec{
				Images:      []v1alpha1.ImagePattern{{Glob: "corp.example/**"}},
				Authorities: []v1alpha1.Authority{{Name: "a", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}}},
			}})
			if _, err := r.loader.Reconcile(t.Context(), everything()); !errors.Is(err, broken) {
				t.Fatalf("error %v, want that it is tried again", err)
			}
			if diff := cmp.Diff([]string{"ours", "policy.sigstore.dev/p"}, covers(t, r, "corp.example/app")); diff != "" {
				t.Errorf("covering policies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPolicyThatCannotBeKeptAcceptsNothingAndSaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		spec string
		// covers says whether corp.example/app and another image are covered.
		covers [2]bool
		// text is in the condition.
		text string
	}{
		"a program":                    {"{images: [{glob: corp.example/**}], authorities: [{static: {action: pass}}], policy: {type: cue, data: x}}", [2]bool{true, false}, "spec.policy"},
		"a misspelt field":             {"{images: [{glob: corp.example/**}], authorities: [{static: {action: pass}}], moed: warn}", [2]bool{true, false}, "spec.moed"},
		"two keys":                     {"{images: [{glob: corp.example/**}], authorities: [{key: {data: x, kms: hashivault://a}}]}", [2]bool{true, false}, "spec.authorities[0].key"},
		"a pattern that nobody reads":  {"{images: [{glob: 'corp.example/['}], authorities: [{static: {action: pass}}]}", [2]bool{true, true}, "spec.images[0].glob"},
		"no images":                    {"{authorities: [{static: {action: pass}}]}", [2]bool{true, true}, "spec.images"},
		"a pattern that names nothing": {"{images: [{glob: images.*}], authorities: [{static: {action: pass}}]}", [2]bool{false, false}, "spec.images"},
		"a trust root that is not theirs": {
			"{images: [{glob: corp.example/**}], authorities: [{keyless: {trustRootRef: ours, identities: [{issuer: https://a.test, subject: a}]}}]}", [2]bool{true, false}, "TrustRoot not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, theirObject(t, "ClusterImagePolicy", "p", tt.spec), &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "ours", UID: "r", Generation: 1}})
			withSigstore(t, r)
			r.load()
			for i, image := range []string{"corp.example/app", "other.example/app"} {
				if got := len(covers(t, r, image)) == 1; got != tt.covers[i] {
					t.Errorf("%s is covered: %v, want %v", image, got, tt.covers[i])
				}
			}
			status, message := saysReady(t, r, "ClusterImagePolicy", "p")
			if status != "False" || !strings.Contains(message, tt.text) {
				t.Errorf("ready %q: %s", status, message)
			}
		})
	}
}

func TestATrustRootOfTheirsIsNeverOneOfOurs(t *testing.T) {
	log := tlogtest.New("rekor.corp.test")
	keys := func(ca trusttest.Authority, uri string) string {
		encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
		return "{sigstoreKeys: {certificateAuthorities: [{subject: {organization: o, commonName: c}, uri: " + uri + ", certChain: " + encode(ca.PEM()) + "}]" +
			", ctLogs: [{baseURL: https://ctfe.test, hashAlgorithm: sha-256, publicKey: " + encode(trusttest.NewLogKey()) + "}]" +
			", tLogs: [{baseURL: https://rekor.corp.test, hashAlgorithm: sha-256, publicKey: " + encode(pemOf(t, log.PublicKey())) + "}]}}"
	}
	const who = "identities: [{issuer: https://a.test, subjectRegExp: ^a$}]"
	r := newReplica(t,
		theirObject(t, "TrustRoot", "corp", keys(trusttest.NewCA("CA", time.Now().AddDate(1, 0, 0)), "https://fulcio.corp.test")),
		theirObject(t, "ClusterImagePolicy", "by-name", "{images: [{glob: a.example/**}], authorities: [{keyless: {trustRootRef: corp, "+who+"}, ctlog: {trustRootRef: corp}}]}"),
		// What a trust root of theirs says of a URL counts for nobody.
		theirObject(t, "ClusterImagePolicy", "by-url", "{images: [{glob: b.example/**}], authorities: [{keyless: {url: https://fulcio.corp.test, "+who+"}, ctlog: {url: https://rekor.corp.test/}}]}"),
		theirObject(t, "TrustRoot", "broken", "{remote: {mirror: https://tuf.test}, sigstoreKeys: {}}"),
	)
	withSigstore(t, r)
	r.load()
	if status, message := saysReady(t, r, "TrustRoot", "corp"); status != "True" {
		t.Fatalf("ready %q: %s", status, message)
	}
	if status, message := saysReady(t, r, "TrustRoot", "broken"); status != "False" || !strings.Contains(message, "spec") {
		t.Errorf("ready %q: %s", status, message)
	}
	var logs v1alpha1.TransparencyLogList
	if err := r.client.List(t.Context(), &logs); err != nil || len(logs.Items) != 1 {
		t.Fatalf("%d logs, %v, want the one of the trust root", len(logs.Items), err)
	}
	owner := logs.Items[0].OwnerReferences
	if !strings.HasPrefix(logs.Items[0].Name, "policy.sigstore.dev.corp-") || len(owner) != 1 || owner[0].APIVersion != "policy.sigstore.dev/v1alpha1" || owner[0].Name != "corp" || owner[0].UID != "TrustRoot-corp" {
		t.Errorf("log %q is owned by %+v", logs.Items[0].Name, owner)
	}
	r.load() // with the log
	for name, want := range map[string]string{"by-name": "True", "by-url": "False"} {
		if status, message := saysReady(t, r, "ClusterImagePolicy", name); status != want {
			t.Errorf("%s: ready %q: %s", name, status, message)
		}
	}
}

func TestTheConditionsOfOthersAreLeftAlone(t *testing.T) {
	obj := theirObject(t, "ClusterImagePolicy", "p", refuseAll)
	ready := map[string]any{"type": "Ready", "status": "True", "severity": "Info"}
	if err := unstructured.SetNestedSlice(obj.Object, []any{ready}, "status", "conditions"); err != nil {
		t.Fatal(err)
	}
	condition := fails(ConditionCountersignReady, v1alpha1.ReasonSpecInvalid, "no")
	if !setKnativeCondition(obj, condition) || setKnativeCondition(obj, condition) {
		t.Error("the same condition twice is two changes, or none")
	}
	condition.Status = metav1.ConditionTrue
	if !setKnativeCondition(obj, condition) {
		t.Error("another status is no change")
	}
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	if len(conditions) != 2 || !cmp.Equal(conditions[0], any(ready)) {
		t.Errorf("conditions %v", conditions)
	}
}
