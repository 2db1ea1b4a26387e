// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Proof is the evidence that an entry is in a configured log. It can only be
// made by Prover, after every check has passed; the zero value proves nothing. One
// that is Unasked is handed out inside of an error, and nowhere else.
type Proof struct {
	log            string
	logID          [32]byte
	keyID          [32]byte
	leaf           [32]byte
	index          int64
	checkpoint     Checkpoint
	integratedTime int64
	unasked        string
}

// Log is the name of the TransparencyLog object.
func (p Proof) Log() string { return p.log }

// LogID is what entries call the log.
func (p Proof) LogID() [32]byte { return p.logID }

// KeyID identifies the log's key: thresholds count distinct keys, not entries.
func (p Proof) KeyID() [32]byte { return p.keyID }

// Leaf is the Merkle leaf hash of the entry.
func (p Proof) Leaf() [32]byte { return p.leaf }

// Index is the entry's position in its shard, counted from 0.
func (p Proof) Index() int64 { return p.index }

// Checkpoint is the checkpoint under which inclusion was verified.
func (p Proof) Checkpoint() Checkpoint { return p.checkpoint }

// Unasked is empty when the checkpoint was shown to belong to the history of the log
// that this cluster has seen. Otherwise it says why the log could not be asked whether it
// does; the rest of the proof was verified. See UnaskedError.
func (p Proof) Unasked() string { return p.unasked }

// IntegratedTime is when the log says that it took the entry, and false when
// no signed entry timestamp says so.
func (p Proof) IntegratedTime() (time.Time, bool) {
	if p.integratedTime == 0 {
		return time.Time{}, false
	}
	return time.Unix(p.integratedTime, 0).UTC(), true
}

// String says log, index and size on one line.
func (p Proof) String() string {
	text := fmt.Sprintf("log %q (%s) index %d of %d", p.log, p.checkpoint.origin, p.index, p.checkpoint.size)
	if p.unasked != "" {
		text += ", which does not answer now and was not asked if that is in its history"
	}
	return text
}

// MarshalJSON gives the proof in the form of audit records and of -o json.
func (p Proof) MarshalJSON() ([]byte, error) {
	record := struct {
		Log            string     `json:"log"`
		Origin         string     `json:"origin"`
		Index          int64      `json:"index"`
		TreeSize       uint64     `json:"treeSize"`
		RootHash       string     `json:"rootHash"`
		LeafHash       string     `json:"leafHash"`
		IntegratedTime *time.Time `json:"integratedTime,omitempty"`
		Unasked        string     `json:"unasked,omitempty"`
	}{
		Log:      p.log,
		Origin:   p.checkpoint.origin,
		Index:    p.index,
		TreeSize: p.checkpoint.size,
		RootHash: hex.EncodeToString(p.checkpoint.root[:]),
		LeafHash: hex.EncodeToString(p.leaf[:]),
		Unasked:  p.unasked,
	}
	if t, ok := p.IntegratedTime(); ok {
		record.IntegratedTime = &t
	}
	return json.Marshal(record)
}
