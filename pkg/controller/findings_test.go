// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

// judged is a decision of one policy about an image that it does not accept.
func judged(image string, mode v1alpha1.Mode) policy.Decision {
	return policy.Decision{Image: image, Policies: []policy.PolicyResult{{
		Policy: policy.ClusterPolicy("payments"), Mode: mode, Verdict: verify.Rejected{Reason: verify.NoSignature, Detail: "no signature was found"},
	}}}
}

func podReference(namespace, name string) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: name, UID: "42"}
}

// recorded returns what the recorder got.
func recorded(r *events.FakeRecorder) []string {
	var texts []string
	for len(r.Events) > 0 {
		texts = append(texts, <-r.Events)
	}
	return texts
}

func TestWhatAPolicyWouldRefuseIsAnEvent(t *testing.T) {
	const image = "corp.example/app:1"
	verified := judged(image, v1alpha1.ModeAudit)
	verified.Policies[0].Verdict = verify.Verified{}
	excepted := judged(image, v1alpha1.ModeAudit)
	excepted.Policies[0].Exception = &policy.ExceptionUse{Namespace: "shop", Name: "x"}
	for name, tt := range map[string]struct {
		decision policy.Decision
		want     bool
	}{
		"in mode audit": {judged(image, v1alpha1.ModeAudit), true},
		"in mode warn":  {judged(image, v1alpha1.ModeWarn), true},
		// A refusal is told to whoever asked, and by a workload's controller.
		"not in mode enforce":         {judged(image, v1alpha1.ModeEnforce), false},
		"not what it accepts":         {verified, false},
		"not what an exception takes": {excepted, false},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			f := &Findings{recorder: recorder}
			f.Note(podReference("shop", "api-0"), []policy.Decision{tt.decision})
			f.tell(t.Context())
			got := recorded(recorder)
			if !tt.want {
				if got != nil {
					t.Errorf("events: %v", got)
				}
				return
			}
			want := "Warning WouldBeDenied image corp.example/app:1 would be denied by ClusterImagePolicy \"payments\"\n  NoSignature: no signature was found\n  → " +
				policy.Advice(verify.NoSignature)
			if diff := cmp.Diff([]string{want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestEventsOfFindingsAreFew whatever is created, and nothing else is forgotten for it.
func TestEventsOfFindingsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := events.NewFakeRecorder(10_000)
		f := &Findings{recorder: recorder}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Start(ctx) }()
		for i := range 10_000 {
			f.Note(podReference("shop", fmt.Sprintf("api-%d", i)), []policy.Decision{judged("corp.example/app:1", v1alpha1.ModeAudit)})
		}
		time.Sleep(3 * time.Second)
		if got := recorded(recorder); len(got) != 1 || !strings.Contains(got[0], "10000 times in this namespace: image corp.example/app:1") {
			t.Errorf("%d Events: %.200q", len(got), got)
		}
		for i := range 10_000 { // somebody makes up names
			f.Note(podReference("hostile", "x"), []policy.Decision{judged(fmt.Sprintf("corp.example/%d:%s", i, strings.Repeat("x", 900)), v1alpha1.ModeAudit)})
		}
		time.Sleep(20 * time.Second)
		if n := len(recorded(recorder)); n > 11*maxTold || n < 9*maxTold {
			t.Errorf("%d Events in 20 seconds", n)
		}
		time.Sleep(3 * tallyPause)
		if n := len(recorded(recorder)); n >= maxTallied {
			t.Errorf("%d Events of made-up names", n)
		}
		if f.found.mu.Lock(); len(f.found.seen) != 0 {
			t.Errorf("%d findings are remembered for ever", len(f.found.seen))
		}
		f.found.mu.Unlock()
		f.Note(podReference("shop", "api-0"), []policy.Decision{judged("corp.example/app:1", v1alpha1.ModeAudit)})
		time.Sleep(3 * time.Second)
		if n := len(recorded(recorder)); n != 1 {
			t.Errorf("%d Events when it happens again", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
