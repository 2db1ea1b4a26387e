// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// attesting is a keyed Verifier that asks for attestations.
type attesting struct{ keyed }

func (attesting) NeedsAttestations() bool { return true }

func TestAttestationsAreFetchedOnlyForPoliciesThatAskForThem(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		asks     bool
		registry *scripted
		want     string
		asked    int
	}{
		"a policy that does not ask": {
			registry: &scripted{fresh: signed("a"), attested: signed("x")},
			want:     "p=Verified",
		},
		"a policy that asks sees them beside the signatures": {
			asks: true, registry: &scripted{fresh: signed("b"), attested: signed("a")},
			want: "p=Verified", asked: 1,
		},
		"a registry that fails for them alone denies nobody and admits nobody": {
			asks: true, registry: &scripted{fresh: signed("b"), attestedErr: &registry.Error{Reason: verify.RegistryThrottled, Detail: "429"}},
			want: "p=Unavailable/RegistryThrottled", asked: 1,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := covering(t, "p", enforce, []string{"registry.corp.example/**"}, "a")
			if tt.asks {
				p.authorities[0].key = attesting{keyed{accepts: "a"}}
			}
			d := NewEvaluator(Options{Policies: NewSet(p), Registry: tt.registry}).
				Evaluate(t.Context(), Origin{}, "registry.corp.example/app@"+digestOf("1"))
			if got := summary(d); got != tt.want || tt.registry.attestations != tt.asked {
				t.Errorf("got %s after %d requests for attestations, want %s after %d", got, tt.registry.attestations, tt.want, tt.asked)
			}
		})
	}
}
