// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// maxNoteBytes bounds a signed note. A Rekor checkpoint takes about 250 bytes,
// and each witness cosignature about 150.
const maxNoteBytes = 32 << 10

// Checkpoint is a commitment of a log to its whole content, whose signature has
// been verified under the log's configured key. The zero value is no checkpoint;
// only VerifyCheckpoint makes others.
//
//	rekor.example - 1193050959916656506     origin: host name, " - ", tree ID;
//	                                        for Rekor v2 the host name alone
//	48213                                   size
//	47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
//	                                        root hash (RFC 6962 section 2.1)
//	— rekor.example 3ksn1Q==…               signature by the key of that name
//
// See https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note.
type Checkpoint struct {
	origin string
	treeID int64
	size   uint64
	root   [sha256.Size]byte
	note   string
	// witnessing is nil where no witness is asked for.
	witnessing *witnessing
}

// Origin is the first line: the host name and, for a Rekor v1 shard, its tree ID.
func (c Checkpoint) Origin() string { return c.origin }

// Size is the number of entries that the checkpoint commits to. It is 0 only for
// the checkpoint of an empty log that Prover.Poll returns.
func (c Checkpoint) Size() uint64 { return c.size }

// Root is the root hash of the tree of that size.
func (c Checkpoint) Root() [sha256.Size]byte { return c.root }

// Note is the signed note, with the signature lines that were verified and without
// those of strangers: nobody but the log and its witnesses gets anything stored.
func (c Checkpoint) Note() string { return c.note }

// String says origin, size and root on one line.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%q size %d root %s", c.origin, c.size, hex.EncodeToString(c.root[:]))
}

var errMalformedCheckpoint = errors.New("malformed checkpoint")

// VerifyCheckpoint parses a signed note strictly and verifies it under the log's
// key. It accepts exactly the three lines of a checkpoint, in their canonical
// form, whose origin is this log's host name and, for Rekor v1, a tree ID, and after
// them the timestamp line of old Rekors v1, or the line with which a Rekor v2 log ends
// for good. Signature
// lines of witnesses that the log's policy knows must verify, too: whether they are
// enough is what Quorum says. Lines of other keys are passed over. Every error wraps
// ErrCheckpoint, or ErrLimit for a note that is too long, or ErrKeyValidity when the
// log's key is not valid yet.
func (l *Log) VerifyCheckpoint(signed []byte) (Checkpoint, error) {
	checkpoint, err := l.open(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if checkpoint.size == 0 {
		return Checkpoint{}, fmt.Errorf("%w: it is of an empty log", ErrCheckpoint)
	}
	return checkpoint, nil
}

// open is VerifyCheckpoint for callers that know what to do with the checkpoint
// of a log that has no entries yet.
func (l *Log) open(signed []byte) (Checkpoint, error) {
	if len(signed) > maxNoteBytes {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint is longer than %d bytes", ErrLimit, maxNoteBytes)
	}
	if err := l.checkBegun(); err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, noteKeys{l})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, noteError(err, l))
	}
	var body log.Checkpoint
	extensions, err := body.Unmarshal([]byte(n.Text))
	if err != nil || !l.allows(string(extensions)) {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, errMalformedCheckpoint)
	}
	// Numbers and base64 have several spellings that parse. Only the one that
	// printing gives is accepted, so that a checkpoint is one string of bytes.
	if string(body.Marshal())+string(extensions) != n.Text || len(body.Hash) != sha256.Size {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, errMalformedCheckpoint)
	}
	// A note that witnesses alone have signed is not the log's.
	own := slices.IndexFunc(n.Sigs, func(s note.Signature) bool { return l.signed(s.Name, s.Hash) })
	if own < 0 {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, noteError(&note.UnverifiedNoteError{}, l))
	}
	// The name of the key that signed is the log's own, or all that is known of it.
	var treeID int64
	switch l.version {
	case RekorV1:
		treeID, err = l.treeID(body.Origin, n.Sigs[own].Name)
	default:
		err = l.checkOrigin(body.Origin)
	}
	if err == nil {
		err = l.checkTree(body.Origin)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	checkpoint := Checkpoint{
		origin: body.Origin,
		treeID: treeID,
		size:   body.Size,
		root:   [sha256.Size]byte(body.Hash),
		note:   verifiedNote(n),
	}
	if l.witnesses != nil {
		checkpoint.witnessing = l.witnesses.judge(n.Sigs, l.implausible)
	}
	return checkpoint, nil
}

// verifiedNote writes n without the signatures that nobody verified: another key that is
// trusted one day might find a wrong one among them, in what was stored long before.
func verifiedNote(n *note.Note) string {
	var signed strings.Builder
	signed.WriteString(n.Text + "\n")
	for _, s := range n.Sigs {
		fmt.Fprintf(&signed, "— %s %s\n", s.Name, s.Base64)
	}
	return signed.String()
}

// allows reports whether extension lines may follow a checkpoint's three lines: none,
// the one with which a Rekor v2 log ends, or the line in which a Rekor v1 once said when
// it signed, in nanoseconds. The signatures of that time, of the public instance too,
// carry such checkpoints. What the line says is not used.
func (l *Log) allows(extensions string) bool {
	if extensions == "" {
		return true
	}
	if l.version == RekorV2 {
		return isFrozen(extensions)
	}
	digits, isTime := strings.CutPrefix(extensions, "Timestamp: ")
	digits, isLine := strings.CutSuffix(digits, "\n")
	nanoseconds, err := strconv.ParseInt(digits, 10, 64)
	return isTime && isLine && err == nil && nanoseconds > 0 && strconv.FormatInt(nanoseconds, 10) == digits
}

// treeID returns the tree ID in origin, which must be "<host name> - <decimal>".
func (l *Log) treeID(origin, hostname string) (int64, error) {
	digits, ok := strings.CutPrefix(origin, hostname+" - ")
	if !ok {
		return 0, fmt.Errorf("origin %.200q is not of log %q, whose origin begins with %q", origin, l.name, hostname+" - ")
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != digits {
		return 0, fmt.Errorf("origin %.200q does not end in a tree ID", origin)
	}
	return id, nil
}

// isFrozen reports whether a checkpoint's extension is the line with which rekor-tiles ends
// a log for good: the last checkpoint of a log has it.
func isFrozen(extension string) bool {
	stamp, ok := strings.CutPrefix(strings.TrimSuffix(extension, "\n"), "Log frozen — ")
	if !ok {
		return false
	}
	at, err := time.Parse(time.UnixDate, stamp)
	return err == nil && at.Location() == time.UTC && extension == "Log frozen — "+at.Format(time.UnixDate)+"\n"
}

// checkOrigin refuses another origin than that of this Rekor v2 log.
func (l *Log) checkOrigin(origin string) error {
	if origin != l.origin {
		return fmt.Errorf("origin %.200q is not that of log %q, %q", origin, l.name, l.origin)
	}
	return nil
}

// noteError says in the terms of a log what package note found.
func noteError(err error, l *Log) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return fmt.Errorf("no signature by the key of log %q", l.name)
	case errors.As(err, &invalid) && l.witness(invalid.Name, invalid.Hash) != nil:
		return fmt.Errorf("the cosignature by witness %q does not verify", l.witness(invalid.Name, invalid.Hash).name)
	case errors.As(err, &invalid):
		return fmt.Errorf("the signature by the key of log %q does not verify", l.name)
	default:
		return errMalformedCheckpoint
	}
}
