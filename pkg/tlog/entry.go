// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

const (
	// maxBodyBytes bounds an entry's body: a signature, and a key or a
	// certificate, in base64 twice.
	maxBodyBytes = 128 << 10
	// maxProofHashes is the height of a tree of 2^63 leaves. No inclusion
	// proof is longer (RFC 6962 section 2.1.1).
	maxProofHashes = 63
)

// Entry is a log entry as it came with a signature. Nothing in it is verified.
type Entry struct {
	// LogID is the 32-byte ID of the log that the entry says it is in.
	LogID []byte
	// Body is the canonical JSON of the entry.
	Body []byte
	// LogIndex is the index over all shards of the log; of Rekor v2, in the one tree.
	LogIndex int64
	// IntegratedTime is in seconds since 1970 UTC, 0 when absent.
	IntegratedTime int64
	// SignedEntryTimestamp is the log's promise of inclusion; empty when absent.
	SignedEntryTimestamp []byte
	// Inclusion is nil when the signature carries no inclusion proof.
	Inclusion *Inclusion
}

// Inclusion is an inclusion proof and the checkpoint that it leads to, as it came
// with a signature or from a log. Nothing in it is verified.
type Inclusion struct {
	// Index is the position in the shard, not over all shards. Of Rekor v2 it is
	// Entry.LogIndex.
	Index int64
	// Hashes are the 32-byte hashes of the audit path, from leaf to root.
	Hashes [][]byte
	// Checkpoint is the signed note. Tree size and root hash are taken from it
	// alone.
	Checkpoint string
	// TreeSize and RootHash are what stands beside the checkpoint in a bundle, 0
	// and empty when nothing does. Nobody signed them: they decide nothing, and
	// must not contradict the checkpoint.
	TreeSize int64
	RootHash []byte
}

// checkID returns an error that wraps ErrUnknownLog if the entry is in another log.
func (e *Entry) checkID(l *Log) error {
	if bytes.Equal(e.LogID, l.id[:]) {
		return nil
	}
	return fmt.Errorf("%w: its entry is in a log with ID %.64x, and log %q has ID %x", ErrUnknownLog, e.LogID, l.name, l.id)
}

// checkSignedEntryTimestamp verifies the promise of inclusion, if there is one.
// Rekor v1 signs the RFC 8785 form of {body, integratedTime, logID, logIndex},
// which for these four fields can be written down directly.
func (e *Entry) checkSignedEntryTimestamp(l *Log) error {
	if len(e.SignedEntryTimestamp) == 0 {
		return nil
	}
	if l.version == RekorV2 {
		return fmt.Errorf("%w: log %q is of type %v, which signs none", ErrSignedEntryTimestamp, l.name, l.version)
	}
	if e.LogIndex < 0 || e.IntegratedTime <= 0 {
		return fmt.Errorf("%w: index %d or time %d is out of range", ErrSignedEntryTimestamp, e.LogIndex, e.IntegratedTime)
	}
	signed := `{"body":"` + base64.StdEncoding.EncodeToString(e.Body) +
		`","integratedTime":` + strconv.FormatInt(e.IntegratedTime, 10) +
		`,"logID":"` + hex.EncodeToString(l.id[:]) +
		`","logIndex":` + strconv.FormatInt(e.LogIndex, 10) + `}`
	if !l.verify([]byte(signed), e.SignedEntryTimestamp) {
		return fmt.Errorf("%w: log %q did not sign it over this body, time and index", ErrSignedEntryTimestamp, l.name)
	}
	return nil
}

// checkIndex checks that an entry of Rekor v2, whose logs have one tree each, has one
// index. That of Rekor v1 counts over all shards, and that of the proof in one.
func (e *Entry) checkIndex(l *Log) error {
	if l.version == RekorV2 && e.Inclusion != nil && e.LogIndex != e.Inclusion.Index {
		return fmt.Errorf("%w: it is for index %d, and the entry's is %d", ErrInclusionProof, e.Inclusion.Index, e.LogIndex)
	}
	return nil
}

// verify verifies the checkpoint under the log's key and the audit path from
// leaf to its root, and returns the checkpoint.
func (i *Inclusion) verify(l *Log, leaf [sha256.Size]byte) (Checkpoint, error) {
	checkpoint, err := l.VerifyCheckpoint([]byte(i.Checkpoint))
	if err != nil {
		return Checkpoint{}, err
	}
	if i.TreeSize < 0 || i.TreeSize > 0 && uint64(i.TreeSize) != checkpoint.size || len(i.RootHash) > 0 && !bytes.Equal(i.RootHash, checkpoint.root[:]) {
		return Checkpoint{}, fmt.Errorf("%w: it is for another tree than that of its checkpoint, of size %d", ErrInclusionProof, checkpoint.size)
	}
	if len(i.Hashes) > maxProofHashes {
		return Checkpoint{}, fmt.Errorf("%w: inclusion proof has %d hashes", ErrLimit, len(i.Hashes))
	}
	for _, h := range i.Hashes {
		if len(h) != sha256.Size {
			return Checkpoint{}, fmt.Errorf("%w: it holds a hash of %d bytes", ErrInclusionProof, len(h))
		}
	}
	if i.Index < 0 || uint64(i.Index) >= checkpoint.size {
		return Checkpoint{}, fmt.Errorf("%w: index %d is outside the tree of %d entries", ErrInclusionProof, i.Index, checkpoint.size)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i.Index), checkpoint.size, leaf[:], i.Hashes, checkpoint.root[:]); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: it does not lead from the entry at index %d to the root of size %d", ErrInclusionProof, i.Index, checkpoint.size)
	}
	return checkpoint, nil
}
