// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// maxWrites bounds how often one change is tried when other parts of the object
// keep changing under it.
const maxWrites = 8

// StatusHistory is the tlog.History of one log in the status of its
// TransparencyLog object, where every replica sees it. Reads come from the
// informer cache. A write carries the resourceVersion that it was decided on, so
// that the API server refuses it if anything changed in between. Safe for
// concurrent use, in one process and in many.
type StatusHistory struct {
	log string
	// uid tells the object from one of the same name that replaced it: what
	// was verified under the old one's key has no place in the new one.
	uid types.UID
	// reset is the reset that this history begins with, for the same reason.
	reset  string
	cached client.Reader
	live   client.Reader
	status client.SubResourceWriter
	now    func() time.Time

	// writing holds a token while this process writes: one write at a time, as
	// the others would lose the compare-and-swap in the API server, at its cost.
	writing chan struct{}

	mu sync.Mutex
	// seen is the newest state that this process read live or wrote. A cache
	// that shows less is behind.
	seen *v1alpha1.TransparencyLog
	// shown is what the store held when this process last looked, and shownAt
	// when it first held that.
	shown   string
	shownAt time.Time
	// unrecorded is an inconsistency that could not be written yet.
	unrecorded *tlog.InconsistencyError
}

// NewStatusHistory returns the history of the TransparencyLog log. cached
// reads from the informer cache and live from the API server; status writes the
// status subresource.
func NewStatusHistory(log *v1alpha1.TransparencyLog, cached, live client.Reader, status client.SubResourceWriter) *StatusHistory {
	return &StatusHistory{log: log.Name, uid: log.UID, reset: resetOf(log), cached: cached, live: live, status: status, now: time.Now, writing: make(chan struct{}, 1)}
}

// Latest implements tlog.History. The version names the object and the stored
// note, and is empty of meaning to anybody else. While an inconsistency is on
// record the error wraps tlog.ErrInconsistent; every other error wraps
// tlog.ErrUnavailable.
func (h *StatusHistory) Latest(ctx context.Context, origin string) (note []byte, version string, err error) {
	obj, err := h.unaccused(ctx)
	if err != nil {
		return nil, "", err
	}
	stored := find(&obj.Status, origin)
	if stored == nil {
		return nil, versionOf(obj, nil), nil
	}
	return []byte(stored.Note), versionOf(obj, stored), nil
}

// Witnessed implements tlog.History. Its errors are those of Latest.
func (h *StatusHistory) Witnessed(ctx context.Context, origin string) (note []byte, err error) {
	obj, err := h.unaccused(ctx)
	if err != nil {
		return nil, err
	}
	if stored := find(&obj.Status, origin); stored != nil && stored.Witnessed != nil {
		return []byte(stored.Witnessed.Note), nil
	}
	return nil, nil
}

// unaccused returns the newest state of the object that this process knows, or the
// error of Latest.
func (h *StatusHistory) unaccused(ctx context.Context) (*v1alpha1.TransparencyLog, error) {
	if pending := h.pending(); pending != nil {
		if err := h.record(ctx, pending); err != nil {
			// As text, not wrapped: that the API server is away does not make
			// a log that lies unavailable.
			return nil, fmt.Errorf("%w (not recorded yet: %s)", pending, err.Error())
		}
		return nil, pending
	}
	obj, err := h.readCached(ctx)
	if err == nil && h.isBehind(obj) {
		obj, err = h.readLive(ctx)
	}
	if err != nil {
		return nil, err
	}
	if obj.Status.Inconsistency != nil {
		return nil, inconsistencyError(obj)
	}
	return obj, nil
}

// Advance implements tlog.History. Besides tlog.ErrConflict, it refuses whatever
// would make the size of the stored checkpoint go down, or its root change.
// A checkpoint that is stored already is not written again, unless enough witnesses have
// cosigned it since.
func (h *StatusHistory) Advance(ctx context.Context, next tlog.Checkpoint, version string) error {
	if next.Size() > math.MaxInt64 {
		return fmt.Errorf("%w: %v has more entries than a status can say", tlog.ErrLimit, next)
	}
	return h.update(ctx, func(obj *v1alpha1.TransparencyLog) (bool, error) {
		stored := find(&obj.Status, next.Origin())
		if versionOf(obj, stored) != version {
			return false, tlog.ErrConflict
		}
		if obj.Status.Inconsistency != nil {
			return false, inconsistencyError(obj)
		}
		if stored != nil && stored.Size == sizeOf(next) && stored.RootHash == rootOf(next) {
			if !next.IsWitnessed() || stored.Note == next.Note() {
				return false, nil
			}
			sayWitnessed(stored, next, h.now())
			return true, nil
		}
		if stored != nil && stored.Size >= sizeOf(next) {
			return false, fmt.Errorf("%w: %v does not come after the stored size %d root %s",
				tlog.ErrInconsistent, next, stored.Size, stored.RootHash)
		}
		return true, store(&obj.Status, next, pinOfTree(&obj.Spec, next.Origin()), h.now())
	})
}

// Accuse implements tlog.History. The first evidence stands: later evidence is not
// written over it. Evidence that cannot be written now is kept in this process,
// which trusts the log no more, and is written as soon as that succeeds; until
// then the error wraps tlog.ErrUnavailable.
func (h *StatusHistory) Accuse(ctx context.Context, a, b tlog.Checkpoint) error {
	evidence := &tlog.InconsistencyError{A: a, B: b}
	h.mu.Lock()
	h.unrecorded = evidence
	h.mu.Unlock()
	return h.record(ctx, evidence)
}

// pending returns the evidence that is not written yet, or nil.
func (h *StatusHistory) pending() *tlog.InconsistencyError {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unrecorded
}

// record writes the evidence, unless there is some on record already.
func (h *StatusHistory) record(ctx context.Context, evidence *tlog.InconsistencyError) error {
	err := h.update(ctx, func(obj *v1alpha1.TransparencyLog) (bool, error) {
		if obj.Status.Inconsistency != nil {
			return false, nil
		}
		accuse(obj, evidence, h.now())
		return true, nil
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unrecorded == evidence {
		h.unrecorded = nil
	}
	return nil
}

// update reads the object, lets change edit its status and, if change says so,
// writes it on condition that nothing else was written meanwhile. When something
// was, it reads again from the API server and asks change again.
func (h *StatusHistory) update(ctx context.Context, change func(*v1alpha1.TransparencyLog) (write bool, err error)) error {
	select {
	case h.writing <- struct{}{}:
		defer func() { <-h.writing }()
	case <-ctx.Done():
		return h.unavailable("writing", context.Cause(ctx))
	}
	read := h.readCached
	isLive := false
	goLive := func() { read, isLive = h.readLive, true }
	for range maxWrites {
		obj, err := read(ctx)
		if err != nil {
			return err
		}
		if !isLive && h.isBehind(obj) {
			goLive()
			continue
		}
		changed := obj.DeepCopy()
		write, err := change(changed)
		// A cache may lag behind another replica: only a live conflict is one.
		if errors.Is(err, tlog.ErrConflict) && !isLive {
			goLive()
			continue
		}
		if err != nil || !write {
			return err
		}
		patch := client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{})
		err = h.status.Patch(ctx, changed, patch)
		if err == nil {
			h.notice(changed)
			h.setSeen(changed)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return h.unavailable("writing", err)
		}
		goLive()
	}
	return tlog.ErrConflict
}

func (h *StatusHistory) read(ctx context.Context, reader client.Reader) (*v1alpha1.TransparencyLog, error) {
	var obj v1alpha1.TransparencyLog
	if err := reader.Get(ctx, types.NamespacedName{Name: h.log}, &obj); err != nil {
		return nil, h.unavailable("reading", err)
	}
	if obj.UID != h.uid {
		return nil, h.unavailable("reading", errReplaced)
	}
	h.notice(&obj)
	return &obj, nil
}

func (h *StatusHistory) readCached(ctx context.Context) (*v1alpha1.TransparencyLog, error) {
	return h.read(ctx, h.cached)
}

// readLive reads from the API server. An object that was reset since this history began has
// a history of its own.
func (h *StatusHistory) readLive(ctx context.Context) (*v1alpha1.TransparencyLog, error) {
	obj, err := h.read(ctx, h.live)
	if err != nil {
		return nil, err
	}
	if resetOf(obj) != h.reset {
		return nil, h.unavailable("reading", errReset)
	}
	h.setSeen(obj)
	return obj, nil
}

// errReset: whoever loads the object makes it a history of its own.
var errReset = errors.New("the log was reset")

// errReplaced: another object has the name now. Whoever loads it makes it a history
// of its own.
var errReplaced = errors.New("the object was deleted and created anew")

func (h *StatusHistory) unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s the status of TransparencyLog %q: %w", tlog.ErrUnavailable, doing, h.log, err)
}

// setSeen remembers obj as the newest state. An operator's reset, read live,
// replaces what was there, too.
func (h *StatusHistory) setSeen(obj *v1alpha1.TransparencyLog) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = obj
}

// isBehind reports whether obj, from the cache, lacks something that this process
// knows to be stored.
func (h *StatusHistory) isBehind(obj *v1alpha1.TransparencyLog) bool {
	if resetOf(obj) != h.reset {
		return true // this process, or the cache
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		return false
	}
	if h.seen.Status.Inconsistency != nil && obj.Status.Inconsistency == nil {
		return true
	}
	for _, known := range checkpoints(&h.seen.Status) {
		shown := find(&obj.Status, known.Origin)
		if shown == nil || shown.Size < known.Size {
			return true
		}
	}
	return false
}

// versionOf identifies the stored checkpoint: which object, which note. The API
// server's compare-and-swap covers the whole object; a condition that was written
// meanwhile is no conflict, so the version is narrower than the resourceVersion.
func versionOf(obj *v1alpha1.TransparencyLog, stored *v1alpha1.LogCheckpoint) string {
	if stored == nil {
		return string(obj.UID) + " none"
	}
	sum := sha256.Sum256([]byte(stored.Note))
	return string(obj.UID) + " " + hex.EncodeToString(sum[:])
}
