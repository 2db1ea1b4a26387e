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
	// entry returns the entry with the given leaf hash. An error wraps ErrNotLogged
	// when the log says that it has none.
	entry(ctx context.Context, leaf [32]byte) (*Entry, error)
	// latest returns the signed note of the latest checkpoint, of the tree that grows.
	latest(ctx context.Context) ([]byte, error)
	// trees returns the signed note of the latest checkpoint of each of the log's trees,
	// that which grows first.
	trees(ctx context.Context) ([][]byte, error)

	consistencyProver
}

// consistencyProver is what a log must answer to show that two of its
// checkpoints belong to one history.
type consistencyProver interface {
	// consistencyProof returns the proof between two sizes of one tree,
	// 0 < first < last. An error wraps errRefused when the log answered that it
	// has none, and ErrUnavailable when it did not answer.
	consistencyProof(ctx context.Context, treeID int64, first, last uint64) ([][]byte, error)
}

// errRefused: the log answered, and not with what it was asked for.
var errRefused = errors.New("log refused")
