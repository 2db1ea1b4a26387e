// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// grace is how long after a log is back a denial may still come of its outage: a
// replica from which nothing came is left alone for a second.
const grace = 2 * time.Second

// trillianIsKilled and databaseIsKilled: as in a crash, under load, and started again.
func trillianIsKilled(t *testing.T, l *mariaLog) {
	t.Helper()
	l.crash(t, func() { l.trillian.Server.Kill(); l.trillian.Signer.Kill() }, func(ctx context.Context) error {
		if err := l.trillian.Server.Start(ctx); err != nil {
			return err
		}
		return l.trillian.Signer.Start(ctx)
	})
}

func databaseIsKilled(t *testing.T, l *mariaLog) {
	t.Helper()
	l.crash(t, l.db.Kill, l.db.Start)
}

// judged is what came of one Pod under load.
type judged struct {
	image        string
	begun, ended time.Time
	answer       answer
}

func (j judged) has(reasons ...string) bool {
	return slices.ContainsFunc(j.answer.causes(), func(cause string) bool {
		return slices.ContainsFunc(reasons, func(reason string) bool { return strings.HasSuffix(cause, " "+reason) })
	})
}

// judge creates a Pod without storing it.
func judge(t *testing.T, namespace string, image stack.Image) judged {
	t.Helper()
	j := judged{image: image.Repository, begun: time.Now()}
	j.answer = call{method: http.MethodPost, path: collection("Pod", namespace) + "?dryRun=All", body: fmt.Sprintf(
		`{"metadata":{"generateName":"load-"},"spec":{"containers":[{"name":"app","image":%q}]}}`, image.Ref())}.send(t)
	j.ended = time.Now()
	return j
}

// load judges images round and round until stop is closed: at first the first four, and
// every quarter of a second one more, so that some are new whenever the log goes away.
func load(t *testing.T, namespace string, images []stack.Image, stop <-chan struct{}) (results func() []judged) {
	t.Helper()
	var mu sync.Mutex
	var all []judged
	var workers sync.WaitGroup
	begun := time.Now()
	for worker := range 4 {
		workers.Go(func() {
			for i := worker; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				known := min(len(images), 4+int(time.Since(begun)/(250*time.Millisecond)))
				j := judge(t, namespace, images[i%known])
				mu.Lock()
				all = append(all, j)
				mu.Unlock()
			}
		})
	}
	return func() []judged { workers.Wait(); return all }
}

// crash stops what is below the log while Pods of good and bad images are created, and
// starts it again. Bad images are never admitted; good ones are refused because of the
// outage alone, while it lasts, and not after it.
func (l *mariaLog) crash(t *testing.T, kill func(), start func(context.Context) error) {
	t.Helper()
	namespace, log := newNamespace(t), newName(t)
	urls := []string{l.replicas[0].URL, l.replicas[1].URL, l.replicas[2].URL}
	applied(t, "transparencylog/"+log, stack.TransparencyLogOf(l.replicas[0], log, false, urls...))
	good := map[string]bool{}
	var signed, fresh []stack.Image
	for range 6 {
		image := l.covered(t, log, stack.SignOptions{})
		signed, good[image.Repository] = append(signed, image), true
	}
	for range 3 {
		fresh = append(fresh, l.covered(t, log, stack.SignOptions{}))
	}
	unsigned, unlogged := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	sign(t, unlogged, stack.SignOptions{Log: l.replicas[0], NoUpload: true})
	forged := copyImage(t, unsigned, S(t).Registry)
	storedEvidence(t, signed[0], stack.Legacy).layBeside(t, forged)
	images := []stack.Image{unsigned, unlogged, forged}
	for _, bad := range images {
		newPolicy(t, bad.Registry+"/"+bad.Repository, S(t).Key, log)
	}
	images = append(images, signed...)

	stop := make(chan struct{})
	results := load(t, namespace, images, stop)
	time.Sleep(500 * time.Millisecond)
	killed := time.Now()
	kill()
	time.Sleep(1500 * time.Millisecond)
	refusedFresh := judge(t, namespace, fresh[0])
	if err := start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		eventually(t, url+" to answer again", func() bool { status, _ := get(t, url+"/api/v1/log"); return status == http.StatusOK })
	}
	recovered := time.Now()
	time.Sleep(grace)
	var pods sync.WaitGroup
	for i, image := range fresh {
		pods.Go(func() { admitted(t, runPod(t, namespace, fmt.Sprint("fresh-", i), image.Ref())) })
	}
	pods.Wait()
	close(stop)
	all := results()

	if refusedFresh.answer.ok() || !refusedFresh.has("LogUnavailable", "DeadlineExceeded") {
		t.Errorf("an image whose entry could not be asked for: %d %s", refusedFresh.answer.code, refusedFresh.answer.status.Message)
	}
	denied := 0
	for _, j := range all {
		inOutage := j.ended.After(killed) && j.begun.Before(recovered.Add(grace))
		switch {
		case !good[j.image]:
			if j.answer.ok() {
				t.Errorf("admitted %s %v after the crash", j.image, j.begun.Sub(killed))
			}
		case j.answer.ok():
		case !inOutage:
			t.Errorf("refused a good image although the log is there, %v after it was: %s", j.begun.Sub(recovered), j.answer.status.Message)
		case !j.has("LogUnavailable", "DeadlineExceeded"):
			t.Errorf("refused a good image in the outage, and not because of it: %s", j.answer.status.Message)
		default:
			denied++
		}
	}
	t.Logf("%d Pods judged, %d of good images refused in the outage of %v", len(all), denied, recovered.Sub(killed).Round(time.Millisecond))
	if denied == 0 {
		t.Error("no good image was refused: the outage was none")
	}
	awaitCondition(t, log, "Ready", "True Succeeded")
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("the condition Consistent is %q: %s", got, messageOf(t, log, "Consistent"))
	}
	admitted(t, runPod(t, namespace, "signed-after", l.covered(t, log, stack.SignOptions{}).Ref()))
}

// ruled applies a policy for an image that says what to do in an outage.
func ruled(t *testing.T, image stack.Image, log, rule string) {
	t.Helper()
	name := newName(t)
	manifest := stack.KeyPolicy(name, image.Registry+"/"+image.Repository, S(t).Key, log)
	applied(t, "clusterimagepolicy/"+name, strings.Replace(manifest, "spec:\n", "spec:\n  onUnavailable: "+rule+"\n", 1))
}

// lookAgain makes Countersign see which signatures lie beside an image now: it asks the
// registry before it refuses, and here a policy does that has another key.
func lookAgain(t *testing.T, namespace string, image stack.Image) {
	t.Helper()
	key, err := S(t).GenerateKey(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	policy := newName(t)
	mustKubectl(t, stack.KeyPolicy(policy, image.Registry+"/"+image.Repository, key), "apply", "-f", "-")
	mustKubectl(t, "", "wait", "--for=condition=Ready", "--timeout=30s", "clusterimagepolicy/"+policy)
	refused(t, runPod(t, namespace, newName(t), image.Ref()), "KeyMismatch", policy)
	mustKubectl(t, "", "delete", "clusterimagepolicy", policy)
	eventually(t, "the policy to be gone", func() bool {
		return !strings.Contains(kubectl(t, "", "run", newName(t), "-n", namespace, "--image="+image.Ref(), "--dry-run=server").Stderr, policy)
	})
}

// outageRules: what each form of onUnavailable accepts of a log whose server is killed.
// Nothing is remembered of its checkpoints but the first.
func outageRules(t *testing.T, l *mariaLog) {
	t.Helper()
	namespace, log := newNamespace(t), newName(t)
	rekor, err := S(t).StartRekorWith(t.Context(), "rekor-of-outages", stack.RekorOptions{Trillian: l.trillian, ReplicaOf: l.replicas[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	applied(t, "transparencylog/"+log, strings.Replace(stack.TransparencyLogAt(rekor.URL, rekor, log, false), "pollInterval: 1s", "pollInterval: 1h", 1))

	proven, asked := l.signed(t, bundleByV3()), l.signed(t, stack.SignOptions{})
	first := storedEvidence(t, asked, stack.Legacy)
	other := copyImage(t, asked, S(t).Registry)
	sign(t, other, stack.SignOptions{Log: l.replicas[0]})
	second := storedEvidence(t, other, stack.Legacy)
	embedded := storedEvidence(t, proven, stack.Bundle)
	rules := map[string]struct{ brings, verified string }{ // what is refused says why
		"deny":                    {"LogUnavailable", "LogUnavailable"},
		"allowEmbeddedProof":      {"", "LogUnavailable"},
		"allowPreviouslyVerified": {"LogUnavailable", ""},
	}
	images := map[string]map[string]stack.Image{}
	for rule := range rules {
		of := map[string]stack.Image{
			"brings": copyImage(t, proven, S(t).Registry), "verified": copyImage(t, asked, S(t).Registry), "seen": copyImage(t, asked, S(t).Registry),
			"unsigned": pushImage(t, S(t).Registry), "unlogged": pushImage(t, S(t).Registry),
		}
		embedded.layBeside(t, of["brings"])
		first.layBeside(t, of["verified"])
		first.layBeside(t, of["seen"])
		sign(t, of["unlogged"], stack.SignOptions{Log: l.replicas[0], NoUpload: true})
		for _, image := range of {
			ruled(t, image, log, rule)
		}
		admitted(t, runPod(t, namespace, newName(t), of["verified"].Ref()))
		admitted(t, runPod(t, namespace, newName(t), of["seen"].Ref()))
		// It was verified in full; now another signature is there, of which nothing is known.
		second.layBeside(t, of["verified"])
		images[rule] = of
	}

	rekor.Kill()
	for _, of := range images {
		lookAgain(t, namespace, of["verified"])
	}
	for rule, tc := range rules {
		t.Run(rule, func(t *testing.T) {
			of := images[rule]
			for which, reason := range map[string]string{"brings": tc.brings, "verified": tc.verified} {
				result := runPod(t, namespace, newName(t), of[which].Ref())
				if reason != "" {
					refused(t, result, reason)
					continue
				}
				admitted(t, result)
				if !strings.Contains(result.Stderr, "Warning: ") || !strings.Contains(result.Stderr, rule) {
					t.Errorf("what was accepted in the outage is not said:\n%s", result.Stderr)
				}
			}
			seen := runPod(t, namespace, newName(t), of["seen"].Ref())
			admitted(t, seen)
			if strings.Contains(seen.Stderr, "Warning: ") {
				t.Errorf("what is verified from memory is said to be accepted because of the outage:\n%s", seen.Stderr)
			}
			refused(t, runPod(t, namespace, newName(t), of["unsigned"].Ref()), "NoSignature")
			if result := runPod(t, namespace, newName(t), of["unlogged"].Ref()); result.Code == 0 {
				t.Error("admitted what no log has")
			}
		})
	}
	if err := rekor.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for rule := range rules {
		for _, which := range []string{"brings", "verified", "seen"} {
			result := runPod(t, namespace, newName(t), images[rule][which].Ref())
			admitted(t, result)
			if strings.Contains(result.Stderr, "Warning: ") {
				t.Errorf("after the outage:\n%s", result.Stderr)
			}
		}
		refused(t, runPod(t, namespace, newName(t), images[rule]["unlogged"].Ref()), "NotLogged")
	}
}
