// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// demanding is a log that a server shows, as an object that asks something of it.
type demanding struct {
	log    *tlogtest.Log
	server *tlogtest.Server
	obj    *v1alpha1.TransparencyLog
}

func newDemanding(t *testing.T, edit func(*v1alpha1.TransparencyLogSpec, *tlogtest.Log)) *demanding {
	t.Helper()
	log := grown(10)
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	return &demanding{log: log, server: server, obj: object(t, func(l *v1alpha1.TransparencyLog) {
		l.Spec.URLs = []string{server.URL}
		l.Spec.PublicKey.Data = string(publicPEM(t, log.PublicKey()))
		edit(&l.Spec, log)
	})}
}

func (d *demanding) poll(t *testing.T, history tlog.History) (tlog.Checkpoint, error) {
	t.Helper()
	logs := NewLogs(func(*v1alpha1.TransparencyLog) tlog.History { return history }, nil, nil)
	if err := logs.Set(t.Context(), d.obj); err != nil {
		t.Fatal(err)
	}
	prover, err := logs.Prover(logName)
	if err != nil {
		t.Fatal(err)
	}
	polled, err := prover.Poll(t.Context())
	return polled.Checkpoint, err
}

// TestWhatAnObjectAsksOfItsLog: what stands in the spec reaches the prover.
func TestWhatAnObjectAsksOfItsLog(t *testing.T) {
	witness := tlogtest.NewWitness("w.example")
	pin := func(log *tlogtest.Log, size int) *v1alpha1.LogPin {
		return &v1alpha1.LogPin{Size: int64(size), RootHash: hex.EncodeToString(log.Root(size))}
	}
	other := grown(10)
	shard := func(log *tlogtest.Log) v1alpha1.LogShard {
		return v1alpha1.LogShard{TreeID: strconv.FormatInt(log.TreeID, 10)}
	}
	hours := func(n int) *metav1.Time {
		return &metav1.Time{Time: time.Now().Add(time.Duration(n) * time.Hour)}
	}
	for name, test := range map[string]struct {
		edit   func(*v1alpha1.TransparencyLogSpec, *tlogtest.Log)
		want   error
		quorum error
	}{
		"nothing": {edit: func(*v1alpha1.TransparencyLogSpec, *tlogtest.Log) {}},
		"its tree": {edit: func(s *v1alpha1.TransparencyLogSpec, l *tlogtest.Log) {
			s.Shards = []v1alpha1.LogShard{shard(l)}
		}},
		"another tree": {want: tlog.ErrCheckpoint, edit: func(s *v1alpha1.TransparencyLogSpec, _ *tlogtest.Log) {
			s.Shards = []v1alpha1.LogShard{{TreeID: "1"}}
		}},
		"its pin": {edit: func(s *v1alpha1.TransparencyLogSpec, l *tlogtest.Log) {
			s.Shards, s.Pin = []v1alpha1.LogShard{shard(l)}, pin(l, 4)
		}},
		"another pin": {want: tlog.ErrInconsistent, edit: func(s *v1alpha1.TransparencyLogSpec, l *tlogtest.Log) {
			s.Shards, s.Pin = []v1alpha1.LogShard{shard(l)}, pin(other, 4)
		}},
		"its shard's pin": {edit: func(s *v1alpha1.TransparencyLogSpec, l *tlogtest.Log) {
			s.Shards = []v1alpha1.LogShard{{TreeID: "1", Pin: pin(other, 4)}, shard(l)}
			s.Shards[1].Pin = pin(l, 10)
		}},
		"another pin of its shard": {want: tlog.ErrInconsistent, edit: func(s *v1alpha1.TransparencyLogSpec, l *tlogtest.Log) {
			s.Shards = []v1alpha1.LogShard{{TreeID: "1", Pin: pin(l, 4)}, shard(l)}
			s.Shards[1].Pin = pin(other, 10)
		}},
		"witnesses": {quorum: tlog.ErrWitnessQuorum, edit: func(s *v1alpha1.TransparencyLogSpec, _ *tlogtest.Log) {
			s.Witnesses = "witness W " + witness.VerifierKey() + "\nquorum W\n"
		}},
		"no witnesses": {edit: func(s *v1alpha1.TransparencyLogSpec, _ *tlogtest.Log) { s.Witnesses = "quorum none" }},
		"a key that is valid": {edit: func(s *v1alpha1.TransparencyLogSpec, _ *tlogtest.Log) {
			s.Validity = &v1alpha1.Validity{NotBefore: hours(-1), NotAfter: hours(1)}
		}},
		"a key that is not valid yet": {want: tlog.ErrKeyValidity, edit: func(s *v1alpha1.TransparencyLogSpec, _ *tlogtest.Log) {
			s.Validity = &v1alpha1.Validity{NotBefore: hours(1)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			checkpoint, err := newDemanding(t, test.edit).poll(t, tlog.NewMemoryHistory())
			if !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if err := checkpoint.Quorum(); !errors.Is(err, test.quorum) {
				t.Errorf("got quorum %v, want %v", err, test.quorum)
			}
		})
	}
}

func TestWhatCannotBeAskedOfALog(t *testing.T) {
	root := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		edit func(*v1alpha1.TransparencyLogSpec)
		want string
	}{
		"a witness policy that does not parse": {func(s *v1alpha1.TransparencyLogSpec) { s.Witnesses = "\nquorum X" }, `witnesses: line 2: no line above defines "X"`},
		"a policy for another log": {func(s *v1alpha1.TransparencyLogSpec) {
			s.Witnesses = "log " + tlogtest.VerifierKey("x", 0x01, make([]byte, 32)) + "\nquorum none"
		}, "witnesses: the policy is for 1 other logs"},
		"a tree ID that is no number": {func(s *v1alpha1.TransparencyLogSpec) { s.Shards = []v1alpha1.LogShard{{TreeID: "x"}} }, `shards[0].treeID: "x" is not a tree ID`},
		"tree 0":                      {func(s *v1alpha1.TransparencyLogSpec) { s.Shards = []v1alpha1.LogShard{{TreeID: "0"}} }, "0 is not a tree ID"},
		"a pin of no tree":            {func(s *v1alpha1.TransparencyLogSpec) { s.Pin = &v1alpha1.LogPin{Size: 1, RootHash: root} }, "pin: it is of one tree"},
		"a pin without a root":        {func(s *v1alpha1.TransparencyLogSpec) { s.Pin = &v1alpha1.LogPin{Size: 1} }, "pin: rootHash is not"},
		"a pin without a size":        {func(s *v1alpha1.TransparencyLogSpec) { s.Pin = &v1alpha1.LogPin{RootHash: root} }, "pin: size must be"},
		"a shard with a pin without a size": {func(s *v1alpha1.TransparencyLogSpec) {
			s.Shards = []v1alpha1.LogShard{{TreeID: "1", Pin: &v1alpha1.LogPin{RootHash: root}}}
		}, "shards[0].pin: size must be"},
		"a validity that ends before it begins": {func(s *v1alpha1.TransparencyLogSpec) {
			s.Validity = &v1alpha1.Validity{NotBefore: &metav1.Time{Time: time.Unix(2, 0)}, NotAfter: &metav1.Time{Time: time.Unix(1, 0)}}
		}, "before it begins"},
	} {
		t.Run(name, func(t *testing.T) {
			logs := memoryLogs(nil)
			err := logs.Set(t.Context(), object(t, func(l *v1alpha1.TransparencyLog) { test.edit(&l.Spec) }))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if _, err := logs.Prover(logName); !errors.Is(err, ErrLogNotReady) {
				t.Errorf("Prover = %v; want ErrLogNotReady", err)
			}
		})
	}
}

// TestStatusSaysWhatIsPinned: first contact with a tree that the spec pins is the pin, from
// the next poll, or the next checkpoint that is stored.
func TestStatusSaysWhatIsPinned(t *testing.T) {
	c, log := newCluster(t), grown(10)
	mustAdvance(t, c.history(), checkpointOf(t, log, 3))
	if got := c.object().Status.Checkpoint.FirstContact; got.Method != v1alpha1.FirstContactTrustOnFirstUse || got.Size != 3 {
		t.Errorf("without a pin, first contact is %+v", got)
	}
	obj := c.object()
	obj.Spec.Type, obj.Spec.Origin = v1alpha1.LogTypeRekorV1, log.Hostname
	obj.Spec.Shards = []v1alpha1.LogShard{{TreeID: "1"}, {TreeID: strconv.FormatInt(log.TreeID, 10), Pin: &v1alpha1.LogPin{Size: 2, RootHash: hex.EncodeToString(log.Root(2))}}}
	if err := c.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if err := c.history().Confirm(t.Context(), checkpointOf(t, log, 3)); err != nil {
		t.Fatal(err)
	}
	if got := c.object().Status.Checkpoint.FirstContact; got.Method != v1alpha1.FirstContactPinned || got.Size != 2 {
		t.Errorf("when the log was polled with the pin, first contact is %+v", got)
	}
	for size := 5; size < 8; size++ {
		mustAdvance(t, c.history(), checkpointOf(t, log, size))
		got := c.object().Status.Checkpoint.FirstContact
		if got.Method != v1alpha1.FirstContactPinned || got.Size != 2 || got.RootHash != hex.EncodeToString(log.Root(2)) {
			t.Errorf("at size %d, first contact is %+v; want the pin", size, got)
		}
	}
	other := log.Fork(3)
	other.TreeID = 1
	mustAdvance(t, c.history(), checkpointOf(t, other, 2))
	if got := c.object().Status.Checkpoint.FirstContact; got.Method != v1alpha1.FirstContactTrustOnFirstUse {
		t.Errorf("first contact with a tree that has no pin is %+v", got)
	}
}

// TestLogsFromFilesKnowWhatWitnessesSaw: an object from `kubectl get -o yaml` tells.
func TestLogsFromFilesKnowWhatWitnessesSaw(t *testing.T) {
	witness, log := tlogtest.NewWitness("w.example"), grown(10)
	stored := checkpointOf(t, log, 10)
	cosigned := witness.Cosign(log.Checkpoint(7), time.Now())
	obj := object(t, func(l *v1alpha1.TransparencyLog) {
		l.Status.Checkpoint = &v1alpha1.LogCheckpoint{
			Origin: stored.Origin(), Note: stored.Note(), Witnessed: &v1alpha1.WitnessedCheckpoint{Size: 7, Note: cosigned},
		}
		l.Status.Shards = []v1alpha1.LogCheckpoint{{Origin: "another", Note: "x"}}
	})
	note, err := recorded(obj).Witnessed(t.Context(), stored.Origin())
	if err != nil || string(note) != cosigned {
		t.Errorf("Witnessed = %q, %v; want what the status says", note, err)
	}
	if note, err := recorded(obj).Witnessed(t.Context(), "another"); err != nil || note != nil {
		t.Errorf("Witnessed of another tree = %q, %v", note, err)
	}
	obj.Status.Inconsistency = &v1alpha1.LogInconsistency{Notes: []string{"a", "b"}}
	if _, err := recorded(obj).Witnessed(t.Context(), stored.Origin()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Witnessed of a log that was caught: %v", err)
	}
}
