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
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
)

// Log is the identity of one configured Rekor v1 log: what it is called here,
// the host name that begins the origin of its checkpoints, and its public key.
// It never comes from a bundle or from the log itself. Immutable.
type Log struct {
	name     string
	hostname string
	id       [sha256.Size]byte
	verifier signature.Verifier
}

// NewLog returns the log with the given name (of the TransparencyLog object,
// for messages), host name and public key. The host name is the part of a Rekor
// v1 origin that precedes " - <treeID>", and also the name of its note key. The
// key is ECDSA, RSA or Ed25519.
func NewLog(name, hostname string, key crypto.PublicKey) (*Log, error) {
	if hostname == "" {
		return nil, errors.New(`origin "" is not a host name`)
	}
	return newLog(name, hostname, key)
}

// NewLogByKey returns a log of which the key is all that is known for sure: a
// trusted_root.json gives a log's address, which need not be the name that its
// checkpoints carry. It is told from other logs by its key, as sigstore-go does; each
// of its checkpoints must still carry one name throughout.
func NewLogByKey(name string, key crypto.PublicKey) (*Log, error) {
	return newLog(name, "", key)
}

func newLog(name, hostname string, key crypto.PublicKey) (*Log, error) {
	if strings.Contains(hostname, "+") || strings.IndexFunc(hostname, unicode.IsSpace) >= 0 {
		return nil, fmt.Errorf("origin %q is not a host name", hostname)
	}
	if key == nil {
		return nil, errors.New("public key is missing")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	// Rekor v1 signs with SHA-256 whatever the curve is.
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return &Log{name: name, hostname: hostname, id: sha256.Sum256(spki), verifier: verifier}, nil
}

// Name is the name of the TransparencyLog object.
func (l *Log) Name() string { return l.name }

// Origin is the host name that begins the origin line of every checkpoint, or ""
// for a log of which only the key is known.
func (l *Log) Origin() string { return l.hostname }

// ID is the SHA-256 of the DER of the log's SubjectPublicKeyInfo: what Rekor
// calls logID.
func (l *Log) ID() [sha256.Size]byte { return l.id }

// verify reports whether sig is the log's signature over message.
func (l *Log) verify(message, sig []byte) bool {
	return l.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil
}

// noteKey makes a Log usable as a golang.org/x/mod/sumdb/note.Verifier. Rekor v1
// names the key after the host and takes the first four bytes of the log ID as
// its hash, for every type of key.
type noteKey struct {
	log  *Log
	name string
}

func (k noteKey) Name() string                { return k.name }
func (k noteKey) KeyHash() uint32             { return binary.BigEndian.Uint32(k.log.id[:4]) }
func (k noteKey) Verify(msg, sig []byte) bool { return k.log.verify(msg, sig) }

// noteKeys finds the log's key for a signature line, under the log's name if that is
// known, and under any if not.
type noteKeys struct{ log *Log }

func (k noteKeys) Verifier(name string, hash uint32) (note.Verifier, error) {
	key := noteKey{k.log, name}
	if hash != key.KeyHash() || k.log.hostname != "" && k.log.hostname != name {
		return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
	}
	return key, nil
}
