// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestADenialSaysWhatByWhomWhyAndWhatToDo: word for word, to people and to programs.
func TestADenialSaysWhatByWhomWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	const said = `admission webhook "images.countersign.dev" denied the request: `
	unsigned := func(subject string) string {
		return "image " + subject + ` denied by ClusterImagePolicy "` + c.policy + `"` + "\n" +
			`  authority "release-key": NoSignature: no signature was found` + "\n" +
			"  → sign it with `cosign sign --key … IMAGE@DIGEST` into your log (cosign v3: `--signing-config FILE`; v2: `--rekor-url URL`), and into the repository that the image is pulled from or the source that the policy names"
	}
	unlogged := pushImage(t, S(t).Registry)
	unloggedBy := newPolicy(t, unlogged.Registry+"/"+unlogged.Repository, S(t).Key)
	sign(t, unlogged, stack.SignOptions{NoUpload: true})
	sizes := regexp.MustCompile(`, size \d+\)`) // the log grows all the time

	for what, tc := range map[string]struct {
		path, manifest string
		message        string
		field          string
		reason         string
	}{
		"an unsigned image in a Deployment": {
			"/apis/apps/v1/namespaces/" + c.namespace + "/deployments", workload(t, "Deployment", c.namespace, "web", c.bad.Ref()),
			unsigned(shown(c.bad)), "spec.template.spec.containers[0].image", "NoSignature",
		},
		"an unsigned image in a Pod": {
			"/api/v1/namespaces/" + c.namespace + "/pods", workload(t, "Pod", c.namespace, "app", c.bad.Ref()),
			unsigned(shown(c.bad)), "spec.containers[0].image", "NoSignature",
		},
		"an image that is signed and in no log": {
			"/apis/batch/v1/namespaces/" + c.namespace + "/jobs", workload(t, "Job", c.namespace, "job", unlogged.Ref()),
			"image " + shown(unlogged) + ` denied by ClusterImagePolicy "` + unloggedBy + `"` + "\n" +
				`  authority "release-key": NotLogged: a valid signature was found, but its entry is not in log "rekor" (origin ` + S(t).Rekor.Hostname + ", size N)\n" +
				"  → sign it into the log that the policy names: with cosign v3 `--signing-config FILE`, with v2 `--rekor-url URL --tlog-upload=true`",
			"spec.template.spec.containers[0].image", "NotLogged",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := call{http.MethodPost, tc.path, "", tc.manifest}.send(t)
			code, body := a.code, a.body
			body = sizes.ReplaceAll(body, []byte(", size N)"))
			var got metav1.Status
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			want := metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
				Status:   metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
				Message: said + tc.message,
				Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
					{Type: metav1.CauseType(tc.reason), Field: tc.field, Message: tc.message},
				}},
			}
			if diff := cmp.Diff(want, got); diff != "" || code != http.StatusForbidden {
				t.Errorf("HTTP status %d, answer (-want +got):\n%s", code, diff)
			}
		})
	}
}

// TestEveryBadImageOfAnObjectIsNamed: one round is enough to know all that is wrong.
func TestEveryBadImageOfAnObjectIsNamed(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	missing := c.bad
	missing.Tag = "missing"
	pod := manifestOf(t, object{
		"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "app", "namespace": c.namespace},
		"spec": object{
			"initContainers": []any{container("unsigned", c.bad.Ref())},
			"containers":     []any{container("good", c.good.Ref()), container("missing", missing.Ref())},
		},
	})
	a := call{http.MethodPost, collection("Pod", c.namespace), "", pod}.send(t)
	got := a.status
	if got.Details == nil {
		t.Fatalf("%d: %s", a.code, a.body)
	}
	causes := map[string]string{}
	for _, cause := range got.Details.Causes {
		causes[cause.Field] = string(cause.Type)
	}
	want := map[string]string{"spec.initContainers[0].image": "NoSignature", "spec.containers[1].image": "ImageNotFound"}
	if diff := cmp.Diff(want, causes); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	for _, image := range []string{shown(c.bad), missing.Ref()} {
		if !strings.Contains(got.Message, "image "+image+" denied by") {
			t.Errorf("the message does not name %s:\n%s", image, got.Message)
		}
	}
}

// TestAPolicyThatDoesNotEnforceSaysWhatItWouldRefuse: in the mode warn to whoever
// asks, in the mode audit only in the API server's audit log and an Event of the Pod.
func TestAPolicyThatDoesNotEnforceSaysWhatItWouldRefuse(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for mode, tc := range map[string]struct{ decision, warning string }{
		"warn":  {"warn", " would be denied by ClusterImagePolicy "},
		"audit": {"allow", ""},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			policy := newName(t)
			enforcing := stack.KeyPolicy(policy, image.Registry+"/"+image.Repository, S(t).Key)
			applied(t, "clusterimagepolicy/"+policy, strings.Replace(enforcing, "spec:\n", "spec:\n  mode: "+mode+"\n", 1))

			pod := newName(t)
			result := runPod(t, namespace, pod, image.Ref())
			admitted(t, result)
			switch {
			case tc.warning == "" && strings.Contains(result.Stderr, "Warning"):
				t.Errorf("kubectl warns:\n%s", result.Stderr)
			case tc.warning != "":
				for _, want := range []string{
					"Warning: image " + shown(image), tc.warning + `"` + policy + `"`, `Warning: authority "release-key": NoSignature: `, "Warning: → sign it",
				} {
					if !strings.Contains(result.Stderr, want) {
						t.Errorf("kubectl does not say %q:\n%s", want, result.Stderr)
					}
				}
			}
			annotations := audited(t, namespace, pod)
			record := annotations["images.countersign.dev/image-0"]
			if got := annotations["images.countersign.dev/decision"]; got != tc.decision ||
				!strings.Contains(record, `"policy":"`+policy+`@1","mode":"`+mode+`","outcome":"Rejected","reason":"NoSignature"`) {
				t.Errorf("the audit log has decision %q, image %s", got, record)
			}
			eventually(t, "an Event of the Pod", func() bool {
				described := kubectl(t, "", "describe", "pod", pod, "-n", namespace).Stdout
				return strings.Contains(described, "WouldBeDenied") && strings.Contains(described, `would be denied by ClusterImagePolicy "`+policy+`"`)
			})
		})
	}
}

// TestTheAuditLogHoldsTheEvidence: who signed, and where the entry is.
func TestTheAuditLogHoldsTheEvidence(t *testing.T) {
	t.Parallel()
	c := newCovered(t, S(t).Registry, S(t).Registry.Host)
	admitted(t, runPod(t, c.namespace, "app", c.good.Ref()))
	var record struct {
		Image, Digest string
		Policies      []struct {
			Policy, Outcome, Format, Signer string
			Logs                            []struct {
				Origin      string
				Index, Size int64
				Root        string
			}
		}
	}
	text := audited(t, c.namespace, "app")["images.countersign.dev/image-0"]
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	if record.Image != c.good.Pinned() || record.Digest != c.good.Digest || len(record.Policies) != 1 || len(record.Policies[0].Logs) != 1 {
		t.Fatalf("the audit log has %s", text)
	}
	p := record.Policies[0]
	log := p.Logs[0]
	if p.Policy != c.policy+"@1" || p.Outcome != "Verified" || p.Format != "legacy" || !strings.HasPrefix(p.Signer, "key sha256:") ||
		log.Origin != S(t).Rekor.Hostname+" - "+S(t).Rekor.TreeID || log.Index < 0 || log.Index >= log.Size || len(log.Root) != 64 {
		t.Errorf("the audit log has %s", text)
	}
}

// audited returns the annotations of the audit event about the creation of a Pod.
func audited(t *testing.T, namespace, pod string) map[string]string {
	t.Helper()
	file, err := os.Open(S(t).AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb        string
			ObjectRef   struct{ Resource, Namespace, Name, Subresource string }
			Annotations map[string]string
		}
		if !strings.Contains(lines.Text(), pod) || json.Unmarshal(lines.Bytes(), &event) != nil {
			continue
		}
		if ref := event.ObjectRef; event.Verb == "create" && ref.Resource == "pods" && ref.Namespace == namespace && ref.Name == pod && ref.Subresource == "" {
			return event.Annotations
		}
	}
	t.Fatalf("the audit log has no event about the creation of %s/%s (%v)", namespace, pod, lines.Err())
	return nil
}
