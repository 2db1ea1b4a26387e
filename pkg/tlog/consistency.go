// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// maxConsistencyHashes bounds a consistency proof: one seed and at most one hash
// a level of each of the two parts of the path (RFC 6962 section 2.1.2).
const maxConsistencyHashes = 2*maxProofHashes + 1

// InconsistencyError holds two checkpoints of one origin, both signed by the log,
// that cannot both be true. It wraps ErrInconsistent.
type InconsistencyError struct {
	A, B Checkpoint
}

func (e *InconsistencyError) Error() string {
	return fmt.Sprintf("%v: the log signed both %v and %v", ErrInconsistent, e.A, e.B)
}

func (e *InconsistencyError) Unwrap() error { return ErrInconsistent }

// consistencyProver is a log that answers with consistency proofs.
type consistencyProver interface {
	// consistencyProof offers check the proofs between two sizes of one tree,
	// 0 < first < last, that the replicas give, until it returns nil. Otherwise the
	// error wraps, for each replica, what check said, errRefused when it answered that
	// it has none, or ErrUnavailable when it did not answer.
	consistencyProof(ctx context.Context, treeID int64, first, last uint64, check func(hashes [][]byte) error) error
}

// verifyPrefix returns nil when older, a checkpoint of a smaller size, is shown to be
// a prefix of newer, and an *InconsistencyError when it is shown that it is not.
//
// A wrong proof is no evidence against the log: it may have been changed on its
// way, or come from a replica that lags. All replicas are asked, and once more, before
// the verdict is ErrInconsistent, which denies but accuses nobody.
func verifyPrefix(ctx context.Context, client consistencyProver, older, newer Checkpoint) error {
	var failure error
	for range 2 {
		var evidence *InconsistencyError
		err := client.consistencyProof(ctx, newer.treeID, older.size, newer.size, func(hashes [][]byte) error {
			err := checkConsistency(older, newer, hashes)
			if errors.As(err, &evidence) {
				return nil // whoever says it: it is proven
			}
			return err
		})
		if evidence != nil {
			return evidence
		}
		// A replica that refused, or whose proof is wrong, may lag behind one that
		// could not be asked.
		if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLimit) {
			return err
		}
		failure = err
	}
	if showsOtherPowerOfTwo(ctx, client, older, newer) {
		return &InconsistencyError{A: older, B: newer}
	}
	return fmt.Errorf("%w: the log cannot show that size %d is a prefix of size %d of %q: %w",
		ErrInconsistent, older.size, newer.size, newer.origin, failure)
}

// checkConsistency verifies one consistency proof. Sizes 0 and equal sizes never
// get here: package proof accepts an empty proof from size 0 to any size.
func checkConsistency(older, newer Checkpoint, hashes [][]byte) error {
	if older.size == 0 || older.size >= newer.size {
		return fmt.Errorf("%w: no proof leads from size %d to size %d", ErrInconsistent, older.size, newer.size)
	}
	if err := checkHashes(hashes); err != nil {
		return err
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, older.size, newer.size, hashes, older.root[:], newer.root[:])
	if err == nil {
		return nil
	}
	if provesOtherPrefix(older, newer, hashes, err) {
		return &InconsistencyError{A: older, B: newer}
	}
	return errors.New("consistency proof does not verify")
}

func checkHashes(hashes [][]byte) error {
	if len(hashes) > maxConsistencyHashes {
		return fmt.Errorf("%w: consistency proof has %d hashes", ErrLimit, len(hashes))
	}
	for _, h := range hashes {
		if len(h) != sha256.Size {
			return fmt.Errorf("consistency proof holds a hash of %d bytes", len(h))
		}
	}
	return nil
}

// provesOtherPrefix reports whether hashes prove that the tree of newer has, at
// older's size, another root than older says. The hashes of a proof that leads to
// newer's root are nodes of newer's tree, and from them the root of every prefix
// follows; two signed checkpoints and such a proof are evidence of a fork that
// anybody can check. When older's size is a power of two the proof takes older's
// root for granted, so it can show nothing: see showsOtherPowerOfTwo.
func provesOtherPrefix(older, newer Checkpoint, hashes [][]byte, err error) bool {
	var mismatch proof.RootMismatchError
	if bits.OnesCount64(older.size) == 1 || !errors.As(err, &mismatch) ||
		!bytes.Equal(mismatch.ExpectedRoot, older.root[:]) {
		return false
	}
	return leadsTo(newer, older.size, mismatch.CalculatedRoot, hashes)
}

// leadsTo reports whether hashes prove that the tree of newer has, at size, this root.
func leadsTo(newer Checkpoint, size uint64, root []byte, hashes [][]byte) bool {
	return proof.VerifyConsistency(rfc6962.DefaultHasher, size, newer.size, hashes, root, newer.root[:]) == nil
}

// showsOtherPowerOfTwo asks the log, which could not show that older is a prefix of
// newer, for what proves the opposite when older's size is a power of two: the proof
// from one entry less. No answer, or a wrong one, proves nothing.
func showsOtherPowerOfTwo(ctx context.Context, client consistencyProver, older, newer Checkpoint) bool {
	if bits.OnesCount64(older.size) != 1 || older.size < minProvablePower {
		return false
	}
	err := client.consistencyProof(ctx, newer.treeID, older.size-1, newer.size, func(hashes [][]byte) error {
		if provesOtherPowerOfTwo(older, newer, hashes) {
			return nil
		}
		return errors.New("consistency proof does not show another root")
	})
	return err == nil
}

// minProvablePower is the smallest power of two for which provesOtherPowerOfTwo works:
// the size below it must not be a power of two itself.
const minProvablePower = 4

// provesOtherPowerOfTwo reports whether hashes, a consistency proof to newer from one
// entry less than older's size m = 2^k, prove that newer's tree has, at size m, another
// root than older says.
//
// The proof from m-1 to any n >= m is the audit path of leaf m-2, which is the last of
// the m-1, with the hash of that leaf put first (RFC 6962 section 2.1.2; m-1 is odd, so
// the last complete subtree is one leaf, and not 2^i entries, so the leaf is not left
// out). Its first k+1 hashes give the node above leaves 0 to m-1, whatever n is: in them
// leaf m-1, and to the left of both what is before them. They are therefore the proof
// from m-1 to m, and the node, X, is the root of the tree of size m.
//
// If all hashes lead to newer's root, then X is a value on the way to it, at the place of
// that node. Since no two inputs of SHA-256 give one root, X is what newer's tree has
// there, for any n > m: it is the root of its first m entries. An X that is not older's
// root means that the log has signed two roots for m entries.
func provesOtherPowerOfTwo(older, newer Checkpoint, hashes [][]byte) bool {
	below, levels := older.size-1, bits.TrailingZeros64(older.size)
	if checkHashes(hashes) != nil || len(hashes) <= levels {
		return false
	}
	var mismatch proof.RootMismatchError
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, below, newer.size, hashes, nil, newer.root[:])
	if !errors.As(err, &mismatch) || !leadsTo(newer, below, mismatch.CalculatedRoot, hashes) {
		return false
	}
	err = proof.VerifyConsistency(rfc6962.DefaultHasher, below, older.size, hashes[:levels+1], mismatch.CalculatedRoot, older.root[:])
	return errors.As(err, &mismatch) && bytes.Equal(mismatch.ExpectedRoot, older.root[:])
}
