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
	// showPrefix returns nil when the log shows that older is a prefix of newer, a larger
	// tree of the same origin; an *InconsistencyError when it is proven that it is not;
	// an error that wraps ErrInconsistent when neither can be shown, and ErrUnavailable
	// or ErrLimit when the log did not answer.
	showPrefix(ctx context.Context, older, newer Checkpoint) error
}

// errRefused: the log answered, and not with what it was asked for.
var errRefused = errors.New("log refused")
