// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	sumdb "golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

const (
	// tileHeight is that of all tiles: 256 hashes of 32 bytes.
	tileHeight = 8
	// maxKnownTiles bounds the tiles that are remembered: 8 MiB a log. Forgetting one
	// costs a request.
	maxKnownTiles = 1024
)

// tileID names a tile whatever its width.
type tileID struct {
	level int
	n     int64
}

// read calls what with the hashes of the tree that checkpoint, which is verified, commits
// to. Each hash was shown to be in that tree. When they cannot be, what is remembered or
// was served may be wrong: everything is then fetched once more, from another replica if
// there is one. now leaves aside what is remembered from the start.
//
// An error wraps errRefused when the log's answers do not make that tree, ErrUnavailable
// or ErrLimit when it did not answer.
func (t *TilesClient) read(ctx context.Context, checkpoint Checkpoint, now bool, what func(sumdb.HashReader) error) error {
	if checkpoint.size > maxTiledSize {
		return fmt.Errorf("%w: a tree of %d entries", ErrLimit, checkpoint.size)
	}
	tree := sumdb.Tree{N: int64(checkpoint.size), Hash: checkpoint.root}
	var err error
	for attempt := range 2 {
		tiles := tileReader{
			read: func(tiles []sumdb.Tile) ([][]byte, error) { return t.tiles(ctx, tiles, attempt, now || attempt > 0) },
			save: t.remember,
		}
		err = what(sumdb.TileHashReader(tree, tiles))
		if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLimit) {
			return err
		}
	}
	return fmt.Errorf("%w: the tiles of the tree of %d entries: %w", errRefused, checkpoint.size, err)
}

// tileReader implements sumdb.TileReader, whose methods take no context.
type tileReader struct {
	read func([]sumdb.Tile) ([][]byte, error)
	save func(sumdb.Tile, []byte)
}

// Height implements sumdb.TileReader.
func (tileReader) Height() int { return tileHeight }

// ReadTiles implements sumdb.TileReader.
func (r tileReader) ReadTiles(tiles []sumdb.Tile) ([][]byte, error) { return r.read(tiles) }

// SaveTiles implements sumdb.TileReader: these tiles were authenticated.
func (r tileReader) SaveTiles(tiles []sumdb.Tile, data [][]byte) {
	for i, tile := range tiles {
		r.save(tile, data[i])
	}
}

// remember keeps the widest form of a tile. One that is not the beginning of what is known
// is of another tree, the last one that was shown: a tile is authenticated each time it is
// used.
func (t *TilesClient) remember(tile sumdb.Tile, hashes []byte) {
	id := tileID{tile.L, tile.N}
	if known, ok := t.known.Get(id); !ok || !bytes.HasPrefix(known, hashes) {
		t.known.Add(id, hashes)
	}
}

// tiles returns the hashes of tiles, each as long as its tile: those that are remembered,
// unless fresh, and the others from the log, at the first attempt, 0, or the second.
func (t *TilesClient) tiles(ctx context.Context, tiles []sumdb.Tile, attempt int, fresh bool) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	var group errgroup.Group // one that fails does not stop the others, which may be waited for
	for i, tile := range tiles {
		length := tile.W * sumdb.HashSize
		if known, ok := t.known.Get(tileID{tile.L, tile.N}); ok && len(known) >= length && !fresh {
			all[i] = known[:length]
			continue
		}
		group.Go(func() (err error) {
			path := tilePath(tile)
			all[i], err = join(ctx, &t.flights, fmt.Sprintf("%s %d %t", path, attempt, fresh), func(ctx context.Context) ([]byte, error) {
				return t.fetch(ctx, tile, attempt)
			})
			return err
		})
	}
	return all, group.Wait()
}

// fetch asks for one tile. A log may delete a partial tile when it has the full one, which
// begins with it.
func (t *TilesClient) fetch(ctx context.Context, tile sumdb.Tile, attempt int) ([]byte, error) {
	hashes, err := t.get(ctx, tile, attempt)
	full := sumdb.Tile{H: tile.H, L: tile.L, N: tile.N, W: 1 << tileHeight}
	if err == nil || !isGone(err) || tile == full {
		return hashes, err
	}
	hashes, fullErr := t.get(ctx, full, attempt)
	if isGone(fullErr) {
		return nil, err // the tile that the tree calls for
	}
	if fullErr != nil {
		return nil, fullErr
	}
	return hashes[:tile.W*sumdb.HashSize], nil
}

// isGone reports whether a server says that there is no such file. Object stores say that
// it is forbidden to whoever may not list them.
func isGone(err error) bool {
	var status *statusError
	if !errors.As(err, &status) {
		return false
	}
	return slices.Contains([]int{http.StatusNotFound, http.StatusGone, http.StatusForbidden}, status.code)
}

// get asks for a tile with exactly its width of hashes.
func (t *TilesClient) get(ctx context.Context, tile sumdb.Tile, attempt int) ([]byte, error) {
	length := tile.W * sumdb.HashSize
	q := question{operation: OperationTile, path: tilePath(tile), maxBytes: int64(length), isFile: true, first: attempt}
	var hashes []byte
	err := t.endpoints.get(ctx, q, func(body []byte) error {
		if len(body) != length {
			return fmt.Errorf("%w: %s has %d bytes, not %d", errRefused, q.path, len(body), length)
		}
		hashes = body
		return nil
	})
	return hashes, err
}

// tilePath is where a tile is, below the log's base URL: tile/<L>/<N>[.p/<W>], with <N>
// in groups of three digits of which all but the last begin with "x".
func tilePath(tile sumdb.Tile) string {
	n := fmt.Sprintf("%03d", tile.N%1000)
	for rest := tile.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	path := fmt.Sprintf("tile/%d/%s", tile.L, n)
	if tile.W < 1<<tileHeight {
		path += fmt.Sprintf(".p/%d", tile.W)
	}
	return path
}
