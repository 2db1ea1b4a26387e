// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import "context"

// History keeps the last verified checkpoint of each origin of one log: the
// signed note, verbatim. It is what makes a rollback or a fork visible.
type History interface {
	// Latest returns the stored note for origin, or nil when this origin has
	// not been seen, and a version to hand back to Advance. It returns an
	// *InconsistencyError when an inconsistency has been recorded for the log,
	// and an error that wraps ErrUnavailable when the store does not answer.
	Latest(ctx context.Context, origin string) (note []byte, version string, err error)
	// Witnessed returns the largest stored note for origin that witnesses have
	// cosigned as the log's policy asks, or nil. Its errors are those of Latest.
	Witnessed(ctx context.Context, origin string) (note []byte, err error)
	// Turn returns when the store may be written again, since one that is read by
	// many sets a pace, and whether it had to wait for that. It returns ErrConflict
	// when somebody else was faster, and an error that wraps ErrUnavailable when
	// ctx ends first.
	Turn(ctx context.Context) (waited bool, err error)
	// Advance replaces the note stored for the checkpoint's origin, if the
	// version is still the one that Latest returned. It returns ErrConflict
	// when somebody else was faster: read again, verify again. A checkpoint of the
	// same size and root replaces the note, too: witnesses have cosigned it since.
	// One that IsWitnessed is also what Witnessed returns from then on.
	Advance(ctx context.Context, next Checkpoint, version string) error
	// Confirm notes that the log has just shown a checkpoint that is stored, so
	// that it counts as verified now. How often that is written down is the
	// store's affair. A checkpoint that is not the stored one changes nothing.
	Confirm(ctx context.Context, shown Checkpoint) error
	// Freshness returns when the log itself last showed its history. It returns
	// the errors of Latest.
	Freshness(ctx context.Context) (Freshness, error)
	// Accuse records a proven inconsistency: two notes, both signed by the
	// log, that cannot both be true.
	Accuse(ctx context.Context, a, b Checkpoint) error
}
