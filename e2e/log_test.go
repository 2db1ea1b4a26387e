// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestTheGateRefusesWhatALogAnswersWrongly: a legacy signature carries no proof, so
// the log is asked for it. Whoever sits between changes one thing in the answer.
func TestTheGateRefusesWhatALogAnswersWrongly(t *testing.T) {
	t.Parallel()
	sign(t, pushImage(t, S(t).Registry), stack.SignOptions{}) // so that the next entry's proof has a hash
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, stack.SignOptions{})
	genuine := storedEvidence(t, signed, stack.Legacy)
	namespace := newNamespace(t)
	edit := func(edit func(entry, proof object)) stack.Hook { return editedEntries(t, edit) }
	for what, tc := range map[string]struct {
		hook   stack.Hook
		reason string // "" when the answer is believed
		says   string
	}{
		"nothing":  {edit(func(object, object) {}), "", ""},
		"the body": {edit(func(e, _ object) { e["body"] = changedText(e["body"]) }), "LogEntryMismatch", ""},
		"the timestamp": {
			edit(func(e, _ object) {
				v := asObject(e["verification"])
				v["signedEntryTimestamp"] = changedText(v["signedEntryTimestamp"])
			}),
			"TimestampInvalid", "did not sign it",
		},
		"a hash of the proof":   {edit(func(_, p object) { asList(p["hashes"])[0] = changedText(asList(p["hashes"])[0]) }), "InclusionProofInvalid", "it does not lead"},
		"the proof's length":    {edit(func(_, p object) { p["hashes"] = append(asList(p["hashes"]), asList(p["hashes"])[0]) }), "InclusionProofInvalid", "it does not lead"},
		"the checkpoint's root": {edit(func(_, p object) { p["checkpoint"] = changeLine(asText(p["checkpoint"]), 2) }), "CheckpointInvalid", "does not verify"},
		"the proof, left out": {
			edit(func(e, _ object) { delete(asObject(e["verification"]), "inclusionProof") }), "InclusionProofInvalid", "answered without one",
		},
		"the entry, which it denies to have": {
			entries(stack.NotLogged()), "NotLogged", "",
		},
		"the entry, for another one as well": {
			entries(stack.RewriteBody(func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte(`{"00":{},`), 1) })),
			"LogEntryMismatch", "2 entries for one leaf hash",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy := newLogProxy(t, S(t).Rekor)
			log := newLog(t, S(t).Rekor, proxy.URL)
			image := copyImage(t, signed, S(t).Registry)
			genuine.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
			proxy.SetHook(tc.hook)
			result := runPod(t, namespace, newName(t), image.Ref())
			if tc.reason == "" {
				admitted(t, result)
			} else {
				refused(t, result, tc.reason, tc.says)
			}
			// The answer is no statement that the log signed, so it accuses nobody.
			if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
				t.Errorf("the condition Consistent is %q", got)
			}
		})
	}
}

// TestALogThatIsDownRefusesUntilItIsUpAgain kills and starts a Rekor; Countersign
// runs on.
func TestALogThatIsDownRefusesUntilItIsUpAgain(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newRekor(t)
	image := pushImage(t, S(t).Registry)
	sign(t, image, stack.SignOptions{Log: rekor})
	log := newLog(t, rekor, rekor.URL)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)

	rekor.Kill()
	refused(t, runPod(t, namespace, "down", image.Ref()), "LogUnavailable", "connection refused")
	awaitCondition(t, log, "Reachable", "False Unavailable")
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("a log that is down has the condition Consistent = %q", got)
	}
	if err := rekor.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	admitted(t, runPod(t, namespace, "up", image.Ref()))
	awaitCondition(t, log, "Reachable", "True Succeeded")
	if imageOf(t, namespace, "up") != image.Pinned() {
		t.Error("the Pod is not pinned")
	}
}

// TestALogThatFailsIsUnavailableNotAbsent: whatever a broken server says, it does
// not say that the entry is missing.
func TestALogThatFailsIsUnavailableNotAbsent(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, stack.SignOptions{})
	genuine := storedEvidence(t, signed, stack.Legacy)
	for what, hook := range map[string]stack.Hook{
		"an internal error":           stack.Answer(http.StatusInternalServerError, "application/json", `{"code":500}`),
		"a page that is not there":    stack.Answer(http.StatusNotFound, "text/plain", "404 page not found"),
		"a path that is not there":    stack.Answer(http.StatusNotFound, "application/json", `{"code":404,"message":"path /x was not found"}`),
		"a rate limit":                stack.Answer(http.StatusTooManyRequests, "text/plain", "slow down"),
		"a page for people":           stack.Answer(http.StatusOK, "text/html", "<html>welcome</html>"),
		"a connection that is closed": stack.Drop(),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy := newLogProxy(t, S(t).Rekor)
			image := copyImage(t, signed, S(t).Registry)
			genuine.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, newLog(t, S(t).Rekor, proxy.URL))
			proxy.SetHook(entries(hook))
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "LogUnavailable")
			proxy.SetHook(nil)
			admitted(t, runPod(t, namespace, newName(t), image.Ref()))
		})
	}
}

func newLogProxy(t *testing.T, log stack.Log) *stack.Proxy {
	t.Helper()
	proxy, err := S(t).ProxyLog(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Down)
	return proxy
}

// entriesPath is what Rekor's questions for an entry begin with.
const entriesPath = "/api/v1/log/entries/"

// entries applies hook to questions for an entry, and to no others.
func entries(hook stack.Hook) stack.Hook {
	return stack.When(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, entriesPath) }, hook)
}

// editedEntries changes the entry in each answer, and its proof.
func editedEntries(t *testing.T, edit func(entry, proof object)) stack.Hook {
	t.Helper()
	return entries(stack.RewriteBody(func(body []byte) []byte {
		var answer map[string]object
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber() // or else large numbers change
		if err := decoder.Decode(&answer); err != nil {
			t.Errorf("Rekor's answer: %v: %s", err, body)
			return body
		}
		for _, entry := range answer {
			edit(entry, asObject(asObject(entry["verification"])["inclusionProof"]))
		}
		changed, err := json.Marshal(answer)
		if err != nil {
			t.Error(err)
		}
		return changed
	}))
}

func asObject(v any) object { return v.(object) }
func asList(v any) []any    { return v.([]any) }
func asText(v any) string   { return v.(string) }

// changedText replaces a digit in the middle of base64 or hexadecimal text.
func changedText(v any) string {
	digits := []byte(asText(v))
	middle := len(digits) / 2
	if digits[middle] == 'a' {
		digits[middle] = 'b'
	} else {
		digits[middle] = 'a'
	}
	return string(digits)
}

// conditionOf is a TransparencyLog's condition: its status and reason.
func conditionOf(t *testing.T, log, condition string) string {
	t.Helper()
	query := `jsonpath={range .status.conditions[?(@.type=="` + condition + `")]}{.status} {.reason}{end}`
	return mustKubectl(t, "", "get", "transparencylog", log, "-o", query)
}

// awaitCondition waits until a TransparencyLog's condition has that status and
// reason.
func awaitCondition(t *testing.T, log, condition, want string) {
	t.Helper()
	eventually(t, "the condition "+condition+" = "+want, func() bool { return conditionOf(t, log, condition) == want })
}
