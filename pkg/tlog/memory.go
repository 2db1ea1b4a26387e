// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"strconv"
	"sync"
)

// MemoryHistory is a History that lasts as long as the process: the command
// line's, which trusts a log's first checkpoint unless it is seeded.
type MemoryHistory struct {
	mu         sync.Mutex
	notes      map[string]storedNote
	witnessed  map[string]string
	accusation error
}

type storedNote struct {
	note    string
	version uint64
}

// NewMemoryHistory returns an empty history.
func NewMemoryHistory() *MemoryHistory {
	return &MemoryHistory{notes: map[string]storedNote{}, witnessed: map[string]string{}}
}

// Seed stores a note for origin as it was stored elsewhere. The note is verified
// when it is first used.
func (h *MemoryHistory) Seed(origin, note string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes[origin] = storedNote{note: note, version: 1}
	delete(h.witnessed, origin)
}

// SeedWitnessed stores what Witnessed returns for origin, as it was stored elsewhere
// beside what Seed is given.
func (h *MemoryHistory) SeedWitnessed(origin, note string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.witnessed[origin] = note
}

// Latest implements History.
func (h *MemoryHistory) Latest(_ context.Context, origin string) (note []byte, version string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.accusation != nil {
		return nil, "", h.accusation
	}
	stored, ok := h.notes[origin]
	if !ok {
		return nil, "0", nil
	}
	return []byte(stored.note), strconv.FormatUint(stored.version, 10), nil
}

// Witnessed implements History.
func (h *MemoryHistory) Witnessed(_ context.Context, origin string) (note []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.accusation != nil {
		return nil, h.accusation
	}
	if stored, ok := h.witnessed[origin]; ok {
		return []byte(stored), nil
	}
	return nil, nil
}

// Turn implements History.
func (h *MemoryHistory) Turn(context.Context) (waited bool, err error) { return false, nil }

// Advance implements History.
func (h *MemoryHistory) Advance(_ context.Context, next Checkpoint, version string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	stored := h.notes[next.origin]
	if strconv.FormatUint(stored.version, 10) != version {
		return ErrConflict
	}
	h.notes[next.origin] = storedNote{note: next.note, version: stored.version + 1}
	if next.IsWitnessed() {
		h.witnessed[next.origin] = next.note
	}
	return nil
}

// Confirm implements History.
func (h *MemoryHistory) Confirm(context.Context, Checkpoint) error { return nil }

// Freshness implements History. What is known in memory does not age.
func (h *MemoryHistory) Freshness(context.Context) (Freshness, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Freshness{}, h.accusation
}

// Accuse implements History.
func (h *MemoryHistory) Accuse(_ context.Context, a, b Checkpoint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accusation = &InconsistencyError{A: a, B: b}
	return nil
}
