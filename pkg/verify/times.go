// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// maxTimestamps bounds the RFC 3161 timestamps of one signature.
const maxTimestamps = 16

// checkTimes returns when the signature was made, as far as somebody trustworthy
// says so: a timestamp authority, over the signature's bytes, or the log, in a
// signed entry timestamp that was verified with the proof. The wall clock never
// counts. A certificate must have been good at every one of these times, and
// there must be one.
func (a *Authority) checkTimes(c *candidate, stamped stamps, proofs []tlog.Proof) ([]time.Time, error) {
	if a.TimestampRoot != nil && len(stamped.demanded) == 0 && !(a.TimestampIfPresent && len(c.timestamps) == 0) {
		return nil, reject(TimestampInvalid, "a timestamp by an authority of the trust root is asked for, and none of the %d that came along verifies", len(c.timestamps))
	}
	times := stamped.all()
	for _, p := range proofs {
		if t, ok := p.IntegratedTime(); ok {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	times = slices.CompactFunc(times, time.Time.Equal)
	if a.Keyless == nil {
		return times, nil
	}
	if err := c.checkUnsigned(proofs); err != nil {
		return nil, err
	}
	if len(times) == 0 {
		return nil, reject(TimestampInvalid, "nobody trustworthy says when it was made: neither the log in a signed entry timestamp, nor a timestamp authority of the trust root")
	}
	for _, t := range times {
		if err := a.Keyless.checkChain(c, t); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// stamps are the times at which timestamp authorities saw a signature.
type stamps struct {
	// keyless are of the trust root that the certificate chains to, demanded of the one
	// that the policy asks for a timestamp of.
	keyless, demanded []time.Time
}

func (s stamps) all() []time.Time { return slices.Concat(s.keyless, s.demanded) }

// stamps returns the times at which authorities that the policy trusts saw the signature.
func (a *Authority) stamps(c *candidate) stamps {
	var found stamps
	if a.Keyless != nil {
		found.keyless = stampedBy(c, a.Keyless.Root)
	}
	if a.TimestampRoot != nil {
		found.demanded = stampedBy(c, a.TimestampRoot)
	}
	return found
}

// checkUnsigned refuses an entry that was proven and claims a time outside of the
// certificate's, although nobody signed that time: it cannot help, and it must not
// contradict either. sigstore-go refuses it as well.
func (c *candidate) checkUnsigned(proofs []tlog.Proof) error {
	for _, e := range c.entries {
		if e.IntegratedTime == 0 || len(e.SignedEntryTimestamp) > 0 ||
			!slices.ContainsFunc(proofs, func(p tlog.Proof) bool { id := p.LogID(); return bytes.Equal(id[:], e.LogID) }) {
			continue
		}
		if t := time.Unix(e.IntegratedTime, 0); t.Before(c.leaf.NotBefore) || t.After(c.leaf.NotAfter) {
			return reject(TimestampInvalid, "its log entry claims a time at which its certificate was not valid, and nobody signed that")
		}
	}
	return nil
}

// stampedBy returns the times at which authorities of a trust root saw the
// signature. Timestamps of others, or over other bytes, are as good as absent.
func stampedBy(c *candidate, trusted root.TrustedMaterial) []time.Time {
	var times []time.Time
	for _, stamp := range c.timestamps {
		for _, authority := range trusted.TimestampingAuthorities() {
			if verified, err := authority.Verify(stamp, c.signature); err == nil {
				times = append(times, verified.Time)
				break
			}
		}
	}
	return times
}

// parseTimestamp parses the annotation dev.sigstore.cosign/rfc3161timestamp. One
// that does not parse is as good as absent.
func parseTimestamp(text string) [][]byte {
	if len(text) > maxPayloadBytes {
		return nil
	}
	var annotation struct {
		Timestamp []byte `json:"SignedRFC3161Timestamp"` //nolint:tagliatelle // cosign's spelling
	}
	if err := json.Unmarshal([]byte(text), &annotation); err != nil || len(annotation.Timestamp) == 0 {
		return nil
	}
	return [][]byte{annotation.Timestamp}
}
