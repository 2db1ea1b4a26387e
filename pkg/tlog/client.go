// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"errors"
)

// Client asks one log. Nothing that it returns is verified: its answers are the claims
// of whoever sits at the log's address. Clients are made by this package.
type Client interface {
	// entry returns what the log has of the entry with the given leaf hash, with its
	// inclusion proof, from the first replica whose answer passes check. index is the one
	// that the signature names; Rekor v1 finds an entry without. An error wraps
	// ErrNotLogged when the log has no such entry.
	entry(ctx context.Context, leaf [32]byte, index int64, check func(*Entry) error) (*Entry, error)
	// entryAt is entry for an index, which for Rekor v1 counts over all shards. check is
	// given the leaf hash of the entry that the log has there.
	entryAt(ctx context.Context, index int64, check func(leaf [32]byte, entry *Entry) error) (leaf [32]byte, entry *Entry, err error)
	// views returns what each of the log's replicas shows, and waits for all of them. A
	// view has a note or an error.
	views(ctx context.Context) []view
	// trees offers accept what one replica after the other shows, that which grows
	// first, until it returns nil.
	trees(ctx context.Context, accept func(notes [][]byte) error) error
	// showPrefix returns nil when the log shows that older is a prefix of newer, a larger
	// tree of the same origin; an *InconsistencyError when it is proven that it is not;
	// an error that wraps ErrInconsistent when neither can be shown, and ErrUnavailable
	// or ErrLimit when the log did not answer. now asks whether it can show that now:
	// what is remembered of it does not count.
	showPrefix(ctx context.Context, older, newer Checkpoint, now bool) error
}

// NewClient returns the client for log, of the kind that its version asks for. The base
// URLs of endpoints are without /api for Rekor v1, and those below which /checkpoint and
// /tile/… are found for Rekor v2.
func NewClient(log *Log, endpoints *Endpoints) Client {
	if log.version == RekorV2 {
		return NewTilesClient(log, endpoints)
	}
	return NewRekorV1Client(endpoints)
}

// errRefused: the log answered, and not with what it was asked for.
var errRefused = errors.New("log refused")
