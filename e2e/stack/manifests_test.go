// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const installed = `apiVersion: v1
kind: Service
metadata: {name: countersign-webhook, namespace: countersign-system}
spec:
  selector: {app: countersign}
  ports: [{port: 443}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: countersign, namespace: countersign-system}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: m}
webhooks:
- name: a
  clientConfig: {service: {name: countersign-webhook, port: 443, path: /mutate/pods}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: v}
webhooks:
- name: b
  clientConfig: {service: {name: countersign-webhook, path: /validate/images}}
`

const movedOutside = `---
apiVersion: v1
kind: Service
metadata:
  name: countersign-webhook
  namespace: countersign-system
spec:
  externalName: localhost
  ports:
  - name: webhook
    port: 20001
    protocol: TCP
  type: ExternalName
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: m
webhooks:
- clientConfig:
    service:
      name: countersign-webhook
      path: /mutate/pods
      port: 20001
  name: a
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: v
webhooks:
- clientConfig:
    service:
      name: countersign-webhook
      path: /validate/images
      port: 20001
  name: b
`

func TestOutsideClusterChangesOnlyWhatLeadsToTheWebhook(t *testing.T) {
	t.Parallel()
	got, err := outsideCluster(installed, 20001)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(movedOutside, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOutsideClusterRefusesAnInstallationWithoutAWebhook(t *testing.T) {
	t.Parallel()
	withoutValidating, _, _ := strings.Cut(installed, "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration")
	if _, err := outsideCluster(withoutValidating, 1); err == nil {
		t.Error("an installation without a validating webhook is accepted")
	}
}
