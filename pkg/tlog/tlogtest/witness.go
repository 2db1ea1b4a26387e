// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlogtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"

	"github.com/transparency-dev/formats/log"
)

// Witness cosigns whatever it is shown, at whatever time it is told
// (https://c2sp.org/tlog-cosignature).
type Witness struct {
	// Name is the name of its key.
	Name string

	kind   byte
	public []byte
	sign   func(at uint64, text string) []byte
}

// NewWitness returns a witness with a new Ed25519 key.
func NewWitness(name string) *Witness {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return NewWitnessWithKey(name, key)
}

// NewWitnessWithKey returns a witness with this key.
func NewWitnessWithKey(name string, key ed25519.PrivateKey) *Witness {
	return &Witness{Name: name, kind: 0x04, public: slices.Clone(key[ed25519.SeedSize:]), sign: func(at uint64, text string) []byte {
		return ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	}}
}

// NewPostQuantumWitness returns a witness with a new ML-DSA-44 key.
func NewPostQuantumWitness(name string) *Witness {
	secret, vkey, err := cosignature.GenerateMLDSAKey(name)
	if err != nil {
		panic(err)
	}
	signer, err := cosignature.NewMLDSASigner(secret)
	if err != nil {
		panic(err)
	}
	public, err := base64.StdEncoding.DecodeString(strings.SplitN(vkey, "+", 3)[2])
	if err != nil {
		panic(err)
	}
	return &Witness{Name: name, kind: 0x06, public: public[1:], sign: func(at uint64, text string) []byte {
		var checkpoint log.Checkpoint
		if _, err := checkpoint.Unmarshal([]byte(text)); err != nil {
			panic(err)
		}
		sig, err := signer.SignSubtree(at, checkpoint.Origin, 0, checkpoint.Size, checkpoint.Hash)
		if err != nil {
			panic(err)
		}
		return sig[8:] // without the time, which Line puts before it
	}}
}

// VerifierKey is the witness's key as a policy writes it.
func (w *Witness) VerifierKey() string { return VerifierKey(w.Name, w.kind, w.public) }

// VerifierKey writes any key in the form <name>+<hash>+<key>.
func VerifierKey(name string, kind byte, public []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyHash(name, kind, public), base64.StdEncoding.EncodeToString(slices.Concat([]byte{kind}, public)))
}

func keyHash(name string, kind byte, public []byte) uint32 {
	sum := sha256.Sum256(slices.Concat([]byte(name), []byte{'\n', kind}, public))
	return binary.BigEndian.Uint32(sum[:])
}

// Cosign returns the signed note with this witness's cosignature appended.
func (w *Witness) Cosign(note string, at time.Time) string {
	text, _, _ := strings.Cut(note, "\n\n")
	return note + w.Line(text+"\n", at)
}

// Line is the witness's signature line for a note's text, of which it says that it saw
// it at a time.
func (w *Witness) Line(text string, at time.Time) string {
	return w.SignatureLine(uint64(at.Unix()), w.sign(uint64(at.Unix()), text))
}

// SignatureLine is a line under this witness's name and key hash that holds any time
// and any signature.
func (w *Witness) SignatureLine(at uint64, sig []byte) string {
	line := binary.BigEndian.AppendUint32(nil, keyHash(w.Name, w.kind, w.public))
	line = binary.BigEndian.AppendUint64(line, at)
	return fmt.Sprintf("— %s %s\n", w.Name, base64.StdEncoding.EncodeToString(append(line, sig...)))
}

// Sign is the bare signature over a note's text and a time.
func (w *Witness) Sign(at uint64, text string) []byte { return w.sign(at, text) }
