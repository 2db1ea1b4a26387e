// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// restored dumps the log's database, lets the log grow, and restores the dump into
// another database, with a Trillian and a rekor-server of its own: the log as it was.
//
// Beside the log itself that is a replica that lags, and nothing is wrong with it. In
// its place it is a log that has gone back: found, and denied, also when it has grown
// again and is another one from there on.
func restored(t *testing.T, l *mariaLog) {
	t.Helper()
	namespace, proxy := newNamespace(t), newLogProxy(t, l.replicas[0])
	log := newLog(t, l.replicas[0], proxy.URL)
	seen, unseen := l.covered(t, log, stack.SignOptions{}), l.covered(t, log, stack.SignOptions{})
	admitted(t, runPod(t, namespace, "seen", seen.Ref()))
	backup, err := l.db.Dump(t.Context(), "trillian")
	if err != nil {
		t.Fatal(err)
	}
	lost := l.covered(t, log, stack.SignOptions{})
	for range 3 {
		grow(t, l.replicas[0])
	}
	older := l.fromBackup(t, backup)

	lagging := newName(t)
	applied(t, "transparencylog/"+lagging, stack.TransparencyLogOf(l.replicas[0], lagging, false, older.URL, l.replicas[0].URL))
	l.works(t, lagging)
	newPolicy(t, lost.Registry+"/"+lost.Repository, S(t).Key, lagging)
	admitted(t, runPod(t, namespace, "logged-after-the-backup", lost.Ref()))
	newer := copyImage(t, lost, S(t).Registry)
	storedEvidence(t, lost, stack.Legacy).layBeside(t, newer)
	newPolicy(t, newer.Registry+"/"+newer.Repository, S(t).Key, log)

	l.awaitSeen(t, log)
	proxy.SetHook(stack.Forward(older.URL))
	awaitCondition(t, log, "Consistent", "False LogInconsistent")
	stored := logStatus(t, log).Checkpoint.Size // others add to the log meanwhile
	awaitCondition(t, log, "Ready", "False LogInconsistent")
	added := pushImage(t, S(t).Registry)
	sign(t, added, stack.SignOptions{Log: older})
	newPolicy(t, added.Registry+"/"+added.Repository, S(t).Key, log)
	refused(t, runPod(t, namespace, "added-since", added.Ref()), "CheckpointInconsistent")
	// It was in the log before, too, but what the log shows of it now is another tree.
	refused(t, runPod(t, namespace, "unseen", unseen.Ref()), "CheckpointInconsistent")
	// What leads to the history that was seen goes on being admitted: that is not in doubt.
	admitted(t, runPod(t, namespace, "seen-before-it-went-back", seen.Ref()))
	if status := logStatus(t, log); status.Inconsistency != nil || status.Checkpoint.Size != stored {
		t.Errorf("status has evidence %+v and size %d, want none and %d", status.Inconsistency, status.Checkpoint.Size, stored)
	}

	// It grows past what was seen: now it has signed two histories.
	for statusSize(t, older) <= stored {
		grow(t, older)
	}
	eventually(t, "evidence", func() bool { return logStatus(t, log).Inconsistency != nil })
	if notes := logStatus(t, log).Inconsistency.Notes; len(notes) != 2 || notes[0] == notes[1] {
		t.Errorf("the evidence is %q", notes)
	}
	refused(t, runPod(t, namespace, "seen-and-caught", seen.Ref()), "CheckpointInconsistent", "inconsistency on record")

	// An operator decides that this is the log from now on, as docs/logs.md says.
	resetTo(t, log, older, "restored from the backup")
	awaitCondition(t, log, "Ready", "True Succeeded")
	awaitCondition(t, log, "Consistent", "True Succeeded")
	for name, image := range map[string]stack.Image{"seen-and-reset": seen, "unseen-and-reset": unseen, "added-and-reset": added} {
		admitted(t, runPod(t, namespace, name, image.Ref()))
	}
	refused(t, runPod(t, namespace, "lost", newer.Ref()), "NotLogged")
}

// resetTo names both histories, the one that was seen and the one that a Rekor shows, and
// has countersign give up the one for the other.
func resetTo(t *testing.T, log string, rekor *stack.Rekor, reason string) {
	t.Helper()
	stored := logStatus(t, log).Checkpoint
	_, body := get(t, rekor.URL+"/api/v1/log")
	var info struct {
		TreeSize int64
		RootHash string
	}
	decodeInto(t, []byte(body), &info)
	out, err := S(t).Run(t.Context(), nil, S(t).Countersign.Binary, "log", "reset", log, "--kubeconfig", S(t).ControlPlane.Kubeconfig,
		"--stored", fmt.Sprintf("%d:%s", stored.Size, stored.RootHash), "--accepted", fmt.Sprintf("%d:%s", info.TreeSize, info.RootHash), "--reason", reason)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Err(); err != nil {
		t.Error(err)
	}
}

// fromBackup starts a rekor-server of the log as it was when it was dumped.
func (l *mariaLog) fromBackup(t *testing.T, backup string) *stack.Rekor {
	t.Helper()
	if err := l.db.Restore(t.Context(), "older", backup); err != nil {
		t.Fatal(err)
	}
	trillian, err := S(t).StartTrillian(t.Context(), "trillian-older", l.db, "older")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trillian.Stop)
	rekor, err := S(t).StartRekorWith(t.Context(), "rekor-older", stack.RekorOptions{Trillian: trillian, ReplicaOf: l.replicas[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	return rekor
}

// awaitSeen waits until a TransparencyLog holds the log's size.
func (l *mariaLog) awaitSeen(t *testing.T, log string) {
	t.Helper()
	size := statusSize(t, l.replicas[0])
	eventually(t, "the log to be seen at its size", func() bool { return logStatus(t, log).Checkpoint.Size >= size })
}

// statusSize is the size that a Rekor shows.
func statusSize(t *testing.T, rekor *stack.Rekor) int64 {
	t.Helper()
	_, body := get(t, rekor.URL+"/api/v1/log")
	var info struct{ TreeSize int64 }
	decodeInto(t, []byte(body), &info)
	return info.TreeSize
}
