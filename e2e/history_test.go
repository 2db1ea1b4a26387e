// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
)

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func newClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(S(t).ControlPlane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheHistoryOfALogNeverGoesBackUnderRace has many writers in many replicas
// store growing checkpoints by compare-and-swap in a real API server. In whatever
// order they arrive, the size in status only grows, and ends as the largest.
func TestTheHistoryOfALogNeverGoesBackUnderRace(t *testing.T) {
	t.Parallel()
	withAPI(t)
	const replicas, writers, size = 5, 20, 100
	log := tlogtest.New("rekor.example")
	log.Grow(size)
	name := storedLog(t, log)
	c := newClient(t)
	identity, err := tlog.NewLog(tlog.Config{Name: name, Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	checkpoints := make(chan tlog.Checkpoint, size)
	for n := range size {
		checkpoint, err := identity.VerifyCheckpoint([]byte(log.Checkpoint(n + 1)))
		if err != nil {
			t.Fatal(err)
		}
		checkpoints <- checkpoint
	}
	close(checkpoints)

	var mu sync.Mutex
	var sizes []int64
	stored := func() int64 {
		var obj v1alpha1.TransparencyLog
		if err := c.Get(t.Context(), types.NamespacedName{Name: name}, &obj); err != nil {
			t.Error(err)
			return 0
		}
		return obj.Status.Checkpoint.Size
	}
	var group sync.WaitGroup
	var object v1alpha1.TransparencyLog
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &object); err != nil {
		t.Fatal(err)
	}
	histories := make([]*trust.StatusHistory, replicas)
	for i := range histories {
		histories[i] = trust.NewStatusHistory(&object, c, c, c.Status())
	}
	for w := range writers {
		group.Go(func() {
			for checkpoint := range checkpoints {
				if err := advance(t, histories[w%replicas], identity, checkpoint); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sizes = append(sizes, stored())
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for i := 1; i < len(sizes); i++ {
		if sizes[i] < sizes[i-1] {
			t.Fatalf("the size in status went from %d to %d", sizes[i-1], sizes[i])
		}
	}
	if got := stored(); got != size {
		t.Errorf("the size in status is %d in the end; want %d", got, size)
	}
}

// advance does with one checkpoint of an honest log what a prover does.
func advance(t *testing.T, history *trust.StatusHistory, log *tlog.Log, next tlog.Checkpoint) error {
	t.Helper()
	for {
		note, version, err := history.Latest(t.Context(), next.Origin())
		if err != nil {
			return err
		}
		if note != nil {
			stored, err := log.VerifyCheckpoint(note)
			if err != nil || stored.Size() >= next.Size() {
				return err
			}
		}
		if err := history.Advance(t.Context(), next, version); !errors.Is(err, tlog.ErrConflict) {
			return err
		}
	}
}
