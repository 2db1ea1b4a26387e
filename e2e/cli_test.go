// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestTheCommandLineSaysWhatAdmissionSays: the same policy and log, as files, give
// the same verdict in the same words before anything is deployed.
func TestTheCommandLineSaysWhatAdmissionSays(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	dir := t.TempDir()
	files := map[string]string{
		"policy": mustKubectl(t, "", "get", "clusterimagepolicy", c.policy, "-o", "yaml"),
		"log":    S(t).TransparencyLog(S(t).Rekor, "rekor", true),
		"down":   stack.TransparencyLogAt("http://127.0.0.1:1", S(t).Rekor, "rekor", true),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(log string, args ...string) stack.Result {
		args = append(append([]string{"verify"}, args...), "--insecure-registry", S(t).Registry.Host,
			"--policy", filepath.Join(dir, "policy.yaml"), "--trust", filepath.Join(dir, log+".yaml"))
		result, err := S(t).Run(t.Context(), nil, S(t).Countersign.Binary, args...)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	expect := func(result stack.Result, code int, says string) {
		t.Helper()
		if result.Code != code || !strings.Contains(result.Stdout, says) {
			t.Errorf("exit status %d; want %d, and to read %q:\n%s%s", result.Code, code, says, result.Stdout, result.Stderr)
		}
	}
	expect(verify("log", "image", c.good.Ref()), 0, "image "+shown(c.good)+` verified by ClusterImagePolicy "`+c.policy+`"`)
	expect(verify("down", "image", c.good.Ref()), 3, `authority "release-key": LogUnavailable: `)

	bad := workload(t, "Deployment", c.namespace, "web", c.bad.Ref())
	body := call{http.MethodPost, collection("Deployment", c.namespace), "", bad}.send(t).body
	var refusal metav1.Status
	if err := json.Unmarshal(body, &refusal); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	_, said, found := strings.Cut(refusal.Message, " denied the request: ")
	if !found {
		t.Fatalf("the API server says %q", refusal.Message)
	}
	expect(verify("log", "image", c.bad.Ref()), 1, said)
	manifest := filepath.Join(dir, "deployment.json")
	if err := os.WriteFile(manifest, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(verify("log", "manifest", manifest), 1, said)
}
