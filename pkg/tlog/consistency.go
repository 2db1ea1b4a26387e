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

// verifyPrefix returns nil when older, a checkpoint of a smaller size, is shown to be
// a prefix of newer, and an *InconsistencyError when it is shown that it is not.
//
// A wrong proof is no evidence against the log: it may have been changed on its
// way, or come from a replica that lags. It is fetched once more before the
// verdict is ErrInconsistent, which denies but accuses nobody.
func verifyPrefix(ctx context.Context, client consistencyProver, older, newer Checkpoint) error {
	var failure error
	for range 2 {
		hashes, err := client.consistencyProof(ctx, newer.treeID, older.size, newer.size)
		// A replica that refused may lag behind one that could not be asked.
		if err != nil && (!errors.Is(err, errRefused) || errors.Is(err, ErrUnavailable)) {
			return err
		}
		if err == nil {
			err = checkConsistency(older, newer, hashes)
		}
		if err == nil || errors.As(err, new(*InconsistencyError)) {
			return err
		}
		failure = err
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
	if len(hashes) > maxConsistencyHashes {
		return fmt.Errorf("%w: consistency proof has %d hashes", ErrLimit, len(hashes))
	}
	for _, h := range hashes {
		if len(h) != sha256.Size {
			return fmt.Errorf("consistency proof holds a hash of %d bytes", len(h))
		}
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

// provesOtherPrefix reports whether hashes prove that the tree of newer has, at
// older's size, another root than older says. The hashes of a proof that leads to
// newer's root are nodes of newer's tree, and from them the root of every prefix
// follows; two signed checkpoints and such a proof are evidence of a fork that
// anybody can check. When older's size is a power of two the proof takes older's
// root for granted, so it can show nothing.
func provesOtherPrefix(older, newer Checkpoint, hashes [][]byte, err error) bool {
	var mismatch proof.RootMismatchError
	if bits.OnesCount64(older.size) == 1 || !errors.As(err, &mismatch) ||
		!bytes.Equal(mismatch.ExpectedRoot, older.root[:]) {
		return false
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, older.size, newer.size, hashes, mismatch.CalculatedRoot, newer.root[:]) == nil
}
