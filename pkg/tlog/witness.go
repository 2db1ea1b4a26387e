// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// maxClockSkew is how far in the future a time may be that somebody else wrote.
const maxClockSkew = 5 * time.Minute

// maxWitnessText bounds what a message says about witnesses, in bytes.
const maxWitnessText = 600

// Cosignature is a witness's statement that a checkpoint was, at a time, the latest
// of the one history of that log that the witness has seen. It was verified.
type Cosignature struct {
	// Witness is what the policy calls the witness.
	Witness string
	// Time is when it cosigned.
	Time time.Time
}

// witnessing is what the witnesses of a policy say of one checkpoint.
type witnessing struct {
	// cosignatures are those that count, in the order of the policy.
	cosignatures []Cosignature
	// passedOver are those that verify and do not count, with the reason.
	passedOver []string
	// missing is who would have to cosign, too; empty when the quorum is met.
	missing string
}

// Quorum returns nil when enough witnesses have cosigned the checkpoint, or when none
// are asked for. Its error wraps ErrWitnessQuorum and says who has, and who is missing.
func (c Checkpoint) Quorum() error {
	if c.witnessing == nil || c.witnessing.missing == "" {
		return nil
	}
	return fmt.Errorf("%w: size %d of %q is %v", ErrWitnessQuorum, c.size, c.origin, c.witnessing)
}

// Witnesses says who has cosigned the checkpoint, whose cosignature does not count, and
// who is missing. It is empty where no witness is asked for.
func (c Checkpoint) Witnesses() string {
	if c.witnessing == nil {
		return ""
	}
	return c.witnessing.String()
}

// Cosignatures returns the cosignatures that count towards the quorum.
func (c Checkpoint) Cosignatures() []Cosignature {
	if c.witnessing == nil {
		return nil
	}
	return slices.Clone(c.witnessing.cosignatures)
}

// IsWitnessed reports whether witnesses are asked for, and enough have cosigned.
func (c Checkpoint) IsWitnessed() bool { return c.witnessing != nil && c.witnessing.missing == "" }

// implausible says what is wrong with a time at which a witness says that it cosigned,
// or nothing. Times are compared as seconds: package time wraps around beyond them.
func (l *Log) implausible(cosigned time.Time) string {
	switch seconds := cosigned.Unix(); {
	case seconds <= 0:
		return "which is no time"
	case seconds > time.Now().Add(maxClockSkew).Unix():
		return "which is in the future"
	case !l.validity.contains(cosigned):
		return fmt.Sprintf("and the log's key is valid %v", l.validity)
	default:
		return ""
	}
}

// judge returns what the witnesses say, given the signatures of a note that were
// verified, of which no two are by one key. plausible says what is wrong with the time
// of a cosignature, or nothing.
func (p *WitnessPolicy) judge(signatures []note.Signature, plausible func(time.Time) string) *witnessing {
	result := &witnessing{}
	counts := make([]bool, len(p.witnesses))
	for i, w := range p.witnesses {
		at := slices.IndexFunc(signatures, func(s note.Signature) bool { return w.key.signed(s.Name, s.Hash) })
		if at < 0 {
			continue
		}
		cosigned, _ := cosignature.CoSigV1Timestamp(signatures[at]) // 1970 where there is none
		if problem := plausible(cosigned); problem != "" {
			result.passedOver = append(result.passedOver, fmt.Sprintf("%s (at %s, %s)", w.name, cosigned.UTC().Format(time.RFC3339), problem))
			continue
		}
		counts[i] = true
		result.cosignatures = append(result.cosignatures, Cosignature{Witness: w.name, Time: cosigned.UTC()})
	}
	if p.quorum != nil {
		result.missing = p.quorum.missing(counts)
	}
	return result
}

// signed reports whether a signature line with this name and key hash is by the key.
func (k policyKey) signed(name string, hash uint32) bool { return k.name == name && k.hash == hash }

// missing returns who would have to cosign beside those who did, or nothing when the
// quorum is met.
func (q *quorum) missing(counts []bool) string {
	if len(q.members) == 0 {
		if counts[q.witness] {
			return ""
		}
		return q.name
	}
	var open []string
	for _, member := range q.members {
		if text := member.missing(counts); text != "" {
			open = append(open, text)
		}
	}
	needed := q.threshold - (len(q.members) - len(open))
	switch {
	case needed <= 0:
		return ""
	case needed == len(open):
		return strings.Join(open, " and ")
	default:
		return fmt.Sprintf("%d of (%s)", needed, strings.Join(open, ", "))
	}
}

// String says who cosigned, who is missing, and whose cosignature does not count.
func (w *witnessing) String() string {
	found := "none"
	if len(w.cosignatures) > 0 {
		names := make([]string, len(w.cosignatures))
		for i, c := range w.cosignatures {
			names[i] = c.Witness
		}
		found = strings.Join(names, ", ")
	}
	text := "cosigned by " + found
	if len(w.passedOver) > 0 {
		text += "; not counted: " + strings.Join(w.passedOver, ", ")
	}
	if w.missing != "" {
		text += "; missing " + w.missing
	}
	if len(text) > maxWitnessText {
		text = strings.ToValidUTF8(text[:maxWitnessText], "") + "…"
	}
	return text
}
