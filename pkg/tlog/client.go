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
	// entry returns the entry with the given leaf hash, from the first replica whose
	// answer passes check. An error wraps ErrNotLogged when the log says that it has none.
	entry(ctx context.Context, leaf [32]byte, check func(*Entry) error) (*Entry, error)
	// views returns what each of the log's replicas shows, and waits for all of them. A
	// view has a note or an error.
	views(ctx context.Context) []view
	// trees offers accept what one replica after the other shows, that which grows
	// first, until it returns nil.
	trees(ctx context.Context, accept func(notes [][]byte) error) error

	consistencyProver
}

// consistencyProver is what a log must answer to show that two of its
// checkpoints belong to one history.
type consistencyProver interface {
	// consistencyProof offers check the proofs between two sizes of one tree,
	// 0 < first < last, that the replicas give, until it returns nil. Otherwise the
	// error wraps, for each replica, what check said, errRefused when it answered that
	// it has none, or ErrUnavailable when it did not answer.
	consistencyProof(ctx context.Context, treeID int64, first, last uint64, check func(hashes [][]byte) error) error
}

// errRefused: the log answered, and not with what it was asked for.
var errRefused = errors.New("log refused")
