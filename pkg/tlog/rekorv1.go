// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxResponseBytes bounds any answer of a log. The largest legitimate one is an
// entry whose attestation the log stores and sends along.
const maxResponseBytes = 4 << 20

// RekorV1Client reads from a Rekor v1 log. Nothing that it returns is verified: its
// answers are the claims of whoever sits at that address.
type RekorV1Client struct{ endpoints *Endpoints }

// NewRekorV1Client returns a client for the log that answers at endpoints, whose base
// URLs are such as https://rekor.example, without /api.
func NewRekorV1Client(endpoints *Endpoints) *RekorV1Client {
	return &RekorV1Client{endpoints: endpoints}
}

// maxShards bounds the trees of one log.
const maxShards = 64

// views implements Client.
func (r *RekorV1Client) views(ctx context.Context) []view {
	q := logInfoQuestion()
	q.patient = true
	return r.endpoints.each(ctx, q, func(body []byte) ([][]byte, error) { return parseLogInfo(q, body) })
}

// trees implements Client.
func (r *RekorV1Client) trees(ctx context.Context, accept func([][]byte) error) error {
	q := logInfoQuestion()
	return r.endpoints.get(ctx, q, func(body []byte) error {
		notes, err := parseLogInfo(q, body)
		if err != nil {
			return err
		}
		return accept(notes)
	})
}

func logInfoQuestion() question {
	return question{operation: OperationCheckpoint, path: "api/v1/log", maxBytes: maxResponseBytes}
}

// parseLogInfo returns the notes of all trees, the active one's first.
func parseLogInfo(q question, body []byte) ([][]byte, error) {
	info, err := decode[logInfo](q, body)
	if err != nil {
		return nil, err
	}
	if len(info.InactiveShards) > maxShards {
		return nil, fmt.Errorf("%w: the log says that it has %d inactive trees", ErrLimit, len(info.InactiveShards))
	}
	notes := [][]byte{[]byte(info.SignedTreeHead)}
	for _, shard := range info.InactiveShards {
		notes = append(notes, []byte(shard.SignedTreeHead))
	}
	return notes, nil
}

// logInfo is the answer to GET /api/v1/log.
type logInfo struct {
	treeInfo
	InactiveShards []treeInfo `json:"inactiveShards"`
}

type treeInfo struct {
	SignedTreeHead string `json:"signedTreeHead"`
}

// showPrefix implements Client.
func (r *RekorV1Client) showPrefix(ctx context.Context, older, newer Checkpoint, _ bool) error {
	return verifyPrefix(ctx, r, older, newer)
}

// consistencyProof implements consistencyProver.
func (r *RekorV1Client) consistencyProof(ctx context.Context, treeID int64, first, last uint64, check func([][]byte) error) error {
	query := url.Values{
		"firstSize": {strconv.FormatUint(first, 10)},
		"lastSize":  {strconv.FormatUint(last, 10)},
		"treeID":    {strconv.FormatInt(treeID, 10)},
	}
	q := question{operation: OperationConsistency, path: "api/v1/log/proof", query: query, maxBytes: maxResponseBytes}
	return r.endpoints.get(ctx, q, func(body []byte) error {
		// The answer's rootHash is of the latest tree, not of lastSize: it says
		// nothing here.
		answer, err := decode[struct {
			Hashes []string `json:"hashes"`
		}](q, body)
		if err != nil {
			return err
		}
		hashes, err := decodeHashes(answer.Hashes, maxConsistencyHashes)
		if err != nil {
			return err
		}
		return check(hashes)
	})
}

// entry implements Client, in whichever shard the entry is.
func (r *RekorV1Client) entry(ctx context.Context, leaf [32]byte, _ int64, check func(*Entry) error) (*Entry, error) {
	uuid := hex.EncodeToString(leaf[:])
	q := question{operation: OperationEntry, path: "api/v1/log/entries/" + uuid, maxBytes: maxResponseBytes}
	return r.askEntry(ctx, q, uuid, uuid, check)
}

// entryAt implements Client. The leaf hash is that of the body in the answer.
func (r *RekorV1Client) entryAt(ctx context.Context, index int64, check func([32]byte, *Entry) error) (leaf [32]byte, entry *Entry, err error) {
	number := strconv.FormatInt(index, 10)
	q := question{
		operation: OperationEntry, path: "api/v1/log/entries", query: url.Values{"logIndex": {number}}, maxBytes: maxResponseBytes,
	}
	entry, err = r.askEntry(ctx, q, "", "number "+number, func(fetched *Entry) error {
		leaf = leafHash(fetched.Body)
		return check(leaf, fetched)
	})
	return leaf, entry, err
}

// askEntry puts q, which is about one entry, whose ID must end in uuid.
func (r *RekorV1Client) askEntry(ctx context.Context, q question, uuid, name string, check func(*Entry) error) (*Entry, error) {
	var entry *Entry
	err := r.endpoints.get(ctx, q, func(body []byte) error {
		answer, err := decode[entryAnswer](q, body)
		if err != nil {
			return err
		}
		entry, err = answer.entry(uuid)
		if err != nil {
			return err
		}
		return check(entry)
	})
	if err == nil {
		return entry, nil
	}
	if errors.Is(err, errAbsent) {
		return nil, fmt.Errorf("%w: it has no entry %s", ErrNotLogged, name)
	}
	if errors.Is(err, errRefused) {
		// A refusal of the question says nothing about the entry.
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil, err
}

// entryAnswer is the answer to GET /api/v1/log/entries/{uuid}.
type entryAnswer map[string]struct {
	Body           string `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogID          string `json:"logID"`
	LogIndex       int64  `json:"logIndex"`
	Verification   struct {
		InclusionProof *struct {
			Checkpoint string   `json:"checkpoint"`
			Hashes     []string `json:"hashes"`
			LogIndex   int64    `json:"logIndex"`
		} `json:"inclusionProof"`
		SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
	} `json:"verification"`
}

// entry returns the one entry of the answer, whose leaf hash the log says is uuid.
func (a entryAnswer) entry(uuid string) (*Entry, error) {
	if len(a) != 1 {
		return nil, fmt.Errorf("%w: the log answered with %d entries for one leaf hash", ErrEntryMismatch, len(a))
	}
	for id, e := range a {
		// An entry ID is 16 hex digits of tree ID and the leaf hash.
		if !strings.HasSuffix(id, uuid) {
			return nil, fmt.Errorf("%w: the log answered with entry %.80q for leaf hash %s", ErrEntryMismatch, id, uuid)
		}
		if e.Verification.InclusionProof == nil {
			return nil, fmt.Errorf("%w: the log answered without one", ErrInclusionProof)
		}
		body, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: body is not base64", ErrEntryMismatch)
		}
		logID, err := hex.DecodeString(e.LogID)
		if err != nil {
			return nil, fmt.Errorf("%w: logID is not hexadecimal", ErrEntryMismatch)
		}
		hashes, err := decodeHashes(e.Verification.InclusionProof.Hashes, maxProofHashes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInclusionProof, err)
		}
		return &Entry{
			LogID:                logID,
			Body:                 body,
			LogIndex:             e.LogIndex,
			IntegratedTime:       e.IntegratedTime,
			SignedEntryTimestamp: e.Verification.SignedEntryTimestamp,
			Inclusion: &Inclusion{
				Index:      e.Verification.InclusionProof.LogIndex,
				Hashes:     hashes,
				Checkpoint: e.Verification.InclusionProof.Checkpoint,
			},
		}, nil
	}
	panic("unreachable: the answer has one entry")
}

// decode parses the JSON answer to q.
func decode[T any](q question, body []byte) (answer T, err error) {
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, fmt.Errorf("%w: GET %s: the answer is not what a Rekor v1 log says", ErrUnavailable, q.path)
	}
	return answer, nil
}

// decodeHashes decodes at most limit hexadecimal hashes.
func decodeHashes(digits []string, limit int) ([][]byte, error) {
	if len(digits) > limit {
		return nil, fmt.Errorf("%w: proof has %d hashes", ErrLimit, len(digits))
	}
	hashes := make([][]byte, 0, len(digits))
	for _, d := range digits {
		h, err := hex.DecodeString(d)
		if err != nil {
			return nil, fmt.Errorf("%w: a hash of the proof is not hexadecimal", errRefused)
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}
