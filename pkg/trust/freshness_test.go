// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// TestAQuietLogCostsFewWrites: a log that is polled every second and shows nothing
// new for a day is known to be fresh all the time, in every replica, and written
// down ten times an hour.
func TestAQuietLogCostsFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := newCluster(t), grown(7)
		polling, reading := c.history(), c.history()
		shown := checkpointOf(t, log, 7)
		mustAdvance(t, polling, shown)
		c.writes = 0
		var oldest time.Duration
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if err := polling.Confirm(t.Context(), shown); err != nil {
				t.Fatal(err)
			}
			known, err := reading.Freshness(t.Context())
			if err != nil || known.Stale(time.Now()) {
				t.Fatalf("Freshness = %+v, %v; want a log that is fresh", known, err)
			}
			oldest = max(oldest, time.Since(known.VerifiedAt))
		}
		if want := 24 * confirmations; c.writes != want {
			t.Errorf("%d writes in a day; want %d", c.writes, want)
		}
		if oldest > time.Hour/confirmations {
			t.Errorf("what replicas know was up to %v old", oldest)
		}
	})
}

func TestALogThatNobodyPollsBecomesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := newCluster(t), grown(7)
		mustAdvance(t, c.history(), checkpointOf(t, log, 7))
		for after, want := range map[time.Duration]bool{30 * time.Minute: false, 61 * time.Minute: true} {
			known, err := c.history().Freshness(t.Context())
			if err != nil || known.Stale(time.Now().Add(after)) != want {
				t.Errorf("after %v Freshness = %+v, %v; want stale to be %v", after, known, err, want)
			}
		}
		obj := c.object()
		obj.Spec.MaxStaleness = &metav1.Duration{Duration: 2 * time.Hour}
		if err := c.Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		if known, err := c.history().Freshness(t.Context()); err != nil || known.Limit != 2*time.Hour {
			t.Errorf("Freshness = %+v, %v; want the limit that was just written", known, err)
		}
	})
}

func TestWhatConfirmsALog(t *testing.T) {
	log := grown(9)
	fork := log.Fork(3)
	fork.Grow(4)
	other := grown(7)
	other.TreeID = 99
	for name, test := range map[string]struct {
		shown tlog.Checkpoint
		want  bool
	}{
		"what is stored":                  {checkpointOf(t, log, 7), true},
		"less than what is stored":        {checkpointOf(t, log, 6), false},
		"another tree of the same size":   {checkpointOf(t, fork, 7), false},
		"a tree of which nothing is kept": {checkpointOf(t, other, 7), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				mustAdvance(t, c.history(), checkpointOf(t, log, 7))
				time.Sleep(50 * time.Minute)
				if err := c.history().Confirm(t.Context(), test.shown); err != nil {
					t.Fatal(err)
				}
				known, err := c.history().Freshness(t.Context())
				if err != nil || (time.Since(known.VerifiedAt) < time.Minute) != test.want {
					t.Errorf("Freshness = %+v, %v; want confirmed to be %v", known, err, test.want)
				}
			})
		})
	}
}

// TestAClockThatWentWrongIsMended: a time in the future would keep a log fresh that
// nobody can reach.
func TestAClockThatWentWrongIsMended(t *testing.T) {
	c, log := newCluster(t), grown(7)
	shown := checkpointOf(t, log, 7)
	mustAdvance(t, c.history(), shown)
	obj := c.object()
	obj.Status.Checkpoint.VerifiedAt = metav1.NewTime(time.Now().AddDate(1, 0, 0))
	if err := c.Status().Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if err := c.history().Confirm(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	if known, err := c.history().Freshness(t.Context()); err != nil || known.Stale(time.Now()) {
		t.Errorf("Freshness = %+v, %v; want a log that was verified now", known, err)
	}
}

// TestConfirmReachesAReplicaWhoseCacheLags: what this process wrote counts at once.
func TestConfirmReachesAReplicaWhoseCacheLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := newCluster(t), grown(7)
		shown := checkpointOf(t, log, 7)
		mustAdvance(t, c.history(), shown)
		lagging := c.behind()
		time.Sleep(2 * time.Hour)
		if err := lagging.Confirm(t.Context(), shown); err != nil {
			t.Fatal(err)
		}
		if known, err := lagging.Freshness(t.Context()); err != nil || known.Stale(time.Now()) {
			t.Errorf("Freshness = %+v, %v; want what was just written", known, err)
		}
	})
}

func TestACaughtLogIsNotFresh(t *testing.T) {
	c, log := newCluster(t), grown(10)
	fork := log.Fork(3)
	fork.Grow(7)
	mustAdvance(t, c.history(), checkpointOf(t, log, 10))
	if err := c.history().Accuse(t.Context(), checkpointOf(t, log, 10), checkpointOf(t, fork, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.history().Freshness(t.Context()); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("Freshness = %v; want ErrInconsistent", err)
	}
}
