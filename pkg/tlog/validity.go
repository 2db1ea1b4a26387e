// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"slices"
	"time"
)

// Validity is when a log's key may sign. A zero time is no bound.
type Validity struct {
	NotBefore, NotAfter time.Time
}

// contains reports whether t lies within the validity, its ends included, as sigstore's
// clients have it.
func (v Validity) contains(t time.Time) bool { return !v.begins(t) && !v.ended(t) }

// begins reports whether the validity begins only after t.
func (v Validity) begins(t time.Time) bool { return !v.NotBefore.IsZero() && t.Before(v.NotBefore) }

// ended reports whether the validity has ended at t.
func (v Validity) ended(t time.Time) bool { return !v.NotAfter.IsZero() && t.After(v.NotAfter) }

func (v Validity) check() error {
	if !v.NotAfter.IsZero() && v.ended(v.NotBefore) {
		return fmt.Errorf("validity ends at %s, before it begins", stamp(v.NotAfter))
	}
	return nil
}

// String says from when to when.
func (v Validity) String() string {
	from, until := "the beginning", "now on"
	if !v.NotBefore.IsZero() {
		from = stamp(v.NotBefore)
	}
	if !v.NotAfter.IsZero() {
		until = stamp(v.NotAfter)
	}
	return fmt.Sprintf("from %s until %s", from, until)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkTimes refuses an entry whose time lies outside of the validity of the log's key.
// The time is the log's own, from a signed entry timestamp that was verified; without one,
// it is that of a timestamp authority, of which one within the validity is enough: a
// signature may have been stamped again later.
//
// timed reports that a time says that the entry is of the time of the key. An entry for
// which nobody gives a time is refused by nothing here: what counts then is when the
// checkpoint was seen.
func (l *Log) checkTimes(claim Claim, entry *Entry) (timed bool, err error) {
	within := func(t time.Time) bool { return l.validity.contains(t) }
	if entry != nil && len(entry.SignedEntryTimestamp) > 0 {
		if integrated := time.Unix(entry.IntegratedTime, 0); !within(integrated) {
			return false, fmt.Errorf("%w: it was integrated at %s, and the key of log %q is valid %v", ErrEntryTime, stamp(integrated), l.name, l.validity)
		}
		return true, nil
	}
	if len(claim.stamped) > 0 && !slices.ContainsFunc(claim.stamped, within) {
		return false, fmt.Errorf("%w: a timestamp authority saw the signature at %s, and the key of log %q is valid %v",
			ErrEntryTime, stamp(claim.stamped[0]), l.name, l.validity)
	}
	return len(claim.stamped) > 0, nil
}

// checkBegun refuses whatever a key signed whose time has not come.
func (l *Log) checkBegun() error {
	if l.validity.begins(time.Now()) {
		return fmt.Errorf("%w: the key of log %q is valid %v", ErrKeyValidity, l.name, l.validity)
	}
	return nil
}

// isClosed reports whether the time of the log's key is over: whoever has the key now may
// have taken it from where it was put away, so nothing new counts that bears no time.
func (l *Log) isClosed() bool { return l.validity.ended(time.Now()) }

// closedError says why a tree does not count.
func (l *Log) closedError(c Checkpoint) error {
	return fmt.Errorf("%w: the key of log %q is valid %v, size %d of %q was not seen before its end, and nothing says that the entry is older",
		ErrKeyValidity, l.name, l.validity, c.size, c.origin)
}
