// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

const logName = "corp"

// cluster is a fake API server with one TransparencyLog.
type cluster struct {
	client.WithWatch
	t *testing.T
	// writes counts the writes that were tried, and stored those that were not
	// refused.
	writes, stored int
	mu             sync.Mutex
	// failWrites, when set, is what every write of a status returns.
	failWrites error
	// slow is how long a write takes to arrive, which is when others get ahead.
	slow time.Duration
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t}
	obj := &v1alpha1.TransparencyLog{ObjectMeta: metav1.ObjectMeta{Name: logName, UID: "1"}}
	c.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(obj).WithObjects(obj).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: c.patch}).Build()
	return c
}

func (c *cluster) patch(ctx context.Context, inner client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	c.mu.Lock()
	failure := c.failWrites
	c.writes++
	c.mu.Unlock()
	if failure != nil {
		return failure
	}
	time.Sleep(c.slow)
	err := inner.SubResource(sub).Patch(ctx, obj, patch, opts...)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stored++
	}
	return err
}

func (c *cluster) failing(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failWrites = err
}

func (c *cluster) object() *v1alpha1.TransparencyLog {
	c.t.Helper()
	var obj v1alpha1.TransparencyLog
	if err := c.Get(c.t.Context(), types.NamespacedName{Name: logName}, &obj); err != nil {
		c.t.Fatal(err)
	}
	return &obj
}

func (c *cluster) history() *StatusHistory {
	return NewStatusHistory(c.object(), c, c, c.Status())
}

// behind returns a history whose cache shows the object as it is now, for ever.
func (c *cluster) behind() *StatusHistory {
	return NewStatusHistory(c.object(), frozen{c, c.object()}, c, c.Status())
}

// frozen is an informer cache that lags.
type frozen struct {
	client.Reader
	obj *v1alpha1.TransparencyLog
}

func (f frozen) Get(_ context.Context, _ types.NamespacedName, into client.Object, _ ...client.GetOption) error {
	f.obj.DeepCopyInto(into.(*v1alpha1.TransparencyLog))
	return nil
}

// checkpointOf returns the checkpoint of a test log at a size.
func checkpointOf(t *testing.T, log *tlogtest.Log, size int) tlog.Checkpoint {
	t.Helper()
	identity, err := tlog.NewLog(tlog.Config{Name: logName, Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := identity.VerifyCheckpoint([]byte(log.Checkpoint(size)))
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

func grown(size int) *tlogtest.Log {
	log := tlogtest.New("rekor.test")
	log.Grow(size)
	return log
}

// advance does what a prover does: read, decide, write.
func advance(t *testing.T, h *StatusHistory, next tlog.Checkpoint) error {
	t.Helper()
	_, version, err := h.Latest(t.Context(), next.Origin())
	if err != nil {
		return err
	}
	return h.Advance(t.Context(), next, version)
}

func mustAdvance(t *testing.T, h *StatusHistory, next tlog.Checkpoint) {
	t.Helper()
	if err := advance(t, h, next); err != nil {
		t.Fatal(err)
	}
}

// follow does what a prover does with one checkpoint of an honest log.
func follow(ctx context.Context, h *StatusHistory, log *tlogtest.Log, checkpoint tlog.Checkpoint) error {
	for range 1000 {
		note, version, err := h.Latest(ctx, log.Origin())
		if err != nil {
			return err
		}
		var stored tlog.Checkpoint
		if note != nil {
			identity, err := tlog.NewLog(tlog.Config{Name: logName, Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey()})
			if err != nil {
				return err
			}
			if stored, err = identity.VerifyCheckpoint(note); err != nil {
				return err
			}
		}
		if stored.Size() >= checkpoint.Size() {
			return nil
		}
		err = h.Advance(ctx, checkpoint, version)
		if !errors.Is(err, tlog.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("no progress towards %v", checkpoint)
}
