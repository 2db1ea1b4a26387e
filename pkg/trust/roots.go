// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// askTimeout bounds one attempt to read a TUF mirror.
const askTimeout = 10 * time.Second

// Roots is the index of TrustRoot objects: for each, what it holds, parsed once a
// change. Safe for concurrent use.
type Roots struct {
	configMaps ConfigMapReader
	http       *http.Client
	now        func() time.Time

	// setting lets one Set through at a time, so that of two the one that read
	// its ConfigMap later wins.
	setting sync.Mutex
	mu      sync.RWMutex
	roots   map[string]configuredRoot
}

// configuredRoot is one TrustRoot: what it holds, or why it holds nothing.
type configuredRoot struct {
	uid        types.UID
	generation int64
	// fingerprint is that of all that was written, by which a change is known.
	fingerprint string
	// source reads it again. Nil when the object makes no sense.
	source rootSource
	held   heldRoot
	// err is why nothing is held.
	err error
	// stale is why what is held is not what the source says now.
	stale error
}

// heldRoot is what a source said last.
type heldRoot struct {
	trusted *root.TrustedRoot
	// tuf are the versions it came in; the zero value outside of TUF.
	tuf TUFVersions
	// endings are the ends of TUF's roles. After the first one nothing is
	// believed any more.
	endings []Ending
	// at is when the source said it.
	at time.Time
}

// rootSource reads what a TrustRoot refers to.
type rootSource interface {
	// read returns what the source says now, or an error; previous is what it
	// said before, than which TUF metadata may not be older.
	read(ctx context.Context, previous TUFVersions) (heldRoot, error)
	// isRemote reports whether reading it asks somebody.
	isRemote() bool
}

// NewRoots returns an empty index. ConfigMaps that objects refer to are read from
// configMaps.
func NewRoots(configMaps ConfigMapReader) *Roots {
	return &Roots{
		configMaps: configMaps,
		http:       &http.Client{Transport: transport(), Timeout: askTimeout},
		now:        time.Now,
		roots:      map[string]configuredRoot{},
	}
}

// RootsFromObjects returns an index without a cluster, for the command line. A
// trust root that cannot be used is known, and Root is an error, as in a cluster.
func RootsFromObjects(ctx context.Context, objects []v1alpha1.TrustRoot, configMaps ConfigMapReader) *Roots {
	roots := NewRoots(configMaps)
	for i := range objects {
		// The error is kept, and returned to whoever asks for the root.
		_ = roots.Set(ctx, &objects[i])
	}
	return roots
}

// Set adds the trust root, or replaces the one of that name; what is written the
// same as before is not read again. A TUF mirror is asked here once, when it is
// new; Refresh asks it from then on. Its error says why the trust root cannot be
// used; it is then known, and Root returns that error, wrapped in ErrRootNotReady.
func (r *Roots) Set(ctx context.Context, obj *v1alpha1.TrustRoot) error {
	r.setting.Lock()
	defer r.setting.Unlock()
	previous, known := r.get(obj.Name)
	if known && previous.uid == obj.UID && previous.generation > obj.Generation {
		return previous.err
	}
	next := configuredRoot{uid: obj.UID, generation: obj.Generation}
	next.source, next.fingerprint, next.err = r.sourceOf(ctx, obj)
	switch {
	case known && previous.source != nil && next.source != nil && previous.uid == next.uid && previous.fingerprint == next.fingerprint:
		next = previous
		next.generation = obj.Generation
	case next.source != nil:
		next = r.reread(ctx, next, seenVersions(obj))
	}
	r.put(obj.Name, next)
	return next.err
}

// Refresh reads a trust root's source again, and reports whether what it holds,
// or whether it can be used, has changed. What cannot be read again stays as it
// was, until it expires; the error says why.
func (r *Roots) Refresh(ctx context.Context, name string) (changed bool, err error) {
	before, ok := r.get(name)
	if !ok || before.source == nil {
		return false, before.err
	}
	after := before
	if before.source.isRemote() {
		after = r.reread(ctx, before, before.held.tuf)
	} else if before.held.trusted != nil && ended(before.held, r.now()) {
		after.held, after.err = heldRoot{}, fmt.Errorf("%w: %s", ErrExpired, before.held.endings[0].What)
	}
	if !r.swap(name, before, after) {
		return false, nil // it was replaced meanwhile
	}
	changed = before.held.trusted != after.held.trusted || (before.err == nil) != (after.err == nil)
	if after.err != nil {
		return changed, after.err
	}
	return changed, after.stale
}

// reread asks the source of c, and returns c with what it says, or with why it
// does not.
func (r *Roots) reread(ctx context.Context, c configuredRoot, floor TUFVersions) configuredRoot {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	held, err := c.source.read(ctx, floor)
	switch {
	case err == nil && c.held.trusted != nil && held.tuf == c.held.tuf && held.tuf != (TUFVersions{}):
		// The same versions are the same bytes: policies need not be compiled again.
		held.trusted = c.held.trusted
		fallthrough
	case err == nil:
		c.held, c.err, c.stale = held, nil, nil
	case c.held.trusted != nil && !ended(c.held, r.now()):
		c.stale = err
	case c.held.trusted != nil:
		c.held.trusted, c.stale = nil, nil
		c.err = fmt.Errorf("%w: %s; and it could not be read again: %w", ErrExpired, c.held.endings[0].What, err)
	default:
		c.err, c.stale = err, nil
	}
	return c
}

// ended reports whether TUF metadata is past its end.
func ended(held heldRoot, now time.Time) bool {
	return len(held.endings) > 0 && !now.Before(held.endings[0].At)
}

func (r *Roots) get(name string) (configuredRoot, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	configured, ok := r.roots[name]
	return configured, ok
}

func (r *Roots) put(name string, configured configuredRoot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roots[name] = configured
}

// swap puts after in place of before, unless another object or another source took
// its place.
func (r *Roots) swap(name string, before, after configuredRoot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, ok := r.roots[name]
	if !ok || now.uid != before.uid || now.fingerprint != before.fingerprint {
		return false
	}
	after.generation = now.generation
	r.roots[name] = after
	return true
}

// Delete forgets the trust root of that name.
func (r *Roots) Delete(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.roots, name)
}

// Names returns the names of all trust roots that are known, in no order.
func (r *Roots) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Keys(r.roots))
}

// Root returns what the named trust root holds. Its error wraps ErrRootNotFound,
// or ErrRootNotReady and the cause.
func (r *Roots) Root(name string) (root.TrustedMaterial, error) {
	configured, ok := r.get(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %q", ErrRootNotFound, name)
	case configured.err != nil:
		return nil, fmt.Errorf("%w: %q: %w", ErrRootNotReady, name, configured.err)
	case ended(configured.held, r.now()):
		return nil, fmt.Errorf("%w: %q: %w: %s", ErrRootNotReady, name, ErrExpired, configured.held.endings[0].What)
	}
	return configured.held.trusted, nil
}

// RootState is what is known of a trust root.
type RootState struct {
	// Generation is the one of the object that is in force.
	Generation int64
	// Counts is how much it holds.
	Counts RootCounts
	// Err is why it cannot be used; nil when it can.
	Err error
	// Stale is why what it holds is not what its source says now; nil when it is.
	Stale error
	// ReadAt is when its source said what it holds.
	ReadAt time.Time
	// Endings is what ends, the first end first.
	Endings []Ending
	// TUF are the versions of the metadata; the zero value outside of TUF.
	TUF TUFVersions
	// Logs are its transparency logs by the hexadecimal form of their ID.
	Logs map[string]*root.TransparencyLog
}

// State returns what is known of the trust root that obj is, and false when this
// generation of it has not been set yet.
func (r *Roots) State(obj *v1alpha1.TrustRoot) (RootState, bool) {
	configured, ok := r.get(obj.Name)
	if !ok || configured.uid != obj.UID || configured.generation < obj.Generation {
		return RootState{}, false
	}
	state := RootState{
		Generation: configured.generation, Counts: countsOf(configured.held.trusted), Err: configured.err, Stale: configured.stale,
		ReadAt: configured.held.at, Endings: slices.Clone(configured.held.endings), TUF: configured.held.tuf,
	}
	if state.Stale != nil {
		// What is signed anew all the time is not, as long as nobody can be asked.
		for i := range state.Endings {
			state.Endings[i].Soon = soon
		}
	}
	if state.Err == nil && ended(configured.held, r.now()) {
		state.Err = fmt.Errorf("%w: %s", ErrExpired, configured.held.endings[0].What)
	}
	if configured.held.trusted != nil {
		state.Endings = append(state.Endings, endingsOf(configured.held.trusted, r.now())...)
		state.Logs = configured.held.trusted.RekorLogs()
	}
	sortEndings(state.Endings)
	return state, true
}
