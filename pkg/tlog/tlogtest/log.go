// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlogtest is a Rekor log in memory, v1 or v2, for tests that need a log to do
// what a real one cannot be made to do: lie, fork, forget, stall. It speaks
// Rekor's HTTP API or serves tiles, signs with a key that the test holds, and can be
// forked at any size. It is to package tlog what net/http/httptest is to net/http.
package tlogtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// IntegratedTime is the time, in seconds since 1970 UTC, at which every entry was
// integrated, by the log's own account.
const IntegratedTime = 1_790_000_000

// Log is one shard of an in-memory Rekor v1 log, or a Rekor v2 log. Safe for concurrent
// use.
type Log struct {
	Hostname string
	// Version is RekorV1 unless NewTiled made the log.
	Version tlog.Version
	// TreeID is 0 for Rekor v2.
	TreeID int64
	// FirstIndex is the index over all shards of this shard's first entry.
	FirstIndex int64

	key crypto.Signer

	mu     sync.Mutex
	bodies [][]byte
	tree   *tree
}

// New returns an empty Rekor v1 log with a new P-256 key.
func New(hostname string) *Log {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return NewWithKey(hostname, key)
}

// NewWithKey returns an empty Rekor v1 log that signs with key: ECDSA, RSA or Ed25519.
func NewWithKey(hostname string, key crypto.Signer) *Log {
	return &Log{Hostname: hostname, Version: tlog.RekorV1, TreeID: 4246003059422836002, key: key, tree: &tree{}}
}

// Fork returns a log with the same key, name and tree ID that shares the first
// size entries and nothing after them.
func (l *Log) Fork(size int) *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	fork := NewWithKey(l.Hostname, l.key)
	fork.Version, fork.TreeID, fork.FirstIndex = l.Version, l.TreeID, l.FirstIndex
	fork.bodies = slices.Clone(l.bodies[:size]) // whose bytes nobody changes
	fork.tree = l.tree.fork(size)
	return fork
}

// PublicKey is the key that the log's checkpoints verify under.
func (l *Log) PublicKey() crypto.PublicKey { return l.key.Public() }

// Append adds an entry and returns its index in this shard.
func (l *Log) Append(body []byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(body)
}

func (l *Log) append(body []byte) int {
	l.bodies = append(l.bodies, slices.Clone(body))
	l.tree.append(rfc6962.DefaultHasher.HashLeaf(body))
	return len(l.bodies) - 1
}

// Grow adds n entries of no meaning.
func (l *Log) Grow(n int) {
	for range n {
		body := make([]byte, 32)
		if _, err := rand.Read(body); err != nil {
			panic(err)
		}
		l.Append(body)
	}
}

// Size is the number of entries.
func (l *Log) Size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bodies)
}

// Root is the root hash of the tree of the first size entries.
func (l *Log) Root(size int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tree.root(uint64(size)))
}

// ID is what entries call the log: the SHA-256 of its public key, and for Rekor v2 with an
// Ed25519 key of its name as well.
func (l *Log) ID() []byte {
	if key, ok := l.key.Public().(ed25519.PublicKey); ok && l.Version == tlog.RekorV2 {
		return noteKeyID(l.Hostname, key)
	}
	spki, err := x509.MarshalPKIXPublicKey(l.key.Public())
	if err != nil {
		panic(err)
	}
	id := sha256.Sum256(spki)
	return id[:]
}

// Origin is the first line of the log's checkpoints.
func (l *Log) Origin() string {
	if l.Version == tlog.RekorV2 {
		return l.Hostname
	}
	return fmt.Sprintf("%s - %d", l.Hostname, l.TreeID)
}

// Checkpoint returns the signed note over the tree of the first size entries.
func (l *Log) Checkpoint(size int) string {
	return l.SignNote(fmt.Sprintf("%s\n%d\n%s\n", l.Origin(), size, base64.StdEncoding.EncodeToString(l.Root(size))))
}

// SignNote signs any text as a note in the log's name.
func (l *Log) SignNote(text string) string {
	return text + "\n" + l.SignatureLine(text)
}

// SignatureLine returns the log's signature line for a note's text.
func (l *Log) SignatureLine(text string) string {
	sig := slices.Concat(l.ID()[:4], l.Sign([]byte(text)))
	return fmt.Sprintf("— %s %s\n", l.Hostname, base64.StdEncoding.EncodeToString(sig))
}

// Sign signs a message with the log's key.
func (l *Log) Sign(message []byte) []byte {
	var sig []byte
	var err error
	if _, ok := l.key.Public().(ed25519.PublicKey); ok {
		sig, err = l.key.Sign(nil, message, crypto.Hash(0))
	} else {
		digest := sha256.Sum256(message)
		sig, err = l.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	if err != nil {
		panic(err)
	}
	return sig
}

// Inclusion returns the audit path of an entry in the tree of the first size.
func (l *Log) Inclusion(index, size int) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	hashes, err := l.tree.inclusion(uint64(index), uint64(size))
	if err != nil {
		panic(err)
	}
	return clone(hashes)
}

// Consistency returns the proof between two sizes.
func (l *Log) Consistency(first, last int) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	hashes, err := l.tree.consistency(uint64(first), uint64(last))
	if err != nil {
		panic(err)
	}
	return clone(hashes)
}

// clone makes a copy that a test can change without changing the log.
func clone(hashes [][]byte) [][]byte {
	copies := make([][]byte, len(hashes))
	for i, h := range hashes {
		copies[i] = slices.Clone(h)
	}
	return copies
}

// Entry returns an entry as a bundle would carry it: with promise, inclusion proof
// and the checkpoint of the given size.
func (l *Log) Entry(index, size int) *tlog.Entry {
	entry := l.Promise(index)
	entry.Inclusion = &tlog.Inclusion{
		Index:      int64(index),
		Hashes:     l.Inclusion(index, size),
		Checkpoint: l.Checkpoint(size),
	}
	return entry
}

// Promise returns an entry as a legacy signature would carry it: with a signed
// entry timestamp and no proof. One of Rekor v2 has neither.
func (l *Log) Promise(index int) *tlog.Entry {
	l.mu.Lock()
	body := slices.Clone(l.bodies[index])
	l.mu.Unlock()
	entry := &tlog.Entry{
		LogID:    l.ID(),
		Body:     body,
		LogIndex: l.FirstIndex + int64(index),
	}
	if l.Version == tlog.RekorV2 {
		return entry
	}
	entry.IntegratedTime = IntegratedTime
	entry.SignedEntryTimestamp = l.SignEntry(entry)
	return entry
}

// SignEntry returns the signed entry timestamp over whatever entry says.
func (l *Log) SignEntry(e *tlog.Entry) []byte {
	return l.Sign(fmt.Appendf(nil, `{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(e.Body), e.IntegratedTime, e.LogID, e.LogIndex))
}

// leaf is the leaf hash of an entry, in hexadecimal.
func (l *Log) leaf(index int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hex.EncodeToString(l.tree.node(0, uint64(index)))
}

// find returns the index of the entry with a leaf hash.
func (l *Log) find(leaf string) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, body := range l.bodies {
		if hex.EncodeToString(rfc6962.DefaultHasher.HashLeaf(body)) == leaf {
			return i, true
		}
	}
	return 0, false
}

// entryID is Rekor's ID of an entry: tree ID and leaf hash in hexadecimal.
func (l *Log) entryID(leaf string) string {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(l.TreeID))
	return hex.EncodeToString(id[:]) + leaf
}
