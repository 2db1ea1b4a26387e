// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// resetTo has the object in the cluster reset from what is stored to a checkpoint of l.
func (c *cluster) resetTo(l *tlogtest.Log, size int, now time.Time) {
	c.t.Helper()
	obj := c.object()
	stored := obj.Status.Checkpoint
	obj.Spec.Reset = &v1alpha1.LogReset{
		Origin: stored.Origin, Stored: v1alpha1.LogPin{Size: stored.Size, RootHash: stored.RootHash},
		Accepted:    v1alpha1.LogPin{Size: int64(size), RootHash: hex.EncodeToString(l.Root(size))},
		RequestedBy: "alice", Reason: "backup",
	}
	if evidence := obj.Status.Inconsistency; evidence != nil {
		obj.Spec.Reset.InconsistencyFoundAt = &evidence.FoundAt
	}
	if err := Reset(obj, verified(c.t, l, size), now); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Status().Update(c.t.Context(), obj); err != nil {
		c.t.Fatal(err)
	}
}

// verified is a checkpoint of l.
func verified(t *testing.T, l *tlogtest.Log, size int) tlog.Checkpoint {
	t.Helper()
	log, err := tlog.NewLog(tlog.Config{Name: logName, Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := log.VerifyCheckpoint([]byte(l.Checkpoint(size)))
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

// TestAHistoryEndsWithItsReset: a replica that has not heard of the reset yet neither
// believes what it remembers nor writes over what was accepted.
func TestAHistoryEndsWithItsReset(t *testing.T) {
	c := newCluster(t)
	l := tlogtest.New("rekor.test")
	l.Grow(9)
	history := NewStatusHistory(c.object(), c, c, c.Status())
	_, version, err := history.Latest(t.Context(), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	if err := history.Advance(t.Context(), verified(t, l, 9), version); err != nil {
		t.Fatal(err)
	}
	restored := l.Fork(5)
	restored.Grow(20)
	_, version, err = history.Latest(t.Context(), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	c.resetTo(restored, 20, time.Now())

	for what, err := range map[string]error{
		"reading":    second(history.Latest(t.Context(), l.Origin())),
		"confirming": history.Confirm(t.Context(), verified(t, l, 9)),
		"advancing":  history.Advance(t.Context(), verified(t, restored, 25), version),
		"accusing":   history.Accuse(t.Context(), verified(t, l, 9), verified(t, restored, 9)),
	} {
		if !errors.Is(err, tlog.ErrUnavailable) && !errors.Is(err, tlog.ErrInconsistent) {
			t.Errorf("%s with the history of before: %v", what, err)
		}
	}
	if got := c.object().Status; got.Checkpoint.Size != 20 || got.Inconsistency != nil {
		t.Errorf("the history of before wrote %+v", got)
	}

	next := NewStatusHistory(c.object(), c, c, c.Status())
	note, _, err := next.Latest(t.Context(), l.Origin())
	if err != nil || string(note) != c.object().Status.Checkpoint.Note {
		t.Errorf("the history after it begins with %q, %v", note, err)
	}
}

func second(_ []byte, _ string, err error) error { return err }

// TestAReplicaThatKnowsOfAResetBeforeItsCache reads what the cache does not show yet.
func TestAReplicaThatKnowsOfAResetBeforeItsCache(t *testing.T) {
	stale, c := newCluster(t), newCluster(t)
	l := tlogtest.New("rekor.test")
	l.Grow(9)
	for _, each := range []*cluster{stale, c} {
		history := NewStatusHistory(each.object(), each, each, each.Status())
		_, version, err := history.Latest(t.Context(), l.Origin())
		if err != nil {
			t.Fatal(err)
		}
		if err := history.Advance(t.Context(), verified(t, l, 9), version); err != nil {
			t.Fatal(err)
		}
	}
	c.resetTo(l, 5, time.Now())
	history := NewStatusHistory(c.object(), stale, c, c.Status())
	note, version, err := history.Latest(t.Context(), l.Origin())
	if err != nil || string(note) != c.object().Status.Checkpoint.Note {
		t.Fatalf("the history shows %q, %v; want what was accepted", note, err)
	}
	if err := history.Advance(t.Context(), verified(t, l, 7), version); err != nil {
		t.Errorf("advancing: %v", err)
	}
}

func TestAResetMakesANewProver(t *testing.T) {
	c := newCluster(t)
	l := tlogtest.New("rekor.test")
	l.Grow(9)
	obj := &v1alpha1.TransparencyLog{}
	if err := c.Get(t.Context(), types.NamespacedName{Name: logName}, obj); err != nil {
		t.Fatal(err)
	}
	obj.Spec = v1alpha1.TransparencyLogSpec{
		Type: v1alpha1.LogTypeRekorV1, URLs: []string{"https://a.test"}, Origin: l.Hostname,
		PublicKey: v1alpha1.LogPublicKey{Data: string(publicPEM(t, l.PublicKey()))},
	}
	logs := memoryLogs(nil)
	prover := func() *tlog.Prover {
		t.Helper()
		if err := logs.Set(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		p, err := logs.Prover(logName)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := prover()
	after := obj.DeepCopy()
	after.Status.LastReset = &v1alpha1.LogResetRecord{Reset: v1alpha1.LogReset{Origin: l.Origin()}}
	if logs.IsCurrent(after) {
		t.Error("what was loaded before the reset is said to be current")
	}
	obj = after
	if prover() == before {
		t.Error("the prover of before the reset is kept")
	}
	if !logs.IsCurrent(after) {
		t.Error("what was loaded after the reset is not current")
	}
}

func TestResetLeavesOtherTreesAlone(t *testing.T) {
	l := tlogtest.New("rekor.test")
	l.Grow(9)
	other := v1alpha1.LogCheckpoint{Origin: "rekor.test - 7", Size: 3, RootHash: strings.Repeat("a", 64), Note: "rekor.test - 7\n"}
	obj := &v1alpha1.TransparencyLog{Status: v1alpha1.TransparencyLogStatus{
		Checkpoint: &other,
		Shards:     []v1alpha1.LogCheckpoint{{Origin: l.Origin(), Size: 9, RootHash: hex.EncodeToString(l.Root(9)), Note: l.Checkpoint(9)}},
	}}
	obj.Spec.Reset = &v1alpha1.LogReset{
		Origin: l.Origin(), Stored: v1alpha1.LogPin{Size: 9, RootHash: hex.EncodeToString(l.Root(9))},
		Accepted: v1alpha1.LogPin{Size: 5, RootHash: hex.EncodeToString(l.Root(5))}, RequestedBy: "alice", Reason: "backup",
	}
	evidenced := obj.DeepCopy()
	if err := Reset(obj, verified(t, l, 6), time.Now()); err != nil {
		t.Fatal(err)
	}
	if obj.Status.Checkpoint.Size != 3 || obj.Status.Shards[0].Size != 6 || obj.Status.Shards[0].FirstContact.Size != 5 {
		t.Errorf("status is %+v", obj.Status)
	}
	found := evidenced.CreationTimestamp
	evidenced.Status.Inconsistency = &v1alpha1.LogInconsistency{Notes: []string{other.Note, other.Note}, FoundAt: found}
	evidenced.Spec.Reset.InconsistencyFoundAt = &found
	if err := Reset(evidenced, verified(t, l, 6), time.Now()); !errors.Is(err, ErrResetRefused) {
		t.Errorf("evidence about another tree is put away: %v", err)
	}
	smaller := obj.DeepCopy()
	smaller.Spec.Reset.Stored, smaller.Spec.Reset.Accepted = v1alpha1.LogPin{Size: 6, RootHash: hex.EncodeToString(l.Root(6))}, v1alpha1.LogPin{Size: 8, RootHash: hex.EncodeToString(l.Root(8))}
	if err := Reset(smaller, verified(t, l, 7), time.Now()); !errors.Is(err, ErrResetRefused) {
		t.Errorf("less than what is to be accepted is stored: %v", err)
	}
}

func TestParsePin(t *testing.T) {
	root := strings.Repeat("0a", 32)
	for text, good := range map[string]bool{
		"9:" + root: true, "0:" + root: false, "-1:" + root: false, "09:" + root: false, "9:" + strings.ToUpper(root): false, " 9:" + root: false,
		"9:" + root[1:]: false, "9:" + root + "0": false, "9:" + root + " ": false, "9": false, "": false, root: false, "9:" + strings.Repeat("g", 64): false,
		"99999999999999999999:" + root: false,
	} {
		if pin, err := ParsePin(text); (err == nil) != good {
			t.Errorf("%q is %v, %v; want good: %t", text, pin, err, good)
		}
	}
}
