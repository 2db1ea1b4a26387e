// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlog proves that a signature's entry is in a transparency log that the
// cluster's owner configured: the entry's body is about this signature, an
// inclusion proof leads from it to a checkpoint, the checkpoint is signed by the
// log's configured key, and it is consistent with every checkpoint of that log
// that was seen before.
//
// A Proof cannot be made in any other way than by that verification, so holding
// one is the evidence of inclusion. Every byte that comes in, from a bundle or
// from a log, is treated as hostile: it is capped, parsed strictly, and believed
// only after a signature or a hash says so.
package tlog

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
)

// Version is the kind of a log: what its checkpoints are called, what its entries
// carry, and how it is asked. It comes from configuration, never from a bundle.
type Version int

const (
	// RekorV1 is Rekor with trees that Trillian keeps: the origin of a checkpoint is
	// "<host name> - <tree ID>", entries carry signed entry timestamps.
	RekorV1 Version = iota + 1
	// RekorV2 is rekor-tiles: the origin is the host name, entries carry an
	// inclusion proof and no time, and the log is read as tiles.
	RekorV2
)

// String is the version as the type of a TransparencyLog spells it.
func (v Version) String() string {
	switch v {
	case RekorV1:
		return "rekor-v1"
	case RekorV2:
		return "rekor-v2"
	default:
		return fmt.Sprintf("version %d", int(v))
	}
}

// Config is what a cluster's owner, or a trust root, says of a log.
type Config struct {
	// Name is the name of the TransparencyLog object, for messages.
	Name string
	// Version is the kind of log.
	Version Version
	// Origin is the host name under which the log signs, which is the name of its
	// note key. For RekorV1 the origin line of a checkpoint begins with it, for RekorV2
	// it is the origin line.
	Origin string
	// KeyOnly is set for a RekorV1 log of which the key is all that is known for sure,
	// and Origin is then empty: a trusted_root.json gives a log's address, which need
	// not be the name that its checkpoints carry. Such a log is told from others by its
	// key, as sigstore-go does; each of its checkpoints must still carry one name
	// throughout. The key ID of a RekorV2 log depends on its name.
	KeyOnly bool
	// EitherEntry is set for a log of which nobody says what version it is: Version
	// is then only how its checkpoints are called, and its entries may be those of
	// either version (docs/design/verification.md says why that is no weaker).
	EitherEntry bool
	// Key is ECDSA, RSA or Ed25519.
	Key crypto.PublicKey
	// Validity is when the key may sign.
	Validity Validity
	// Trees are the trees that count, and what is known of them. None: all that the log
	// lists count, and are trusted on first use.
	Trees []Tree
	// PutAway is what resets have put away: it is refused, and not counted against the log.
	PutAway []PutAway
	// Witnesses says who must have cosigned a checkpoint. Nil asks for nobody.
	Witnesses *WitnessPolicy
}

// Log is the identity of one configured log: what it is called here and in its
// checkpoints, and its public key. It never comes from a bundle or from the log
// itself. Immutable.
type Log struct {
	name     string
	version  Version
	origin   string
	id       [sha256.Size]byte
	keyID    [sha256.Size]byte
	verifier signature.Verifier
	validity Validity
	// trees holds the pins by origin, nil for a tree without; nil where all trees count.
	trees map[string]*Pin
	// witnesses is nil where no witness is asked for.
	witnesses *WitnessPolicy
	either    bool
	resets    []PutAway // what they have put away
}

// NewLog returns the log that config describes, or an error that says what is wrong
// with the description.
func NewLog(config Config) (*Log, error) {
	l := &Log{name: config.Name, version: config.Version, origin: config.Origin, either: config.EitherEntry, validity: config.Validity, resets: config.PutAway}
	if err := errors.Join(config.checkOrigin(), config.Validity.check()); err != nil {
		return nil, err
	}
	if config.Key == nil {
		return nil, errors.New("public key is missing")
	}
	spki, err := x509.MarshalPKIXPublicKey(config.Key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	l.keyID = sha256.Sum256(spki)
	switch config.Version {
	case RekorV1:
		l.id = l.keyID
		// Rekor v1 signs with SHA-256 whatever the curve is.
		l.verifier, err = signature.LoadVerifier(config.Key, crypto.SHA256)
	case RekorV2:
		l.id = noteKeyID(config.Origin, config.Key, spki)
		l.verifier, err = signature.LoadDefaultVerifier(config.Key)
	default:
		return nil, fmt.Errorf("%v is not a version of Rekor", config.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	if err := l.setTrees(config.Trees); err != nil {
		return nil, err
	}
	if err := l.setWitnesses(config.Witnesses, config.Key); err != nil {
		return nil, fmt.Errorf("witnesses: %w", err)
	}
	return l, nil
}

// setWitnesses takes a policy that can be one for this log.
func (l *Log) setWitnesses(policy *WitnessPolicy, key crypto.PublicKey) error {
	if policy == nil {
		return nil
	}
	if err := policy.CheckLog(key); err != nil {
		return err
	}
	if policy.quorum != nil {
		l.witnesses = policy
	}
	return nil
}

func (c Config) checkOrigin() error {
	switch {
	case c.KeyOnly && (c.Origin != "" || c.Version != RekorV1):
		return errors.New("only a Rekor v1 log without an origin can be known by its key alone")
	case c.Origin == "" && !c.KeyOnly,
		strings.Contains(c.Origin, "+"), strings.IndexFunc(c.Origin, unicode.IsSpace) >= 0:
		return fmt.Errorf("origin %q is not a host name", c.Origin)
	default:
		return nil
	}
}

// noteKeyID is the hash whose first four bytes are the key ID of a note signature
// (https://c2sp.org/signed-note), and which Rekor v2 calls its log ID. That of an ECDSA
// key does not depend on the name. The type of an RSA key is rekor-tiles' own.
func noteKeyID(name string, key crypto.PublicKey, spki []byte) [sha256.Size]byte {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return sha256.Sum256(slices.Concat([]byte(name+"\n\x01"), key))
	case *rsa.PublicKey:
		return sha256.Sum256(slices.Concat([]byte(name+"\n\xffPKIX-RSA-PKCS#1v1.5"), spki))
	default:
		return sha256.Sum256(spki)
	}
}

// Name is the name of the TransparencyLog object.
func (l *Log) Name() string { return l.name }

// Version is the kind of log.
func (l *Log) Version() Version { return l.version }

// Holds reports whether entries of a version of Rekor count.
func (l *Log) Holds(v Version) bool { return v == l.version || l.either }

// Origin is the host name under which the log signs, or "" for a log of which only the
// key is known.
func (l *Log) Origin() string { return l.origin }

// ID is what entries call the log: for Rekor v1 the KeyID, for Rekor v2 the hash of
// which the key ID of its checkpoints is the beginning.
func (l *Log) ID() [sha256.Size]byte { return l.id }

// KeyID is the SHA-256 of the DER of the log's SubjectPublicKeyInfo. Two logs with one
// KeyID are one log to a threshold, whatever they are called.
func (l *Log) KeyID() [sha256.Size]byte { return l.keyID }

// verify reports whether sig is the log's signature over message.
func (l *Log) verify(message, sig []byte) bool {
	return l.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil
}

// noteKey makes a Log usable as a golang.org/x/mod/sumdb/note.Verifier. Rekor names
// the key after the host and takes the first four bytes of the log ID as its hash.
type noteKey struct {
	log  *Log
	name string
}

func (k noteKey) Name() string                { return k.name }
func (k noteKey) KeyHash() uint32             { return binary.BigEndian.Uint32(k.log.id[:4]) }
func (k noteKey) Verify(msg, sig []byte) bool { return k.log.verify(msg, sig) }

// noteKeys finds the key for a signature line: the log's under the log's name if that
// is known, and under any if not, and those of the witnesses that are asked for.
type noteKeys struct{ log *Log }

func (k noteKeys) Verifier(name string, hash uint32) (note.Verifier, error) {
	if k.log.signed(name, hash) {
		return noteKey{k.log, name}, nil
	}
	if w := k.log.witness(name, hash); w != nil {
		return w.verifier, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// signed reports whether a signature line with this name and key hash is the log's.
func (l *Log) signed(name string, hash uint32) bool {
	return hash == noteKey{log: l}.KeyHash() && (l.origin == "" || l.origin == name)
}

// witness returns the witness whose signature line has this name and key hash, or nil.
func (l *Log) witness(name string, hash uint32) *witness {
	if l.witnesses == nil {
		return nil
	}
	for i, w := range l.witnesses.witnesses {
		if w.key.signed(name, hash) {
			return &l.witnesses.witnesses[i]
		}
	}
	return nil
}
