// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

func TestTheAuditShowsAnInsecureAcceptanceByAnyAuthorityThatWasNeeded(t *testing.T) {
	logged := verify.Verified{Evidence: verify.Evidence{Format: "bundle", Proofs: make([]tlog.Proof, 1)}}
	unlogged := verify.Verified{Evidence: verify.Evidence{Format: "legacy"}}
	for name, tt := range map[string]struct {
		second verify.Verdict
		want   string
	}{
		"the second authority ignores the log": {second: unlogged, want: "insecureIgnoreTlog"},
		"both authorities ask a log":           {second: logged},
		"the second authority refuses":         {second: verify.Rejected{Reason: verify.NoSignature}},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy.PolicyResult{Policy: policy.ClusterPolicy("p"), Verdict: logged, Authorities: []policy.AuthorityResult{
				{Name: "a", Verdict: logged}, {Name: "b", Verdict: tt.second},
			}}
			// The proof is empty, and so is what is written of its checkpoint.
			if got := auditPolicy(r).Insecure; got != tt.want {
				t.Errorf("insecure = %q, want %q", got, tt.want)
			}
		})
	}
}
