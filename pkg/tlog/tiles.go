// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/singleflight"
)

// maxTiledSize bounds a tree that is read as tiles: 2^48 entries, which no log will have,
// are six levels of tiles, and far from what 64 bits cannot count.
const maxTiledSize = 1 << 48

// TilesClient reads a Rekor v2 log as tiles of hashes (https://c2sp.org/tlog-tiles) and
// computes from them what a Rekor v1 log answers. Checkpoints are the claim of whoever
// sits at the log's address, as everywhere; hashes are believed once they lead to the
// root of a checkpoint that the log signed, whoever served them. Safe for concurrent use.
type TilesClient struct {
	log       *Log
	endpoints *Endpoints
	// known holds tiles that were authenticated.
	known *lru.Cache[tileID, []byte]
	// flights joins concurrent requests for one tile.
	flights singleflight.Group
}

// NewTilesClient returns a client for log, whose tiles are served at endpoints: their
// base URLs are such that /checkpoint and /tile/… can be appended.
func NewTilesClient(log *Log, endpoints *Endpoints) *TilesClient {
	known, err := lru.New[tileID, []byte](maxKnownTiles)
	if err != nil {
		panic(err) // the size is positive
	}
	return &TilesClient{log: log, endpoints: endpoints, known: known}
}

// views implements Client. A Rekor v2 log is one tree: a new shard is another log, with
// another name.
func (t *TilesClient) views(ctx context.Context) []view {
	q := checkpointQuestion()
	q.patient = true
	return t.endpoints.each(ctx, q, parseNote)
}

// trees implements Client.
func (t *TilesClient) trees(ctx context.Context, accept func([][]byte) error) error {
	return t.endpoints.get(ctx, checkpointQuestion(), func(body []byte) error {
		notes, err := parseNote(body)
		if err != nil {
			return err
		}
		return accept(notes)
	})
}

func checkpointQuestion() question {
	return question{operation: OperationCheckpoint, path: "checkpoint", maxBytes: maxNoteBytes}
}

// parseNote tells a signed note from a page that somebody else serves.
func parseNote(body []byte) ([][]byte, error) {
	if !bytes.Contains(body, []byte("\n\n— ")) { // where a note's signatures begin
		return nil, fmt.Errorf("%w: the answer is no checkpoint", ErrUnavailable)
	}
	return [][]byte{body}, nil
}

// showPrefix implements Client. The root of every prefix of newer follows from its tiles,
// so that a fork is proven at any size.
func (t *TilesClient) showPrefix(ctx context.Context, older, newer Checkpoint, now bool) error {
	if older.size == 0 || older.size >= newer.size {
		return fmt.Errorf("%w: size %d is no prefix of size %d", ErrInconsistent, older.size, newer.size)
	}
	var root sumdb.Hash
	err := t.read(ctx, newer, now, func(tree sumdb.HashReader) (err error) {
		root, err = sumdb.TreeHash(int64(older.size), tree) //nolint:gosec // smaller than newer, which read bounds
		return err
	})
	switch {
	case errors.Is(err, errRefused) && !errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w: the log cannot show that size %d is a prefix of size %d of %q: %w",
			ErrInconsistent, older.size, newer.size, newer.origin, err)
	case err != nil:
		return err
	case root != older.root:
		return &InconsistencyError{A: older, B: newer}
	default:
		return nil
	}
}

// entry implements Client. Tiles are read by index: what they have of an entry is its leaf
// hash and where it stands.
func (t *TilesClient) entry(ctx context.Context, leaf [32]byte, index int64, check func(*Entry) error) (*Entry, error) {
	checkpoint, err := t.checkpointOver(ctx, index)
	if err != nil {
		return nil, err
	}
	hashes, err := t.prove(ctx, checkpoint, leaf, index)
	if err != nil {
		return nil, err
	}
	entry := t.entryOf(checkpoint, index, hashes)
	return entry, check(entry)
}

// entryAt implements Client. The leaf hash is what the log's tree has at the index.
func (t *TilesClient) entryAt(ctx context.Context, index int64, check func([32]byte, *Entry) error) (leaf [32]byte, entry *Entry, err error) {
	checkpoint, err := t.checkpointOver(ctx, index)
	if err != nil {
		return leaf, nil, err
	}
	var hashes []sumdb.Hash
	err = t.read(ctx, checkpoint, false, func(tree sumdb.HashReader) (err error) {
		hashes, err = tree.ReadHashes([]int64{sumdb.StoredHashIndex(0, index)})
		return err
	})
	if err != nil {
		return leaf, nil, notShown(err)
	}
	leaf = hashes[0]
	path, err := t.prove(ctx, checkpoint, leaf, index)
	if err != nil {
		return leaf, nil, err
	}
	entry = t.entryOf(checkpoint, index, path)
	return leaf, entry, check(leaf, entry)
}

// entryOf is what tiles have of an entry.
func (t *TilesClient) entryOf(checkpoint Checkpoint, index int64, path [][]byte) *Entry {
	return &Entry{
		LogID:     t.log.id[:],
		LogIndex:  index,
		Inclusion: &Inclusion{Index: index, Hashes: path, Checkpoint: checkpoint.note},
	}
}

// checkpointOver returns a checkpoint that the log shows now and that holds the entry with
// this index. A replica may lag, so that all say that there is none before that is
// ErrNotLogged.
func (t *TilesClient) checkpointOver(ctx context.Context, index int64) (Checkpoint, error) {
	var found Checkpoint
	err := t.trees(ctx, func(notes [][]byte) error {
		shown, err := t.log.open(notes[0])
		if err != nil {
			return err
		}
		if index < 0 || uint64(index) >= shown.size {
			return fmt.Errorf("%w: the signature names entry number %d of %d", ErrNotLogged, index, shown.size)
		}
		found = shown
		return nil
	})
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, ErrUnavailable), errors.Is(err, errRefused):
		return Checkpoint{}, fmt.Errorf("%w: %s", ErrUnavailable, err.Error()) // whatever the others say
	default:
		return Checkpoint{}, err
	}
}

// prove returns the audit path of the entry with this index, which must be leaf.
func (t *TilesClient) prove(ctx context.Context, checkpoint Checkpoint, leaf [32]byte, index int64) ([][]byte, error) {
	size := int64(checkpoint.size) //nolint:gosec // read bounds it
	var path sumdb.RecordProof
	err := t.read(ctx, checkpoint, false, func(tree sumdb.HashReader) (err error) {
		path, err = sumdb.ProveRecord(size, index, tree)
		return err
	})
	if err != nil {
		return nil, notShown(err)
	}
	// The path is that of whatever is at the index: it was read from the tree.
	if sumdb.CheckRecord(path, size, sumdb.Hash(checkpoint.root), index, leaf) != nil {
		return nil, fmt.Errorf("%w: entry number %d of the log is another one", ErrEntryMismatch, index)
	}
	hashes := make([][]byte, len(path))
	for i := range path {
		hashes[i] = path[i][:]
	}
	return hashes, nil
}

// notShown is what it means for a question about an entry that the tiles of a tree could not
// be read: a log that does not show what it has signed says nothing about the entry.
func notShown(err error) error {
	if errors.Is(err, errRefused) {
		return fmt.Errorf("%w: the log does not show what its checkpoint commits to: %w", ErrUnavailable, err)
	}
	return err
}
