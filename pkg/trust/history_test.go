// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestHistoryReturnsWhatWasStored(t *testing.T) {
	c, log := newCluster(t), grown(10)
	h := c.history()
	note, _, err := h.Latest(t.Context(), log.Origin())
	if note != nil || err != nil {
		t.Fatalf("Latest of an empty history = %q, %v; want nothing", note, err)
	}
	first, second := checkpointOf(t, log, 4), checkpointOf(t, log, 9)
	mustAdvance(t, h, first)
	mustAdvance(t, h, second)

	note, _, err = c.history().Latest(t.Context(), log.Origin())
	if err != nil || string(note) != second.Note() {
		t.Errorf("Latest = %q, %v; want the second note, byte for byte", note, err)
	}
	got := c.object().Status.Checkpoint
	if got.Size != 9 || got.RootHash != rootOf(second) || got.Origin != log.Origin() {
		t.Errorf("status.checkpoint = %+v; want size 9 of %q", got, log.Origin())
	}
	if got.FirstContact == nil || got.FirstContact.Size != 4 || got.FirstContact.RootHash != rootOf(first) {
		t.Errorf("firstContact = %+v; want the first checkpoint, size 4", got.FirstContact)
	}
}

func TestHistoryWritesACheckpointOnce(t *testing.T) {
	c, log := newCluster(t), grown(5)
	for range 3 {
		mustAdvance(t, c.history(), checkpointOf(t, log, 5))
	}
	if c.writes != 1 {
		t.Errorf("the same checkpoint was written %d times, not once", c.writes)
	}
}

// TestHistoryKeepsWhatWitnessesSaw: the largest checkpoint, and the largest that enough
// witnesses have cosigned, are two things.
func TestHistoryKeepsWhatWitnessesSaw(t *testing.T) {
	c, log, witness := newCluster(t), grown(10), tlogtest.NewWitness("w.example")
	policy, err := tlog.ParseWitnessPolicy("witness W " + witness.VerifierKey() + "\nquorum W\n")
	if err != nil {
		t.Fatal(err)
	}
	verified := func(note string) tlog.Checkpoint {
		l, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey(), Witnesses: policy})
		if err != nil {
			t.Fatal(err)
		}
		checkpoint, err := l.VerifyCheckpoint([]byte(note))
		if err != nil {
			t.Fatal(err)
		}
		return checkpoint
	}
	cosigned := func(size int) tlog.Checkpoint { return verified(witness.Cosign(log.Checkpoint(size), time.Now())) }
	alone := func(size int) tlog.Checkpoint { return verified(log.Checkpoint(size)) }
	want := func(step string, stored, witnessed uint64) {
		t.Helper()
		note, err := c.history().Witnessed(t.Context(), log.Origin())
		if err != nil {
			t.Fatal(err)
		}
		got := uint64(0)
		if note != nil {
			got = verified(string(note)).Size()
		}
		if size := c.object().Status.Checkpoint.Size; got != witnessed || uint64(size) != stored {
			t.Errorf("%s: size %d is stored and %d cosigned; want %d and %d", step, size, got, stored, witnessed)
		}
	}
	mustAdvance(t, c.history(), alone(3))
	want("nobody has cosigned", 3, 0)
	mustAdvance(t, c.history(), cosigned(5))
	want("cosigned and larger", 5, 5)
	mustAdvance(t, c.history(), alone(8))
	want("larger and not cosigned", 8, 5)
	mustAdvance(t, c.history(), cosigned(8))
	want("cosigned later", 8, 8)
	writes := c.writes
	mustAdvance(t, c.history(), alone(8))
	want("not cosigned, and no news", 8, 8)
	if c.writes != writes {
		t.Error("what is known was written again")
	}
	retired := log.Fork(6)
	retired.TreeID++
	mustAdvance(t, c.history(), verified(retired.Checkpoint(6)))
	mustAdvance(t, c.history(), alone(9))
	mustAdvance(t, c.history(), verified(witness.Cosign(retired.Checkpoint(6), time.Now())))
	if status := c.object().Status; status.Checkpoint.Origin != log.Origin() || status.Shards[0].Witnessed == nil || status.Shards[0].Witnessed.Size != 6 {
		t.Errorf("a shard that was cosigned takes the place of the active tree: %+v", status)
	}
	if note, err := c.history().Witnessed(t.Context(), "another tree"); note != nil || err != nil {
		t.Errorf("of another tree: %q, %v", note, err)
	}
	if err := c.history().Accuse(t.Context(), alone(3), alone(5)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.history().Witnessed(t.Context(), log.Origin()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("of a log that was caught: %v", err)
	}
}

func TestHistoryNeverGoesBack(t *testing.T) {
	log := grown(10)
	fork := log.Fork(3)
	fork.Grow(4)
	tests := map[string]tlog.Checkpoint{
		"a smaller checkpoint of the same tree":     checkpointOf(t, log, 6),
		"another root at the same size":             checkpointOf(t, fork, 7),
		"a smaller checkpoint of a tree that forks": checkpointOf(t, fork, 5),
	}
	for name, next := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			mustAdvance(t, c.history(), checkpointOf(t, log, 7))
			if err := advance(t, c.history(), next); !errors.Is(err, tlog.ErrInconsistent) {
				t.Errorf("Advance = %v; want ErrInconsistent", err)
			}
			if got := c.object().Status.Checkpoint; got.Size != 7 {
				t.Errorf("stored size is %d; want 7 still", got.Size)
			}
		})
	}
}

func TestHistoryRefusesADecisionThatIsOutOfDate(t *testing.T) {
	log := grown(20)
	tests := map[string]func(t *testing.T, c *cluster){
		"another replica stored a larger checkpoint": func(t *testing.T, c *cluster) {
			t.Helper()
			mustAdvance(t, c.history(), checkpointOf(t, log, 8))
		},
		"an operator reset the history": func(t *testing.T, c *cluster) {
			t.Helper()
			obj := c.object()
			obj.Status = v1alpha1.TransparencyLogStatus{}
			if err := c.Status().Update(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, meanwhile := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			mustAdvance(t, c.history(), checkpointOf(t, log, 4))
			h := c.behind()
			_, version, err := h.Latest(t.Context(), log.Origin())
			if err != nil {
				t.Fatal(err)
			}
			meanwhile(t, c)
			if err := h.Advance(t.Context(), checkpointOf(t, log, 6), version); !errors.Is(err, tlog.ErrConflict) {
				t.Errorf("Advance = %v; want ErrConflict", err)
			}
		})
	}
}

// TestHistoryIsOfOneObject: a prover that still has the old key must not write what it
// verified into the object that replaced its own.
func TestHistoryIsOfOneObject(t *testing.T) {
	c, log := newCluster(t), grown(20)
	h := c.history()
	_, version, err := h.Latest(t.Context(), log.Origin())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), c.object()); err != nil {
		t.Fatal(err)
	}
	replacement := &v1alpha1.TransparencyLog{ObjectMeta: metav1.ObjectMeta{Name: logName, UID: "2"}}
	if err := c.Create(t.Context(), replacement); err != nil {
		t.Fatal(err)
	}
	if err := h.Advance(t.Context(), checkpointOf(t, log, 6), version); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Advance = %v; want ErrUnavailable", err)
	}
	if err := h.Accuse(t.Context(), checkpointOf(t, log, 6), checkpointOf(t, log, 7)); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Accuse = %v; want ErrUnavailable", err)
	}
	if status := c.object().Status; status.Checkpoint != nil || status.Inconsistency != nil {
		t.Errorf("the new object's history is %+v", status)
	}
}

func TestHistoryReadsAnewAfterAConflict(t *testing.T) {
	c, log := newCluster(t), grown(20)
	mustAdvance(t, c.history(), checkpointOf(t, log, 4))
	stale := c.behind()
	mustAdvance(t, c.history(), checkpointOf(t, log, 8))
	if err := advance(t, stale, checkpointOf(t, log, 9)); !errors.Is(err, tlog.ErrConflict) {
		t.Fatalf("Advance on a stale read = %v; want ErrConflict", err)
	}
	note, _, err := stale.Latest(t.Context(), log.Origin())
	if err != nil || string(note) != c.object().Status.Checkpoint.Note {
		t.Errorf("Latest after the conflict = %q, %v; want what is stored, though the cache still lags", note, err)
	}
	mustAdvance(t, stale, checkpointOf(t, log, 9))
}

func TestHistoryIsNotDisturbedByConditions(t *testing.T) {
	c, log := newCluster(t), grown(20)
	mustAdvance(t, c.history(), checkpointOf(t, log, 4))
	stale := c.behind()
	obj := c.object()
	meta.SetStatusCondition(&obj.Status.Conditions, metav1.Condition{Type: "Ready", Status: "True", Reason: "Succeeded"})
	if err := c.Status().Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	mustAdvance(t, stale, checkpointOf(t, log, 9))
	status := c.object().Status
	if status.Checkpoint.Size != 9 || len(status.Conditions) != 1 {
		t.Errorf("status = %+v; want size 9 and the condition that was written meanwhile", status)
	}
}

func TestHistoryKeepsEveryTree(t *testing.T) {
	c := newCluster(t)
	h := c.history()
	old, active := grown(5), grown(9)
	old.TreeID, active.TreeID = 11, 22
	mustAdvance(t, h, checkpointOf(t, old, 5))
	mustAdvance(t, h, checkpointOf(t, active, 3))
	mustAdvance(t, h, checkpointOf(t, active, 7))

	status := c.object().Status
	if status.Checkpoint.Origin != active.Origin() || status.Checkpoint.Size != 7 {
		t.Errorf("checkpoint is %+v; want the tree that advanced last", status.Checkpoint)
	}
	if len(status.Shards) != 1 || status.Shards[0].Origin != old.Origin() || status.Shards[0].Size != 5 {
		t.Errorf("shards are %+v; want the other tree", status.Shards)
	}
	note, _, err := h.Latest(t.Context(), old.Origin())
	if err != nil || string(note) != status.Shards[0].Note {
		t.Errorf("Latest of the other tree = %q, %v; want its own note", note, err)
	}
}

func TestHistoryRefusesTooManyTrees(t *testing.T) {
	c := newCluster(t)
	h, log := c.history(), grown(2)
	for tree := range maxShards + 1 {
		log.TreeID = int64(tree + 1)
		mustAdvance(t, h, checkpointOf(t, log, 2))
	}
	log.TreeID = maxShards + 2
	if err := advance(t, h, checkpointOf(t, log, 2)); !errors.Is(err, tlog.ErrLimit) {
		t.Errorf("Advance of one tree too many = %v; want ErrLimit", err)
	}
}

func TestHistoryRemembersAnInconsistency(t *testing.T) {
	c, log := newCluster(t), grown(11)
	fork := log.Fork(3)
	fork.Grow(7)
	a, b := checkpointOf(t, log, 10), checkpointOf(t, fork, 10)
	mustAdvance(t, c.history(), a)
	_, version, err := c.history().Latest(t.Context(), log.Origin())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.history().Accuse(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if err := c.history().Accuse(t.Context(), checkpointOf(t, log, 9), b); err != nil {
		t.Fatal(err)
	}

	obj := c.object()
	if diff := cmp.Diff([]string{a.Note(), b.Note()}, obj.Status.Inconsistency.Notes); diff != "" {
		t.Errorf("the evidence must be the first one, byte for byte (-want +got):\n%s", diff)
	}
	for _, condition := range []string{v1alpha1.ConditionConsistent, v1alpha1.ConditionReady} {
		if !meta.IsStatusConditionFalse(obj.Status.Conditions, condition) {
			t.Errorf("condition %s is not False: %+v", condition, obj.Status.Conditions)
		}
	}
	if _, _, err := c.history().Latest(t.Context(), log.Origin()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Latest = %v; want ErrInconsistent while the evidence stands", err)
	}
	if err := c.history().Advance(t.Context(), checkpointOf(t, log, 11), version); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Advance of a log that was caught = %v; want ErrInconsistent", err)
	}
}

func TestHistoryHoldsEvidenceThatCannotBeWrittenYet(t *testing.T) {
	c, log := newCluster(t), grown(10)
	fork := log.Fork(3)
	fork.Grow(7)
	h := c.history()
	c.failing(apierrors.NewServiceUnavailable("down"))
	err := h.Accuse(t.Context(), checkpointOf(t, log, 10), checkpointOf(t, fork, 10))
	if !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Accuse = %v; want ErrUnavailable", err)
	}
	_, _, err = h.Latest(t.Context(), log.Origin())
	if !errors.Is(err, tlog.ErrInconsistent) || errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Latest = %v; want ErrInconsistent and nothing else while the API server is away", err)
	}
	c.failing(nil)
	if _, _, err = h.Latest(t.Context(), log.Origin()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Latest = %v; want ErrInconsistent", err)
	}
	if c.object().Status.Inconsistency == nil {
		t.Error("the evidence was not written once the API server was back")
	}
}

func TestHistoryTellsAStoreThatFailsFromALogThatLies(t *testing.T) {
	c, log := newCluster(t), grown(10)
	c.failing(apierrors.NewForbidden(v1alpha1.GroupVersion().WithResource("transparencylogs").GroupResource(), logName, errors.New("no")))
	if err := advance(t, c.history(), checkpointOf(t, log, 5)); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Advance = %v; want ErrUnavailable", err)
	}
	gone := NewStatusHistory(&v1alpha1.TransparencyLog{ObjectMeta: metav1.ObjectMeta{Name: "another"}}, c, c, c.Status())
	if _, _, err := gone.Latest(t.Context(), log.Origin()); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("Latest of an object that does not exist = %v; want ErrUnavailable", err)
	}
}

// TestHistoryUnderRace has many writers in several replicas, all of which follow
// the prover's protocol. Whatever the order, no write is lost and no stored size
// is smaller than an earlier one.
func TestHistoryUnderRace(t *testing.T) {
	const replicas, writers, size = 4, 20, 60
	c, log := newCluster(t), grown(size)
	c.slow = time.Millisecond
	var sizes []int64
	var mu sync.Mutex
	histories := make([]*StatusHistory, replicas)
	for i := range histories {
		histories[i] = c.history()
	}
	next := make(chan tlog.Checkpoint, size)
	for n := 1; n <= size; n++ {
		next <- checkpointOf(t, log, n)
	}
	close(next)

	var group sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		group.Go(func() {
			h := histories[w%replicas]
			for checkpoint := range next {
				if err := follow(t.Context(), h, log, checkpoint); err != nil {
					errs <- err
					return
				}
				mu.Lock()
				sizes = append(sizes, c.object().Status.Checkpoint.Size)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	for i := 1; i < len(sizes); i++ {
		if sizes[i] < sizes[i-1] {
			t.Fatalf("the stored size went from %d to %d", sizes[i-1], sizes[i])
		}
	}
	if got := c.object().Status.Checkpoint.Size; got != size {
		t.Errorf("the stored size is %d in the end; want %d: a write was lost", got, size)
	}
}
