// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// SameTrust reports whether a and b, authorities of one policy, trust the same keys, roots
// and logs: a Secret, a trust root or a log that they name may have changed in between.
// What the policy itself says is not compared.
func (a *Authority) SameTrust(b *Authority) bool {
	return a.Name == b.Name &&
		slices.EqualFunc(a.Keys, b.Keys, func(x, y Key) bool { return x.hash == y.hash && bytes.Equal(x.pem, y.pem) }) &&
		(a.Keyless == nil) == (b.Keyless == nil) && (a.Keyless == nil || sameRoot(a.Keyless.Root, b.Keyless.Root)) &&
		sameRoot(a.TimestampRoot, b.TimestampRoot) && slices.Equal(a.Logs, b.Logs)
}

// sameRoot reports whether two trust roots are one object: what is read again and is the
// same stays that.
func sameRoot(a, b root.TrustedMaterial) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reflect.TypeOf(a).Comparable() && a == b
}

// Standing says whether evidence that this authority found earlier can still count: nil
// when each log that it rests on is one of the authority's, was not caught since, gave no
// bad answer last, and was verified within its limit. Otherwise the verdict says what is
// wrong. Logs are asked only if they are stale.
//
// limit is the shortest time within which one of the logs must have been verified, and 0
// when the evidence rests on none.
func (a *Authority) Standing(ctx context.Context, e Evidence) (limit time.Duration, doubt Verdict) {
	for _, proof := range e.allProofs() {
		i := slices.IndexFunc(a.Logs, func(l *tlog.Prover) bool {
			return l.Log().KeyID() == proof.KeyID() && l.Log().Name() == proof.Log()
		})
		if i < 0 {
			return 0, Rejected{Reason: LogUnknown, Detail: printable("the policy does not name log " + proof.Log() + " any more")}
		}
		known, err := a.Logs[i].Standing(ctx)
		if err != nil {
			return 0, verdictOf(err)
		}
		if limit == 0 || known.Limit < limit {
			limit = known.Limit
		}
	}
	return limit, nil
}
