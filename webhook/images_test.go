// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

func TestImagesThatAnObjectBringsInAreJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		request admissionv1.AdmissionRequest
		// fields are those that are refused, with their reasons; none: admitted.
		fields []string
	}{
		"a Pod with a good image":                 {request: create("", "Pod", pod(good))},
		"a Pod with a bad image":                  {request: create("", "Pod", pod(bad)), fields: []string{"spec.containers[0].image NoSignature"}},
		"a bad image beside a good one":           {request: create("", "Pod", pod(good, bad)), fields: []string{"spec.containers[1].image NoSignature"}},
		"a bad image twice":                       {request: create("", "Pod", pod(bad, bad)), fields: []string{"spec.containers[0].image NoSignature", "spec.containers[1].image NoSignature"}},
		"a bad init container":                    {request: create("", "Pod", podWith("initContainers", bad)), fields: []string{"spec.initContainers[0].image NoSignature"}},
		"a bad ephemeral container":               {request: create("", "Pod", podWith("ephemeralContainers", bad)), fields: []string{"spec.ephemeralContainers[0].image NoSignature"}},
		"a bad image volume":                      {request: create("", "Pod", `{"spec":{"volumes":[{"name":"v","image":{"reference":"`+bad+`"}}]}}`), fields: []string{"spec.volumes[0].image.reference NoSignature"}},
		"a verified tag that is not pinned":       {request: create("", "Pod", pod(goodTag)), fields: []string{"spec.containers[0].image DigestRequired"}},
		"a Deployment is not asked to be pinned":  {request: create("apps", "Deployment", deployment(goodTag))},
		"a Deployment with a bad image":           {request: create("apps", "Deployment", deployment(bad)), fields: []string{"spec.template.spec.containers[0].image NoSignature"}},
		"a key in another case is not the field":  {request: create("", "Pod", `{"spec":{"containers":[{"name":"c","Image":"`+good+`","image":"`+bad+`"}]}}`), fields: []string{"spec.containers[0].image NoSignature"}},
		"an update of nothing":                    {request: update("", "Pod", pod(bad), pod(bad))},
		"an update to a bad image":                {request: update("", "Pod", pod(good), pod(bad)), fields: []string{"spec.containers[0].image NoSignature"}},
		"an update to another bad tag":            {request: update("apps", "Deployment", deployment(bad), deployment(otherBad)), fields: []string{"spec.template.spec.containers[0].image NoSignature"}},
		"a bad image that moves between lists":    {request: update("", "Pod", pod(bad), podWith("initContainers", bad)), fields: []string{"spec.initContainers[0].image NoSignature"}},
		"a bad tag that moves between containers": {request: update("apps", "Deployment", deployment(bad, good), deployment(good, bad)), fields: []string{"spec.template.spec.containers[1].image NoSignature"}},
		"a bad digest that moves is judged": {
			request: update("apps", "Deployment", deployment(bad+pinned, good), deployment(good, bad+pinned)),
			fields:  []string{"spec.template.spec.containers[1].image NoSignature"},
		},
		"a good digest that moves":                         {request: update("apps", "Deployment", deployment(bad, good), deployment(bad, good, good))},
		"a bad image added to an old one":                  {request: update("", "Pod", pod(bad), pod(bad, bad)), fields: []string{"spec.containers[1].image NoSignature"}},
		"an update of what was not there is judged as new": {request: update("", "Pod", "", pod(bad)), fields: []string{"spec.containers[0].image NoSignature"}},
		"an update of what cannot be read is judged as new": {
			request: update("", "Pod", `{"spec":{"containers":"x"}}`, pod(good, bad)), fields: []string{"spec.containers[1].image NoSignature"},
		},
		"a custom resource with a bad image":                 {request: custom(admissionv1.Create, rollout(bad), ""), fields: []string{"spec.template.spec.containers[0].image NoSignature"}},
		"a custom resource with a good tag is not pinned":    {request: custom(admissionv1.Create, rollout(goodTag), "")},
		"an update of something else of a custom resource":   {request: custom(admissionv1.Update, rollout(bad), rollout(bad))},
		"an update of a custom resource to another bad tag":  {request: custom(admissionv1.Update, rollout(otherBad), rollout(bad)), fields: []string{"spec.template.spec.containers[0].image NoSignature"}},
		"an update of a custom resource that was unreadable": {request: custom(admissionv1.Update, rollout(bad), `{"spec":"x"}`), fields: []string{"spec.template.spec.containers[0].image NoSignature"}},
		"an ephemeral container is added": {
			request: func() admissionv1.AdmissionRequest {
				req := update("", "Pod", pod(good), `{"spec":{"containers":[{"name":"c0","image":"`+good+`"}],"ephemeralContainers":[{"name":"debug","image":"`+bad+`"}]}}`)
				req.SubResource = "ephemeralcontainers"
				return req
			}(),
			fields: []string{"spec.ephemeralContainers[0].image NoSignature"},
		},
		"a deletion is let by": {request: func() admissionv1.AdmissionRequest {
			req := create("", "Pod", "")
			req.Operation = admissionv1.Delete
			return req
		}()},
		"a connection is let by": {request: func() admissionv1.AdmissionRequest {
			req := create("", "PodExecOptions", "{}")
			req.Operation = admissionv1.Connect
			return req
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, newImages(verdicts(enforce)), tt.request)
			if got.Allowed != (len(tt.fields) == 0) {
				t.Fatalf("allowed = %v: %+v", got.Allowed, got.Result)
			}
			if got.UID != "705ab4f5-6393-11e8-b7cc-42010a800002" {
				t.Errorf("uid = %q", got.UID)
			}
			if got.Allowed {
				return
			}
			if got.Result.Code != http.StatusForbidden || got.Result.Reason != metav1.StatusReasonForbidden {
				t.Errorf("status %d %s, want 403 Forbidden", got.Result.Code, got.Result.Reason)
			}
			var fields []string
			for _, cause := range got.Result.Details.Causes {
				fields = append(fields, cause.Field+" "+string(cause.Type))
				if !strings.Contains(got.Result.Message, cause.Message) {
					t.Errorf("the message %q does not say %q", got.Result.Message, cause.Message)
				}
			}
			if diff := cmp.Diff(tt.fields, fields); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}

// custom is a request about an Argo Rollout.
func custom(operation admissionv1.Operation, object, before string) admissionv1.AdmissionRequest {
	req := update("argoproj.io", "Rollout", before, object)
	req.Kind.Version, req.Operation = "v1alpha1", operation
	return req
}

func rollout(image string) string {
	return `{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","spec":{"template":{"spec":{"containers":[{"name":"c","image":"` + image + `"}]}}}}`
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf("corp.example/good:%d", i)
	}
	for name, request := range map[string]admissionv1.AdmissionRequest{
		"no object":                    create("", "Pod", ""),
		"an object that is a list":     create("", "Pod", `[]`),
		"an image that is a number":    create("", "Pod", `{"spec":{"containers":[{"name":"c","image":7}]}}`),
		"an image that is given twice": create("", "Pod", `{"spec":{"containers":[{"name":"c","image":"`+bad+`","image":"`+good+`"}]}}`),
		"a kind that is not served":    create("example.com", "Pod", pod(good)),
		"an object of another kind":    create("apps", "Deployment", pod(good)),
		"an object with 2000 images":   create("", "Pod", pod(many...)),
		"a custom resource with something else in the place of a template": custom(admissionv1.Create, `{"spec":{"template":"x"}}`, ""),
		"a custom resource of a version that nobody spoke of": func() admissionv1.AdmissionRequest {
			req := custom(admissionv1.Create, `{}`, "")
			req.Kind.Version = "v2"
			return req
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, newImages(verdicts(enforce)), request)
			if got.Allowed || got.Result.Code != http.StatusBadRequest {
				t.Errorf("allowed = %v, code = %d, want refused with 400: %s", got.Allowed, got.Result.Code, got.Result.Message)
			}
		})
	}
}

func TestBodiesThatAreNoReviewAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":             "",
		"no JSON":             "allowed: true",
		"another kind":        `{"apiVersion":"v1","kind":"Pod"}`,
		"more than 7 MiB":     `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"DELETE","name":"` + strings.Repeat("x", 7<<20) + `"}}`,
		"a key in other case": `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","Request":{"uid":"u","operation":"CREATE","kind":{"version":"v1","kind":"Pod"},"object":` + pod(bad) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := post(t, newImages(verdicts(enforce)), []byte(body)); got.Allowed {
				t.Errorf("allowed: %+v", got)
			}
		})
	}
}

func TestModesDecideWhatARejectionDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		decider  Decider
		noMatch  policy.NoMatch
		allowed  bool
		warnings []string
	}{
		"enforce denies": {decider: verdicts(enforce), noMatch: policy.NoMatchAllow},
		"warn warns": {decider: verdicts(warn), noMatch: policy.NoMatchAllow, allowed: true, warnings: []string{
			`image corp.example/bad:1 (sha256:1111…1111) would be denied by ClusterImagePolicy "p-warn"`,
			`authority "release": NoSignature: no signature was found`, "→ " + policy.Advice(verify.NoSignature),
		}},
		"audit is silent":                           {decider: verdicts(audit), noMatch: policy.NoMatchAllow, allowed: true},
		"enforce wins over audit":                   {decider: verdicts(audit, enforce), noMatch: policy.NoMatchAllow},
		"no policy is allowed where that is set":    {decider: verdicts(), noMatch: policy.NoMatchAllow, allowed: true},
		"no policy is refused where that is set":    {decider: verdicts(), noMatch: policy.NoMatchDeny},
		"no policy is refused where nothing is set": {decider: verdicts()},
		"no policy is warned of where that is set": {decider: verdicts(), noMatch: policy.NoMatchWarn, allowed: true, warnings: []string{
			"image corp.example/bad:1 (sha256:1111…1111) would be denied", "NoMatchingPolicy: no policy covers this image",
			"→ " + policy.Advice(verify.NoMatchingPolicy),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newImages(tt.decider)
			h.NoMatch = tt.noMatch
			got := send(t, h, create("", "Pod", pod(bad)))
			if got.Allowed != tt.allowed {
				t.Errorf("allowed = %v: %+v", got.Allowed, got.Result)
			}
			if diff := cmp.Diff(tt.warnings, got.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADecisionThatIsMissingIsARefusal(t *testing.T) {
	got := send(t, newImages(noDecision{}), create("", "Pod", pod(good)))
	if got.Allowed || got.Result.Code != http.StatusInternalServerError {
		t.Errorf("allowed = %v, code = %d, want refused with 500", got.Allowed, got.Result.Code)
	}
}

type noDecision struct{}

func (noDecision) EvaluateAll(context.Context, policy.Origin, []string) map[string]policy.Decision {
	return nil
}

func TestAPanicInTheHandlerIsARefusal(t *testing.T) {
	got := send(t, newImages(deciderFunc(func(context.Context, string) policy.Decision { panic("hostile bytes") })), create("", "Pod", pod(good)))
	if got.Allowed || got.Result.Code != http.StatusInternalServerError || got.UID == "" {
		t.Errorf("allowed = %v, code = %d, uid = %q, want refused with 500", got.Allowed, got.Result.Code, got.UID)
	}
}

// TestTheAuditShowsWhatRunsUnpinned: also where nothing is pinned or demanded.
func TestTheAuditShowsWhatRunsUnpinned(t *testing.T) {
	h := newImages(verdicts(enforce))
	h.PinDigests = false
	for name, tt := range map[string]struct {
		request admissionv1.AdmissionRequest
		want    bool
	}{
		"a Pod that names a tag":           {create("", "Pod", pod(goodTag)), true},
		"a Pod that names a digest":        {create("", "Pod", pod(good)), false},
		"a Deployment, which does not run": {create("apps", "Deployment", deployment(goodTag)), false},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, h, tt.request)
			if !got.Allowed || strings.Contains(got.AuditAnnotations["image-0"], `"unpinned":true`) != tt.want {
				t.Errorf("allowed = %v, audit annotation %s, want unpinned %v", got.Allowed, got.AuditAnnotations["image-0"], tt.want)
			}
		})
	}
}

func TestAuditAnnotationsSayWhatWasDecidedAndWhy(t *testing.T) {
	got := send(t, newImages(verdicts(audit, enforce)), create("", "Pod", pod(good, bad)))
	want := map[string]string{
		"decision": "deny",
		"images":   "2",
		"image-0": `{"image":"` + good + `","digest":"sha256:` + strings.Repeat("1", 64) + `","policies":[` +
			`{"policy":"p-audit@2","mode":"audit","outcome":"Verified","format":"bundle","signer":"key sha256:00","insecure":"insecureIgnoreTlog"},` +
			`{"policy":"p-enforce@2","mode":"enforce","outcome":"Verified","format":"bundle","signer":"key sha256:00","insecure":"insecureIgnoreTlog"}]}`,
		"image-1": `{"image":"` + bad + `","digest":"sha256:` + strings.Repeat("1", 64) + `","unpinned":true,"policies":[` +
			`{"policy":"p-audit@2","mode":"audit","outcome":"Rejected","reason":"NoSignature","detail":"no signature was found"},` +
			`{"policy":"p-enforce@2","mode":"enforce","outcome":"Rejected","reason":"NoSignature","detail":"no signature was found"}]}`,
	}
	if diff := cmp.Diff(want, got.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	for key, value := range got.AuditAnnotations {
		// The API server drops a key with a slash: it puts one before it itself.
		if strings.Contains(key, "/") {
			t.Errorf("audit key %q has a slash", key)
		}
		if strings.HasPrefix(key, "image-") && !json.Valid([]byte(value)) {
			t.Errorf("audit value of %q is no JSON: %s", key, value)
		}
	}
}

func TestAnswersStaySmallWhateverTheObjectHolds(t *testing.T) {
	var images []string
	for i := range image.MaxOccurrences {
		images = append(images, fmt.Sprintf("corp.example/bad%s:%d", strings.Repeat("é", 500), i))
	}
	got := send(t, newImages(verdicts(enforce, warn)), create("", "Pod", pod(images...)))
	if got.Allowed {
		t.Fatal("allowed")
	}
	size := 0
	for _, warning := range got.Warnings {
		size += utf8.RuneCountInString(warning)
		if n := utf8.RuneCountInString(warning); n > 256 || strings.ContainsAny(warning, "\n\r") {
			t.Errorf("a warning has %d characters: %q", n, warning)
		}
	}
	if size > 4096 || len(got.Warnings) == 0 || !strings.Contains(got.Warnings[len(got.Warnings)-1], "more lines") {
		t.Errorf("%d warnings with %d characters, the last is %q", len(got.Warnings), size, got.Warnings[len(got.Warnings)-1])
	}
	if answer, err := json.Marshal(got); err != nil || len(answer) > 256<<10 {
		t.Errorf("the answer has %d bytes, %v", len(answer), err)
	}
}

func TestEveryFieldWithABadImageIsACause(t *testing.T) {
	var images []string
	for i := range image.MaxOccurrences {
		images = append(images, fmt.Sprintf("corp.example/bad:%d", i))
	}
	got := send(t, newImages(verdicts(enforce)), create("", "Pod", pod(images...)))
	if len(got.Result.Details.Causes) != len(images) {
		t.Fatalf("%d causes for %d bad images", len(got.Result.Details.Causes), len(images))
	}
	for i, cause := range got.Result.Details.Causes {
		if cause.Field != fmt.Sprintf("spec.containers[%d].image", i) || cause.Type != "NoSignature" || !strings.HasPrefix(cause.Message, "image "+images[i]+" ") ||
			!strings.Contains(got.Result.Message, cause.Message) {
			t.Errorf("cause %d is %+v", i, cause)
		}
	}
}

// TestWhatIsAdmittedIsTold with the object that brings it in, so that what a policy
// in mode audit found can be seen at it. A dry run has no effects.
func TestWhatIsAdmittedIsTold(t *testing.T) {
	const generated = `{"metadata":{"generateName":"api-","name":"api-x7k2p","uid":"42"},"spec":{"containers":[{"name":"c","image":"` + bad + `"}]}}`
	yes := true
	for name, tt := range map[string]struct {
		decider Decider
		object  string
		dryRun  *bool
		want    []corev1.ObjectReference
	}{
		"a name that the client chose":     {verdicts(audit), pod(bad), nil, []corev1.ObjectReference{{APIVersion: "v1", Kind: "Pod", Namespace: "payments", Name: "api"}}},
		"a name that the API server chose": {verdicts(audit), generated, nil, []corev1.ObjectReference{{APIVersion: "v1", Kind: "Pod", Namespace: "payments", Name: "api-x7k2p", UID: "42"}}},
		"a dry run":                        {verdicts(audit), pod(bad), &yes, nil},
		"a refusal":                        {verdicts(audit, enforce), pod(bad), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []corev1.ObjectReference
			h := newImages(tt.decider)
			h.Admitted = func(object corev1.ObjectReference, found []policy.Decision) {
				if len(found) != 1 || found[0].Image != bad {
					t.Errorf("decisions: %+v", found)
				}
				got = append(got, object)
			}
			request := create("", "Pod", tt.object)
			request.Name, request.Namespace, request.DryRun = "", "payments", tt.dryRun
			send(t, h, request)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestADryRunIsJudgedLikeAnyOther(t *testing.T) {
	yes := true
	request := create("", "Pod", pod(bad))
	request.DryRun = &yes
	if got := send(t, newImages(verdicts(enforce)), request); got.Allowed {
		t.Error("allowed")
	}
}
