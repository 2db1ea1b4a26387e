// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestWhatIsRememberedIsSmall: who accepted an image and by which proofs, and not what
// attestations say, which may be megabytes of each of thousands of images.
func TestWhatIsRememberedIsSmall(t *testing.T) {
	o := newOutageTest(t, v1alpha1.OnUnavailableAllowPreviouslyVerified)
	o.key.says = verify.Verified{Evidence: verify.Evidence{
		Format: "attestations", Signer: "key a",
		Attestations: []verify.AttestationEvidence{{Name: "sbom", Signer: "key a", Predicate: json.RawMessage(`"large"`)}},
	}}
	if result := o.ask(t, "1"); !accepted(result.Verdict) || predicatesIn(result.Verdict) != 1 {
		t.Fatalf("got %v, want Verified with its predicate", result.Verdict)
	}
	o.key.says = logIsDown
	result := o.ask(t, "1")
	if !accepted(result.Verdict) || len(result.Authorities) != 1 {
		t.Fatalf("got %v, want what was verified before", result.Verdict)
	}
	for _, v := range []verify.Verdict{result.Verdict, result.Authorities[0].Verdict} {
		if good, ok := v.(verify.Verified); !ok || good.Evidence.Attestations[0].Signer != "key a" || predicatesIn(v) != 0 {
			t.Errorf("remembered is %+v", v)
		}
	}
}

func predicatesIn(v verify.Verdict) int {
	n := 0
	if good, ok := v.(verify.Verified); ok {
		for _, a := range good.Evidence.Attestations {
			if len(a.Predicate) > 0 {
				n++
			}
		}
	}
	return n
}
