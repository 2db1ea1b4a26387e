// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlogtest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

const (
	// tileHeight is the number of levels of the tree that a tile stands for.
	tileHeight = 8
	// tileWidth is the number of hashes in a full tile, https://c2sp.org/tlog-tiles.
	tileWidth = 1 << tileHeight
)

// NewTiled returns an empty Rekor v2 log with a new Ed25519 key.
func NewTiled(hostname string) *Log {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return NewTiledWithKey(hostname, key)
}

// NewTiledWithKey returns an empty Rekor v2 log that signs with key: P-256 or Ed25519.
func NewTiledWithKey(hostname string, key crypto.Signer) *Log {
	l := NewWithKey(hostname, key)
	l.Version, l.TreeID = tlog.RekorV2, 0
	return l
}

// noteKeyID is the hash that names a Rekor v2 log with an Ed25519 key,
// https://c2sp.org/signed-note.
func noteKeyID(hostname string, key ed25519.PublicKey) []byte {
	id := sha256.Sum256(slices.Concat([]byte(hostname), []byte{'\n', 1}, key))
	return id[:]
}

// Tile returns the tile number n of a level in the tree of the first size entries: its
// hashes, one after the other, or nothing if there is none with so many hashes.
func (l *Log) Tile(level, n, width, size int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	span := 1
	for range level {
		if span > size {
			return nil
		}
		span *= tileWidth
	}
	if width < 1 || (n*tileWidth+width)*span > size {
		return nil
	}
	var tile []byte
	for i := range width {
		tile = append(tile, l.tree.node(uint(tileHeight*level), uint64(n*tileWidth+i))...)
	}
	return tile
}

func (s *Server) checkpoint(w http.ResponseWriter, _ *http.Request) {
	log, size, _ := s.state()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(log.Checkpoint(size)))
}

// tile answers as logs must: partial tiles of every size up to the one that is shown.
func (s *Server) tile(w http.ResponseWriter, r *http.Request) {
	log, size, _ := s.state()
	level, n, width, ok := parseTilePath(r.PathValue("level"), r.PathValue("n"))
	if !ok || log.Version != tlog.RekorV2 {
		http.NotFound(w, r)
		return
	}
	tile := log.Tile(level, n, width, size)
	if tile == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(tile) //nolint:gosec // They are hashes.
}

// parseTilePath takes the path of a tile apart: "0" and "x001/x234/067.p/5".
func parseTilePath(level, path string) (l, n, width int, ok bool) {
	width = tileWidth
	if before, after, partial := strings.Cut(path, ".p/"); partial {
		var err error
		if width, err = strconv.Atoi(after); err != nil || width >= tileWidth {
			return 0, 0, 0, false
		}
		path = before
	}
	l, err := strconv.Atoi(level)
	if err != nil {
		return 0, 0, 0, false
	}
	elements := strings.Split(path, "/")
	for i, element := range elements {
		digits, inner := strings.CutPrefix(element, "x")
		part, err := strconv.Atoi(digits)
		if err != nil || len(digits) != 3 || inner != (i < len(elements)-1) {
			return 0, 0, 0, false
		}
		n = n*1000 + part
	}
	return l, n, width, true
}
