// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"slices"

	sumdb "golang.org/x/mod/sumdb/tlog"
)

// What the tests, which live outside of the package because tlogtest imports it,
// need of its inside.

const (
	MaxNoteBytes         = maxNoteBytes
	MaxBodyBytes         = maxBodyBytes
	MaxProofHashes       = maxProofHashes
	MaxConsistencyHashes = maxConsistencyHashes
	MaxResponseBytes     = maxResponseBytes
	RequestTimeout       = requestTimeout
	QuestionTimeout      = questionTimeout
	Patience             = patience
	OpenFor              = openFor
	StalledFor           = stalledFor
	MaxFailures          = maxFailures
	MaxRounds            = maxRounds
	Queue                = queue
	MaxRest              = maxRest
	FlightTimeout        = flightTimeout
	MaxRaces             = maxRaces
	MaxUnasked           = maxUnasked
	MaxTiledSize         = maxTiledSize
)

var ErrRefused = errRefused

// OutcomeOf is what the circuit breaker takes an error for.
func OutcomeOf(err error) Outcome { return outcomeOf(err) }

func LeafHash(body []byte) [32]byte { return leafHash(body) }

func (c Claim) Check(body []byte) error { return c.check(body) }

func (c Claim) Body() ([]byte, bool) { return c.body() }

func (l *Log) Open(note []byte) (Checkpoint, error) { return l.open(note) }

func (i *Inclusion) Verify(l *Log, leaf [32]byte) (Checkpoint, error) { return i.verify(l, leaf) }

func (e *Entry) CheckSignedEntryTimestamp(l *Log) error { return e.checkSignedEntryTimestamp(l) }

func CheckConsistency(older, newer Checkpoint, hashes [][]byte) error {
	return checkConsistency(older, newer, hashes)
}

// Missing is who is missing when all witnesses have cosigned, or none.
func (p *WitnessPolicy) Missing(all bool) string {
	if p.quorum == nil {
		return ""
	}
	counts := make([]bool, len(p.witnesses))
	for i := range counts {
		counts[i] = all
	}
	return p.quorum.missing(counts)
}

func ProvesOtherPowerOfTwo(older, newer Checkpoint, hashes [][]byte) bool {
	return provesOtherPowerOfTwo(older, newer, hashes)
}

func (r *RekorV1Client) Entry(ctx context.Context, leaf [32]byte) (*Entry, error) {
	return r.entry(ctx, leaf, -1, func(*Entry) error { return nil })
}

// Latest is what the first replica shows.
func (r *RekorV1Client) Latest(ctx context.Context) ([]byte, error) {
	v := r.views(ctx)[0]
	return slices.Concat(v.notes...), v.err
}

func (r *RekorV1Client) ConsistencyProof(ctx context.Context, treeID int64, first, last uint64) (hashes [][]byte, err error) {
	err = r.consistencyProof(ctx, treeID, first, last, func(offered [][]byte) error {
		hashes = offered
		return nil
	})
	return hashes, err
}

func (t *TilesClient) ShowPrefix(ctx context.Context, older, newer Checkpoint) error {
	return t.showPrefix(ctx, older, newer, false)
}

func (t *TilesClient) Entry(ctx context.Context, leaf [32]byte, index int64) (*Entry, error) {
	return t.entry(ctx, leaf, index, func(*Entry) error { return nil })
}

// Tile is what a tile's path says.
type Tile = sumdb.Tile

func TilePath(tile Tile) string { return tilePath(tile) }

// ExactBody is the claim that an entry has just this body.
func ExactBody(body []byte) Claim { return Claim{forms: []form{{prefix: string(body)}}} }
