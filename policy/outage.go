// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Leniency is why a policy accepts an image that could not be verified in full. Each
// one is shown: in the response, in a metric, in the audit event and in an Event.
type Leniency struct {
	// Rule is what the policy says in onUnavailable.
	Rule v1alpha1.OnUnavailable `json:"rule"`
	// Cause is who did not answer, and Detail how.
	Cause  Reason `json:"cause"`
	Detail string `json:"detail"`
	// VerifiedAt is when the image was verified in full; nil for allowEmbeddedProof.
	VerifiedAt *time.Time `json:"verifiedAt,omitempty"`
}

// Leniency returns what the acceptance of the image rests on beside its evidence, or nil
// when it rests on that alone, or the image is not accepted.
func (r PolicyResult) Leniency() *Leniency {
	if !accepted(r.Verdict) {
		return nil
	}
	return r.leniency
}

// inOutage sees to what the policy says of an outage, once the authorities have been
// asked: it names what an acceptance lacks, remembers one that lacks nothing, and looks
// for an earlier one where nobody could tell.
func (p *Policy) inOutage(ctx context.Context, ev *evidence, known []opinion, result PolicyResult) PolicyResult {
	switch v := result.Verdict.(type) {
	case verify.Verified:
		if why := result.lacks(); why != "" {
			result.leniency = &Leniency{Rule: v1alpha1.OnUnavailableAllowEmbeddedProof, Cause: verify.LogUnavailable, Detail: why}
		} else {
			p.memory.remember(ev, result)
		}
	case verify.Unavailable:
		return p.asBefore(ctx, ev, known, result, v)
	}
	return result
}

// lacks says what the authorities that accept the image could not ask for, or nothing
// when enough of them did without.
func (r PolicyResult) lacks() string {
	enough, why := 0, ""
	for _, a := range r.Authorities {
		good, ok := a.Verdict.(verify.Verified)
		switch {
		case ok && good.Evidence.Unasked() == "":
			enough++
		case ok && why == "":
			why = good.Evidence.Unasked()
		}
	}
	if enough >= r.Threshold {
		return ""
	}
	return why
}

// countsAsOutage reports whether a cause says that somebody is away. That a registry
// refuses us, or a key service does not answer, may mean that somebody decided so: the
// right to an image, or the key, may be the very thing that was withdrawn.
func countsAsOutage(cause Reason) bool {
	switch cause {
	case verify.LogUnavailable, verify.RegistryUnavailable, verify.RegistryThrottled, verify.DeadlineExceeded:
		return true
	default:
		return false
	}
}

// asBefore returns result, whose verdict is that nobody could tell, with the verdict that
// the policy had on the same digest before, if that may count now: it is not older than
// the logs that it rests on may be stale, those logs still stand, and nobody who accepted
// the image then refuses it now.
func (p *Policy) asBefore(ctx context.Context, ev *evidence, known []opinion, result PolicyResult, now verify.Unavailable) PolicyResult {
	before, ok := p.memory.recall(ev)
	if !ok || !countsAsOutage(now.Cause) {
		return result
	}
	limit := time.Duration(0)
	for i, was := range before.authorities {
		good, accepted := was.Verdict.(verify.Verified)
		if !accepted || p.authorities[i].key == nil {
			continue
		}
		if i >= len(result.Authorities) || refuses(result.Authorities[i].Verdict) || refuses(known[i].verdict) {
			return result
		}
		within, doubt := standing(ctx, p.authorities[i].key, good.Evidence)
		if doubt != nil {
			result.Verdict = doubt
			return result
		}
		if within > 0 && (limit == 0 || within < limit) {
			limit = within
		}
	}
	if limit == 0 {
		limit = v1alpha1.DefaultMaxStaleness // no log is asked
	}
	if age := time.Since(before.at); age > limit {
		now.Detail = printable(fmt.Sprintf("%s (verified last at %s, longer ago than %v)", now.Detail, before.at.UTC().Format(time.RFC3339), limit), maxDetail)
		result.Verdict = now
		return result
	}
	at := before.at.UTC()
	result.Authorities, result.Verdict = before.authorities, before.verdict
	result.leniency = &Leniency{Rule: v1alpha1.OnUnavailableAllowPreviouslyVerified, Cause: now.Cause, Detail: now.Detail, VerifiedAt: &at}
	return result
}

func refuses(v verify.Verdict) bool {
	_, ok := v.(verify.Rejected)
	return ok
}

// standing asks the authority whether evidence that it found can still count. One that
// cannot say has none that can.
func standing(ctx context.Context, key Verifier, e verify.Evidence) (time.Duration, verify.Verdict) {
	if says, ok := key.(interface {
		Standing(context.Context, verify.Evidence) (time.Duration, verify.Verdict)
	}); ok {
		return says.Standing(ctx, e)
	}
	return 0, verify.Rejected{Reason: verify.PolicyNotReady, Detail: "nobody can say whether earlier evidence still counts"}
}
