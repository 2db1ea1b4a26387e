// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestAReplicaThatPollsNothingSeesThatALogWasCaught: the leader finds the inconsistency,
// and every replica denies within seconds, also what it knows from memory.
func TestAReplicaThatPollsNothingSeesThatALogWasCaught(t *testing.T) {
	t.Parallel()
	w := watchRekor(t)
	follower, err := S(t).StartReplica(t.Context(), "countersign-follower")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := follower.ShutDown(); err != nil {
			t.Error(err)
		}
	})
	namespace := newNamespace(t)
	if allowed, says := reviewed(t, follower, namespace, w.honest); !allowed {
		t.Fatalf("the follower refuses what is good: %s", says)
	}
	fork := lyingLog(t, w.Rekor)
	fork.Grow(3)
	w.proxy.SetHook(show(t, fork))
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	caught := time.Now()
	var says string
	eventually(t, "the follower to refuse", func() bool {
		var allowed bool
		allowed, says = reviewed(t, follower, namespace, w.honest)
		return !allowed
	})
	if took := time.Since(caught); took > 5*time.Second {
		t.Errorf("the follower learnt of it after %v", took)
	}
	if !strings.Contains(says, "CheckpointInconsistent") {
		t.Errorf("the follower says %s", says)
	}
	_, metrics := get(t, follower.MetricsURL)
	if polled := `countersign_log_requests_total{log="` + w.log + `",operation="checkpoint"`; strings.Contains(metrics, polled) {
		t.Error("the follower asks the log for its checkpoints")
	}
	if asked := `countersign_log_requests_total{log="` + w.log + `",operation="entry"`; !strings.Contains(metrics, asked) {
		t.Errorf("the metrics do not have %s", asked)
	}
}

// reviewed asks one replica of Countersign about a Pod, as the API server would.
func reviewed(t *testing.T, replica *stack.Countersign, namespace string, image stack.Image) (allowed bool, says string) {
	t.Helper()
	review := fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE","namespace":%q,`+
		`"kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"requestKind":{"version":"v1","kind":"Pod"},"requestResource":{"version":"v1","resource":"pods"},`+
		`"userInfo":{"username":"someone"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","namespace":%q},"spec":{"containers":[{"name":"app","image":%q}]}}}}`,
		namespace, namespace, image.Pinned())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, replica.WebhookURL+"/validate/images?timeout=10s", bytes.NewBufferString(review))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	// Its certificate is for the Service, and what is tested here is its opinion.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Response == nil {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	if answer.Response.Result != nil {
		says = answer.Response.Result.Message
	}
	return answer.Response.Allowed, says
}
