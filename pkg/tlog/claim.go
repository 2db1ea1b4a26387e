// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Claim is what an entry must say: that this signature, by this key or
// certificate, over these bytes was logged. It is made from the signature that
// was verified, never from the entry.
//
// Rekor stores an entry as RFC 8785 JSON, so for a known signature the body
// is known byte for byte. A body is therefore compared and not parsed: hostile
// JSON reaches no parser, and nothing in it can be about something else.
type Claim struct {
	// forms are the bodies that all say this: one for each kind of entry that a
	// client can have chosen.
	forms []form
	// stamped are the times at which somebody else than the log saw the signature.
	stamped []time.Time
}

// form is one body. Between prefix and suffix are bytes that the signature does not
// determine.
type form struct {
	prefix, suffix string
	// hole counts those bytes: the hex digits of an envelope's hash, or 0.
	hole int
}

// StampedAt returns the claim with the times at which timestamp authorities saw its
// signature, as was verified: a log whose key has a validity is asked to have been
// valid at one of them.
func (c Claim) StampedAt(times []time.Time) Claim {
	c.stamped = times
	return c
}

// AnyOf is the claim that an entry says what one of the claims says.
func AnyOf(claims ...Claim) Claim {
	var all Claim
	for _, c := range claims {
		all.forms = append(all.forms, c.forms...)
	}
	return all
}

// body returns the whole body, if the claim determines it.
func (c Claim) body() ([]byte, bool) {
	if len(c.forms) != 1 || c.forms[0].hole > 0 {
		return nil, false
	}
	return []byte(c.forms[0].prefix + c.forms[0].suffix), true
}

// check returns nil if body is what the claim says, and an error that wraps
// ErrEntryMismatch otherwise.
func (c Claim) check(body []byte) error {
	if slices.ContainsFunc(c.forms, func(f form) bool { return f.is(string(body)) }) {
		return nil
	}
	return fmt.Errorf("%w: its body is not the one that this signature, key and artifact have", ErrEntryMismatch)
}

func (f form) is(body string) bool {
	rest, begins := strings.CutPrefix(body, f.prefix)
	hole, ends := strings.CutSuffix(rest, f.suffix)
	return begins && ends && len(hole) == f.hole && isLowerHex(hole)
}

func isLowerHex(digits string) bool {
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// leafHash is the Merkle leaf hash of an entry's body, RFC 6962 section 2.1.
func leafHash(body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{0x00}, body...))
}
