// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// The ways in which a client can change an object.
const (
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	jsonPatch      = "application/json-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// call is one request to the API server, as any client can make it.
type call struct {
	method, path string
	contentType  string // "" is application/json
	body         string
}

// answer is what came of a call.
type answer struct {
	code     int
	body     []byte
	warnings []string
	status   metav1.Status // when it was refused
}

func (a answer) ok() bool { return a.code >= 200 && a.code < 300 }

// causes are the fields and reasons of a refusal: "spec.containers[0].image NoSignature".
func (a answer) causes() []string {
	var causes []string
	if a.status.Details != nil {
		for _, cause := range a.status.Details.Causes {
			causes = append(causes, cause.Field+" "+string(cause.Type))
		}
	}
	return causes
}

func (c call) send(t *testing.T) answer {
	t.Helper()
	client, err := rest.HTTPClientFor(S(t).ControlPlane.Config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, S(t).ControlPlane.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.contentType != "" {
		req.Header.Set("Content-Type", c.contentType)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, warnings: resp.Header.Values("Warning")}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if !a.ok() && json.Unmarshal(a.body, &a.status) != nil {
		a.status.Message = string(a.body) // as for a path that is not served
	}
	return a
}

// must wants the call to succeed.
func (c call) must(t *testing.T) {
	t.Helper()
	if a := c.send(t); !a.ok() {
		t.Errorf("%s %s: %d %s", c.method, c.path, a.code, a.status.Message)
	}
}

// refused wants a refusal by the images webhook with a cause of that reason.
func (c call) refused(t *testing.T, reason string) {
	t.Helper()
	a := c.send(t)
	if a.ok() {
		t.Errorf("%s %s: admitted, want a refusal with %s: %.2000s", c.method, c.path, reason, a.body)
		return
	}
	if a.code != http.StatusForbidden || !slices.ContainsFunc(a.causes(), func(cause string) bool { return strings.HasSuffix(cause, " "+reason) }) {
		t.Errorf("%s %s: %d %s, want a refusal with %s", c.method, c.path, a.code, a.status.Message, reason)
	}
}

// collection is the path of the objects of a kind in a namespace.
func collection(kind, namespace string) string {
	group := map[string]string{
		"Pod": "/api/v1", "PodTemplate": "/api/v1", "ReplicationController": "/api/v1",
		"Deployment": "/apis/apps/v1", "ReplicaSet": "/apis/apps/v1", "StatefulSet": "/apis/apps/v1", "DaemonSet": "/apis/apps/v1",
		"Job": "/apis/batch/v1", "CronJob": "/apis/batch/v1", "Rollout": "/apis/argoproj.io/v1alpha1",
	}[kind]
	return group + "/namespaces/" + namespace + "/" + strings.ToLower(kind) + "s"
}

// podSpecOf wraps what is to change in the PodSpec of an object of that kind.
func podSpecOf(kind string, spec object) object {
	template := object{"spec": spec}
	switch kind {
	case "Pod":
		return template
	case "PodTemplate":
		return object{"template": template}
	case "CronJob":
		return object{"spec": object{"jobTemplate": object{"spec": object{"template": template}}}}
	default:
		return object{"spec": object{"template": template}}
	}
}

func decodeInto(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}
