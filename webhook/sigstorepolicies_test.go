// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
)

func TestObjectsOfPolicySigstoreDevAreHeldToWhatCanBeKept(t *testing.T) {
	const (
		good    = `{"metadata":{"name":"p"},"spec":{"images":[{"glob":"corp.example/**"}],"authorities":[{"static":{"action":"fail"}}]}}`
		keyless = `{"metadata":{"name":"p"},"spec":{"images":[{"glob":"corp.example/**"}],"authorities":[{"keyless":{"url":"https://fulcio.test","identities":[{"issuer":"https://issuer.test","subjectRegExp":".*corp.*"}]},"ctlog":{"url":"https://rekor.test"}}]}}`
		bad     = `{"metadata":{"name":"p"},"spec":{"images":[{"glob":"corp.example/**"}],"authorities":[{"keyles":{}}]}}`
		root    = `{"metadata":{"name":"r"},"spec":{"sigstoreKeys":{},"remote":{}}}`
	)
	of := func(kind, version string, req admissionv1.AdmissionRequest) admissionv1.AdmissionRequest {
		req.Kind.Group, req.Kind.Version, req.Kind.Kind = "policy.sigstore.dev", version, kind
		return req
	}
	for name, tt := range map[string]struct {
		request admissionv1.AdmissionRequest
		code    int32
		fields  []string
		// warning is part of one.
		warning string
	}{
		"a policy":                      {of("ClusterImagePolicy", "v1alpha1", create("", "", good)), http.StatusOK, nil, ""},
		"of the other version":          {of("ClusterImagePolicy", "v1beta1", create("", "", good)), http.StatusOK, nil, ""},
		"an expression that is open":    {of("ClusterImagePolicy", "v1beta1", create("", "", keyless)), http.StatusOK, nil, "matches anywhere"},
		"a log that is not there":       {of("ClusterImagePolicy", "v1beta1", create("", "", keyless)), http.StatusOK, nil, "no TransparencyLog is at its url"},
		"an empty authority and a typo": {of("ClusterImagePolicy", "v1alpha1", create("", "", bad)), http.StatusUnprocessableEntity, []string{"spec.authorities[0].keyles", "spec.authorities[0]"}, ""},
		"a change to something bad":     {of("ClusterImagePolicy", "v1alpha1", update("", "", good, bad)), http.StatusUnprocessableEntity, []string{"spec.authorities[0].keyles", "spec.authorities[0]"}, ""},
		"a label of something bad": {
			of("ClusterImagePolicy", "v1alpha1", update("", "", bad, strings.Replace(bad, `"name":"p"`, `"name":"p","labels":{"a":"b"}`, 1))), http.StatusOK, nil, "",
		},
		"a trust root of two kinds":          {of("TrustRoot", "v1alpha1", create("", "", root)), http.StatusUnprocessableEntity, []string{"spec"}, ""},
		"a version that nobody knows":        {of("ClusterImagePolicy", "v1", create("", "", good)), http.StatusBadRequest, nil, ""},
		"a trust root of a version to come":  {of("TrustRoot", "v1beta1", create("", "", root)), http.StatusBadRequest, nil, ""},
		"a kind that nobody knows":           {of("Policy", "v1alpha1", create("", "", good)), http.StatusBadRequest, nil, ""},
		"a deletion, whatever it is of":      {of("Policy", "v9", admissionv1.AdmissionRequest{Operation: admissionv1.Delete}), http.StatusOK, nil, ""},
		"a policy with something else in it": {of("ClusterImagePolicy", "v1alpha1", create("", "", `{"spec":[]}`)), http.StatusUnprocessableEntity, []string{"spec"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Policies{
				Reader: unlisted{}, Live: unlisted{}, Sigstore: conversion.Options{Namespace: "countersign-system"}, Metrics: NewMetrics(nil), Log: logr.Discard(),
			}
			got := send(t, h, tt.request)
			if got.Result.Code != tt.code || got.Allowed != (tt.code == http.StatusOK) {
				t.Fatalf("allowed = %v with code %d, want %d: %s", got.Allowed, got.Result.Code, tt.code, got.Result.Message)
			}
			var fields []string
			if got.Result.Details != nil {
				for _, cause := range got.Result.Details.Causes {
					fields = append(fields, cause.Field)
				}
			}
			if diff := cmp.Diff(tt.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if !strings.Contains(strings.Join(got.Warnings, " "), tt.warning) {
				t.Errorf("warnings %q, want %q", got.Warnings, tt.warning)
			}
		})
	}
}
