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
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxResponseBytes bounds any answer of a log. The largest legitimate one
	// is an entry whose attestation the log stores and sends along.
	maxResponseBytes = 4 << 20
	// requestTimeout bounds one request, so that a log that stalls leaves time
	// to say so inside an admission request's deadline.
	requestTimeout = 5 * time.Second
)

// RekorV1Client reads from one Rekor v1 server. Nothing that it returns is verified:
// its answers are the claims of whoever sits at that address.
type RekorV1Client struct {
	base *url.URL
	http *http.Client
}

// NewRekorV1Client returns a client for the server at base, such as
// https://rekor.example. A nil client gives one with Go's defaults. Redirects to
// another host are refused: the log's owner named this one.
func NewRekorV1Client(base *url.URL, client *http.Client) (*RekorV1Client, error) {
	if (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" {
		return nil, fmt.Errorf("URL %q is not an http or https address", base.Redacted())
	}
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	own.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if next.URL.Host != base.Host || next.URL.Scheme != base.Scheme {
			return fmt.Errorf("redirect to another host %q refused", next.URL.Host)
		}
		if len(via) >= 3 {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &RekorV1Client{base: base, http: &own}, nil
}

// maxShards bounds the trees of one log.
const maxShards = 64

// trees implements Client.
func (r *RekorV1Client) trees(ctx context.Context) ([][]byte, error) {
	type tree struct {
		SignedTreeHead string `json:"signedTreeHead"`
	}
	var info struct {
		tree
		InactiveShards []tree `json:"inactiveShards"`
	}
	if err := r.get(ctx, "api/v1/log", nil, &info); err != nil {
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

// latest implements Client.
func (r *RekorV1Client) latest(ctx context.Context) ([]byte, error) {
	notes, err := r.trees(ctx)
	if err != nil {
		return nil, err
	}
	return notes[0], nil
}

// consistencyProof implements consistencyProver.
func (r *RekorV1Client) consistencyProof(ctx context.Context, treeID int64, first, last uint64) ([][]byte, error) {
	query := url.Values{
		"firstSize": {strconv.FormatUint(first, 10)},
		"lastSize":  {strconv.FormatUint(last, 10)},
		"treeID":    {strconv.FormatInt(treeID, 10)},
	}
	// The answer's rootHash is of the latest tree, not of lastSize: it says
	// nothing here.
	var answer struct {
		Hashes []string `json:"hashes"`
	}
	if err := r.get(ctx, "api/v1/log/proof", query, &answer); err != nil {
		return nil, err
	}
	return decodeHashes(answer.Hashes, maxConsistencyHashes)
}

// entry implements Client, in whichever shard the entry is.
func (r *RekorV1Client) entry(ctx context.Context, leaf [32]byte) (*Entry, error) {
	uuid := hex.EncodeToString(leaf[:])
	var answer map[string]struct {
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
	err := r.get(ctx, "api/v1/log/entries/"+uuid, nil, &answer)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return nil, fmt.Errorf("%w: it has no entry %s", ErrNotLogged, uuid)
	}
	if errors.Is(err, errRefused) {
		// A refusal of the question says nothing about the entry.
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	if len(answer) != 1 {
		return nil, fmt.Errorf("%w: the log answered with %d entries for one leaf hash", ErrEntryMismatch, len(answer))
	}
	for id, e := range answer {
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

// statusError is an answer of the log that is not a success.
type statusError struct {
	path string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("GET %s: HTTP status %d", e.path, e.code)
}

// Unwrap tells a refusal from an outage: what a server could not do, or could
// not do now, is no statement about the log's content.
func (e *statusError) Unwrap() error {
	switch e.code {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return errRefused
	default:
		return ErrUnavailable
	}
}

// get decodes the JSON answer to a GET request into answer.
func (r *RekorV1Client) get(ctx context.Context, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	target := r.base.JoinPath(path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return &statusError{path: target.Path, code: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	if err != nil {
		return fmt.Errorf("%w: GET %s: %w", ErrUnavailable, target.Path, err)
	}
	if len(body) > maxResponseBytes {
		return fmt.Errorf("%w: GET %s: the answer is longer than %d bytes", ErrLimit, target.Path, maxResponseBytes)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%w: GET %s: the answer is not what a Rekor v1 log says", ErrUnavailable, target.Path)
	}
	return nil
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
