// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// formatAttestations is the Evidence.Format of an image that a policy accepts for
// its attestations alone.
const formatAttestations = "attestations"

// AttestationRequirement asks for an in-toto attestation about the image, made and
// logged by whoever may sign under the authority.
type AttestationRequirement struct {
	// Name is the requirement's name in its policy.
	Name string
	// PredicateType is the URI of the predicate's type: see PredicateType for
	// the short names.
	PredicateType string
}

// AttestationEvidence is one attestation that was required and verified.
type AttestationEvidence struct {
	Name          string       `json:"name"`
	PredicateType string       `json:"predicateType"`
	Signer        string       `json:"signer"`
	Proofs        []tlog.Proof `json:"proofs,omitempty"`
	// Predicate is what was attested, for a policy about it: JSON, as it was signed,
	// and no longer than its bundle or layer may be. Null where there is none. It is
	// in no report.
	Predicate json.RawMessage `json:"-"`
}

// predicateTypes are cosign's short names of predicate types, as `cosign attest
// --type` takes them (github.com/sigstore/cosign, pkg/cosign/attestation and
// cmd/cosign/cli/options/predicate.go).
var predicateTypes = map[string]string{
	"custom":           "https://cosign.sigstore.dev/attestation/v1",
	"cyclonedx":        "https://cyclonedx.org/bom",
	"link":             "https://in-toto.io/Link/v1",
	"openvex":          "https://openvex.dev/ns",
	"slsaprovenance":   "https://slsa.dev/provenance/v0.2",
	"slsaprovenance02": "https://slsa.dev/provenance/v0.2",
	"slsaprovenance1":  "https://slsa.dev/provenance/v1",
	"spdx":             "https://spdx.dev/Document",
	"spdxjson":         "https://spdx.dev/Document",
	"vuln":             "https://cosign.sigstore.dev/attestation/vuln/v1",
}

// PredicateType returns the URI that cosign's short name stands for, or name as
// it is.
func PredicateType(name string) string {
	if uri, ok := predicateTypes[name]; ok {
		return uri
	}
	return name
}

// NeedsAttestations reports whether the authority asks for attestations.
func (a *Authority) NeedsAttestations() bool { return len(a.Attestations) > 0 }

// verifyAttestation looks for a good attestation of the required type. The verdict
// is the evidence so far with this attestation, or why there is none.
func (a *Authority) verifyAttestation(ctx context.Context, digest string, signatures []Signature, required AttestationRequirement, so Evidence) Verdict {
	if required.PredicateType == "" || required.PredicateType == signPredicateType {
		return Rejected{Reason: PolicyNotReady, Detail: "the attestation " + printable(required.Name) + " has no predicate type of an attestation"}
	}
	switch v := a.search(ctx, digest, signatures, purpose{predicateType: required.PredicateType}).(type) {
	case Verified:
		fields, err := statementFields(v.Evidence.statement)
		if err != nil {
			return verdictOf(err)
		}
		so.Attestations = append(slices.Clone(so.Attestations), AttestationEvidence{
			Name:          required.Name,
			PredicateType: required.PredicateType,
			Signer:        v.Evidence.Signer,
			Proofs:        v.Evidence.Proofs,
			Predicate:     fields["predicate"],
		})
		if so.Signer == "" { // no signature was asked for
			so.Signer = v.Evidence.Signer
		}
		return Verified{Evidence: so}
	case Rejected:
		return aboutAttestation(v, required)
	default:
		return v
	}
}

// aboutAttestation says a rejection in the terms of attestations. Reasons that
// concern certificates and logs are the same for both.
func aboutAttestation(r Rejected, required AttestationRequirement) Rejected {
	what := fmt.Sprintf("attestation %q (%s): ", required.Name, required.PredicateType)
	reason, detail := r.Reason, r.Detail
	if r.Reason == NoSignature {
		reason, detail = AttestationMissing, "none was found"
	}
	if r.Reason == SignatureInvalid {
		reason = AttestationInvalid
	}
	return Rejected{Reason: reason, Detail: printable(what + detail)}
}
