// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func pinOf(l *tlogtest.Log, size int) v1alpha1.LogPin {
	return v1alpha1.LogPin{Size: int64(size), RootHash: hex.EncodeToString(l.Root(size))}
}

// ask has an operator write a reset that names what is stored, changed by edit.
func (w *watched) ask(accepted v1alpha1.LogPin, edit func(*v1alpha1.LogReset)) {
	w.t.Helper()
	obj := w.replica.log("corp")
	stored := obj.Status.Checkpoint
	reset := &v1alpha1.LogReset{
		Origin: stored.Origin, Stored: v1alpha1.LogPin{Size: stored.Size, RootHash: stored.RootHash}, Accepted: accepted,
		RequestedBy: "alice", Reason: "restored from the backup of Monday",
	}
	if evidence := obj.Status.Inconsistency; evidence != nil {
		reset.InconsistencyFoundAt = &evidence.FoundAt
	}
	if edit != nil {
		edit(reset)
	}
	obj.Spec.Reset = reset
	obj.Generation++
	if err := w.client.Update(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
	w.load()
}

// reconcile looks at the log once, and loads what that wrote, as the informers would have
// it done.
func (w *watched) reconcile() map[string]string {
	w.t.Helper()
	if _, err := w.monitor.Reconcile(w.t.Context(), request("corp")); err != nil {
		w.t.Fatal(err)
	}
	w.load()
	return told(w.replica.log("corp").Status.Conditions)
}

// caught is a log that showed a fork of the 9 entries that were seen.
func caughtLog(t *testing.T) (w *watched, fork *tlogtest.Log) {
	t.Helper()
	w = watch(t, 9)
	w.poll()
	fork = w.log.Fork(5)
	fork.Grow(4)
	w.server.Show(fork, 0)
	w.poll()
	w.events()
	if w.replica.log("corp").Status.Inconsistency == nil {
		t.Fatal("the fork is not found")
	}
	return w, fork
}

func TestAResetAcceptsTheOtherHistory(t *testing.T) {
	w, fork := caughtLog(t)
	given := w.replica.log("corp").Status
	w.ask(pinOf(fork, 8), nil)
	w.reconcile()
	obj := w.replica.log("corp")
	stored, record := obj.Status.Checkpoint, obj.Status.LastReset
	if obj.Status.Inconsistency != nil || stored.Size != 9 || stored.RootHash != hex.EncodeToString(fork.Root(9)) ||
		stored.FirstContact.Method != v1alpha1.FirstContactReset || stored.FirstContact.Size != 8 {
		t.Errorf("status is %+v; want the fork's checkpoint and no evidence", obj.Status)
	}
	if record == nil || record.Reset.RequestedBy != "alice" || record.Note != given.Checkpoint.Note ||
		!slices.Equal(record.Inconsistency.Notes, given.Inconsistency.Notes) {
		t.Errorf("record is %+v; want who, what was stored and the evidence", record)
	}
	if told := w.events(); !slices.Contains(told, v1alpha1.ReasonLogReset) {
		t.Errorf("events %q; want that the log was reset", told)
	}
	if got := w.series()["countersign_log_resets_total"]; got != 1 {
		t.Errorf("countersign_log_resets_total is %v; want 1", got)
	}
	want := map[string]string{"Ready": "True", "Reachable": "True", "Consistent": "True", "Fresh": "True", "Reset": "True"}
	if got := w.reconcile(); !equalConditions(got, want) {
		t.Errorf("conditions after the reset are %v", got)
	}
	// The given up history is now the fork, and what was carried out is not again.
	w.server.Show(w.log, 0)
	if got := w.reconcile(); got["Consistent"] != v1alpha1.ReasonLogInconsistent || got["Reset"] != "True" {
		t.Errorf("when it forks again conditions are %v", got)
	}
	w.server.Show(fork, 0)
	if got := w.reconcile(); got["Consistent"] != v1alpha1.ReasonLogInconsistent {
		t.Errorf("the reset of before put new evidence away: %v", got)
	}
	// Whoever takes the reset out of the spec takes its condition along.
	obj = w.replica.log("corp")
	obj.Spec.Reset = nil
	obj.Generation++
	if err := w.client.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	w.load()
	if got := w.reconcile(); got["Reset"] != "" {
		t.Errorf("conditions without a reset are %v", got)
	}
}

func equalConditions(got, want map[string]string) bool {
	for condition, reason := range want {
		if got[condition] != reason {
			return false
		}
	}
	return len(got) == len(want)
}

// TestALogThatIsRestoredFromABackup is the recovery that docs/logs.md tells of: the log lost
// its last entries, nobody was lied to, and it goes on from the backup.
func TestALogThatIsRestoredFromABackup(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := watch(t, 1000)
	w.poll()
	restored := w.log.Fork(900)
	w.server.Show(restored, 0)
	if got := w.reconcile(); got["Consistent"] != v1alpha1.ReasonLogInconsistent {
		t.Fatalf("conditions after the restoration are %v", got)
	}
	if w.replica.log("corp").Status.Inconsistency != nil {
		t.Fatal("a log that lost entries is accused")
	}
	prover, err := w.config.Logs.Prover("corp")
	if err != nil {
		t.Fatal(err)
	}
	w.ask(pinOf(restored, 900), nil)
	w.reconcile()
	if got := w.reconcile(); got["Consistent"] != "True" || got["Ready"] != "True" {
		t.Errorf("conditions after the reset are %v", got)
	}
	// The replica that remembers what was lost is of no use any more.
	if _, err := prover.Standing(t.Context()); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("the prover of before stands: %v", err)
	}
	restored.Grow(200)
	if got := w.reconcile(); got["Consistent"] != "True" || w.replica.log("corp").Status.Checkpoint.Size != 1100 {
		t.Errorf("the restored log does not go on: %v", got)
	}
	w.server.Show(w.log, 0)
	if got := w.reconcile(); got["Consistent"] != v1alpha1.ReasonLogInconsistent {
		t.Errorf("the history that was given up is accepted: %v", got)
	}
}

func TestAResetIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(w *watched, fork *tlogtest.Log, reset *v1alpha1.LogReset)
		show func(w *watched, fork *tlogtest.Log)
		want string // reason of the condition
		text string
	}{
		"another root is stored": {
			edit: func(_ *watched, fork *tlogtest.Log, r *v1alpha1.LogReset) { r.Stored = pinOf(fork, 9) }, text: "is stored, and not",
		},
		"another size is stored": {
			edit: func(w *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.Stored = pinOf(w.log, 8) }, text: "is stored, and not",
		},
		"nothing is stored of that tree": {
			edit: func(_ *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.Origin += "0" }, text: "nothing is stored",
		},
		"the evidence is not named": {
			edit: func(_ *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.InconsistencyFoundAt = nil }, text: "does not name that",
		},
		"other evidence is named": {
			edit: func(_ *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) {
				r.InconsistencyFoundAt.Time = r.InconsistencyFoundAt.Add(-time.Hour)
			}, text: "does not name that",
		},
		"the log does not have what is to be accepted": {
			edit: func(w *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.Accepted = pinOf(w.log, 8) }, text: "cannot show",
		},
		"the log has another root of that size": {
			edit: func(w *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.Accepted = pinOf(w.log, 9) }, text: "cannot show",
		},
		"the log shows less than is to be accepted": {
			show: func(w *watched, fork *tlogtest.Log) { w.server.Show(fork, 7) }, text: "less than",
		},
		"a root that is none": {
			edit: func(_ *watched, _ *tlogtest.Log, r *v1alpha1.LogReset) { r.Accepted.RootHash = "x" }, text: "rootHash",
		},
		"the log shows what its key did not sign": {
			show: func(w *watched, fork *tlogtest.Log) {
				stranger := tlogtest.New(fork.Hostname)
				stranger.Grow(9)
				w.server.Show(stranger, 0)
			}, text: "does not know of a tree",
		},
		"the log does not answer": {
			show: func(w *watched, _ *tlogtest.Log) {
				w.server.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
					rw.WriteHeader(http.StatusBadGateway)
					return true
				})
			}, want: v1alpha1.ReasonUnavailable, text: "502",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, fork := caughtLog(t)
			before := w.replica.log("corp").Status
			w.ask(pinOf(fork, 8), func(r *v1alpha1.LogReset) {
				if tc.edit != nil {
					r.InconsistencyFoundAt = r.InconsistencyFoundAt.DeepCopy()
					tc.edit(w, fork, r)
				}
			})
			if tc.show != nil {
				tc.show(w, fork)
			}
			want := tc.want
			if want == "" {
				want = v1alpha1.ReasonResetRefused
			}
			if got := w.reconcile(); got["Reset"] != want || got["Consistent"] == "True" {
				t.Errorf("conditions are %v; want Reset: %s", got, want)
			}
			after := w.replica.log("corp").Status
			if after.Inconsistency == nil || after.LastReset != nil || after.Checkpoint.Note != before.Checkpoint.Note {
				t.Errorf("status is %+v; want it as it was", after)
			}
			for _, condition := range after.Conditions {
				if condition.Type == v1alpha1.ConditionReset && !strings.Contains(condition.Message, tc.text) {
					t.Errorf("message %q does not say %q", condition.Message, tc.text)
				}
			}
		})
	}
}

// TestAResetThatPutsEvidenceAwayAndKeepsTheHistory is for when the fork was somebody else's:
// a thief of the key, whose notes do not make what was seen untrue.
func TestAResetThatPutsEvidenceAwayAndKeepsTheHistory(t *testing.T) {
	w, _ := caughtLog(t)
	w.server.Show(w.log, 0)
	w.ask(pinOf(w.log, 9), nil)
	w.reconcile()
	if got := w.reconcile(); got["Consistent"] != "True" || got["Reset"] != "True" {
		t.Errorf("conditions are %v", got)
	}
	obj := w.replica.log("corp")
	obj.Spec.Reset.Reason, obj.Spec.Reset.InconsistencyFoundAt = "once more", nil
	obj.Generation++
	if err := w.client.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	w.load()
	if got := w.reconcile(); got["Reset"] != v1alpha1.ReasonResetRefused {
		t.Errorf("a reset to what is stored, without evidence: %v", got)
	}
}

// TestAResetLosesARaceAgainstEvidence: what changes the status between reading and writing
// is not put away with what was named.
func TestAResetLosesARaceAgainstEvidence(t *testing.T) {
	w := watch(t, 9)
	w.poll()
	w.ask(pinOf(w.log, 5), nil)
	w.server.Show(w.log, 5)
	w.server.Intercept(func(http.ResponseWriter, *http.Request) bool {
		w.server.Intercept(nil)
		obj := w.replica.log("corp")
		obj.Status.Inconsistency = &v1alpha1.LogInconsistency{Notes: []string{w.log.Checkpoint(9), w.log.Checkpoint(8)}, FoundAt: obj.Status.Checkpoint.VerifiedAt}
		if err := w.client.Status().Update(t.Context(), obj); err != nil {
			t.Error(err)
		}
		return false
	})
	w.reconcile()
	status := w.replica.log("corp").Status
	if status.Inconsistency == nil || status.LastReset != nil || status.Checkpoint.Size != 9 {
		t.Errorf("status is %+v; want evidence and checkpoint as they are", status)
	}
	if got := w.reconcile(); got["Reset"] != v1alpha1.ReasonResetRefused {
		t.Errorf("conditions are %v; want the reset refused, as it does not name the evidence", got)
	}
}

// TestEvidenceThatWasPutAwayIsNotFoundAgain: whoever has signatures with forged checkpoints
// cannot undo a reset with those that an operator has looked at, however many resets ago.
// What nobody has looked at is evidence, and so is what the log itself shows.
func TestEvidenceThatWasPutAwayIsNotFoundAgain(t *testing.T) {
	w := watch(t, 5)
	fork := w.log.Fork(5)
	digest := sha256.Sum256([]byte("forged"))
	claim, err := tlog.HashedRekord(crypto.SHA256, digest[:], []byte("signature"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	fork.Append(fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
		digest, base64.StdEncoding.EncodeToString([]byte("signature")), base64.StdEncoding.EncodeToString([]byte("key"))))
	fork.Grow(3)
	w.log.Grow(4)
	w.poll()
	bring := func(size int) (isAccused bool) {
		t.Helper()
		prover, err := w.config.Logs.Prover("corp")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prover.Prove(t.Context(), claim, fork.Entry(5, size)); !errors.Is(err, tlog.ErrInconsistent) {
			t.Errorf("an entry of a fork, under its checkpoint of size %d: %v", size, err)
		}
		w.load()
		return w.reconcile()["Consistent"] != "True"
	}
	reset := func(why string) {
		t.Helper()
		w.ask(pinOf(w.log, 9), func(r *v1alpha1.LogReset) { r.Reason = why }) // all within a second, by which resets are told apart
		w.reconcile()
		if got := w.reconcile(); got["Consistent"] != "True" || got["Ready"] != "True" {
			t.Fatalf("conditions after the reset are %v", got)
		}
	}
	for _, size := range []int{8, 7} {
		if !bring(size) {
			t.Errorf("the checkpoint of size %d is new, and is no evidence", size)
		}
		reset(fmt.Sprintf("the checkpoint of size %d is a thief's", size))
		for seen := 8; seen >= size; seen-- {
			if bring(seen) {
				t.Errorf("after the reset for size %d the log is caught by the checkpoint of size %d, which was put away", size, seen)
			}
		}
	}
	if record := w.replica.log("corp").Status.LastReset; len(record.Earlier) != 2 {
		t.Errorf("of the first reset the record knows %v; want two checkpoints", record.Earlier)
	}
	fork.Grow(1)
	w.server.Show(fork, 0)
	if got := w.reconcile(); got["Consistent"] != v1alpha1.ReasonLogInconsistent {
		t.Errorf("the log shows the fork that was put away: %v", got)
	}
}
