// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestUnloggedIsWhatNoLogWasAskedAbout(t *testing.T) {
	t.Parallel()
	proofs := make([]tlog.Proof, 1)
	for what, tt := range map[string]struct {
		evidence verify.Evidence
		want     bool
	}{
		"a signature with a proof":                         {verify.Evidence{Format: "bundle", Proofs: proofs}, false},
		"a signature without one":                          {verify.Evidence{Format: "bundle"}, true},
		"a policy that looks at nothing":                   {verify.Evidence{Format: formatStatic}, false},
		"attestations alone, with proofs":                  {verify.Evidence{Format: "attestations", Attestations: []verify.AttestationEvidence{{Proofs: proofs}}}, false},
		"attestations alone, one without":                  {verify.Evidence{Format: "attestations", Attestations: []verify.AttestationEvidence{{Proofs: proofs}, {}}}, true},
		"a signature with a proof, an attestation without": {verify.Evidence{Format: "legacy", Proofs: proofs, Attestations: []verify.AttestationEvidence{{}}}, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if got := Unlogged(verify.Verified{Evidence: tt.evidence}); got != tt.want {
				t.Errorf("Unlogged = %t, want %t", got, tt.want)
			}
		})
	}
}
