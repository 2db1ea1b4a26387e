// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestCombine(t *testing.T) {
	good := verify.Verified{Evidence: verify.Evidence{Format: "legacy"}}
	rejected := func(r Reason) verify.Verdict { return verify.Rejected{Reason: r} }
	unavailable := func(r Reason) verify.Verdict { return verify.Unavailable{Cause: r} }
	for name, tt := range map[string]struct {
		verdicts  []verify.Verdict
		threshold int
		want      verify.Verdict
	}{
		"no authority accepts nothing":                 {threshold: 1, want: rejected(verify.PolicyNotReady)},
		"a threshold of nothing accepts nothing":       {threshold: 0, want: rejected(verify.PolicyNotReady)},
		"one of one":                                   {[]verify.Verdict{good}, 1, good},
		"one of two":                                   {[]verify.Verdict{rejected(verify.NoSignature), good}, 1, good},
		"unavailable does not spoil an acceptance":     {[]verify.Verdict{unavailable(verify.LogUnavailable), good}, 1, good},
		"unavailable, where it might have been enough": {[]verify.Verdict{rejected(verify.NoSignature), unavailable(verify.LogUnavailable)}, 1, unavailable(verify.LogUnavailable)},
		"unavailable beside one, of two needed":        {[]verify.Verdict{good, unavailable(verify.LogUnavailable)}, 2, unavailable(verify.LogUnavailable)},
		"rejected, where unavailable could not help":   {[]verify.Verdict{rejected(verify.KeyMismatch), rejected(verify.NoSignature), unavailable(verify.LogUnavailable)}, 2, rejected(verify.KeyMismatch)},
		"the evidence that came further says more":     {[]verify.Verdict{rejected(verify.NoSignature), rejected(verify.NotLogged), rejected(verify.KeyMismatch)}, 1, rejected(verify.NotLogged)},
		"an inconsistent log says most":                {[]verify.Verdict{rejected(verify.NotLogged), rejected(verify.CheckpointInconsistent)}, 1, rejected(verify.CheckpointInconsistent)},
		"a nil verdict is no acceptance":               {[]verify.Verdict{nil}, 1, rejected(verify.PolicyNotReady)},
		"a nil verdict beside one, of two needed":      {[]verify.Verdict{good, nil}, 2, rejected(verify.PolicyNotReady)},
	} {
		t.Run(name, func(t *testing.T) {
			var results []AuthorityResult
			for _, v := range tt.verdicts {
				results = append(results, AuthorityResult{Verdict: v})
			}
			got := combine(results, tt.threshold)
			gotOutcome, gotReason, _ := Outcome(got)
			wantOutcome, wantReason, _ := Outcome(tt.want)
			if diff := cmp.Diff([]any{wantOutcome, wantReason}, []any{gotOutcome, gotReason}); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}
