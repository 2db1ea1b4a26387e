// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
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
	// AnyOne ends the search with the first that is good: nobody asks what they say.
	// Otherwise each is judged, and all that are good are handed on.
	AnyOne bool
}

// maxAccepted bounds the different attestations that are handed on for one requirement.
// One that is not handed on could be the one that a policy is about, so more are refused.
const maxAccepted = 128

// AttestationEvidence is one attestation that was required and verified. There are several
// of one name where several were good.
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

// verifyAttestation looks for good attestations of the required type. The verdict is the
// evidence so far with these attestations, or why there is none.
func (a *Authority) verifyAttestation(ctx context.Context, digest string, signatures []Signature, required AttestationRequirement, so Evidence) Verdict {
	if required.PredicateType == "" || required.PredicateType == signPredicateType {
		return Rejected{Reason: PolicyNotReady, Detail: "the attestation " + printable(required.Name) + " has no predicate type of an attestation"}
	}
	accepted, refusal := a.accept(ctx, digest, signatures, required)
	switch refusal := refusal.(type) {
	case nil:
	case Rejected:
		return aboutAttestation(refusal, required)
	default:
		return refusal
	}
	so.Attestations = slices.Clone(so.Attestations)
	for _, found := range accepted {
		so.Attestations = append(so.Attestations, AttestationEvidence{
			Name:          required.Name,
			PredicateType: required.PredicateType,
			Signer:        found.Signer,
			Proofs:        found.Proofs,
			Predicate:     found.predicate,
		})
	}
	if so.Signer == "" { // no signature was asked for
		so.Signer = accepted[0].Signer
	}
	return Verified{Evidence: so}
}

// accept returns the evidence of the good attestations of the required type, at least one, or
// the verdict that there is none. Copies of one statement count once, however often somebody
// wrote them into the registry. Where all are asked for, one that nobody could judge is a
// refusal: it could be good, and say what none of the others does.
func (a *Authority) accept(ctx context.Context, digest string, signatures []Signature, required AttestationRequirement) ([]Evidence, Verdict) {
	want := purpose{predicateType: required.PredicateType}
	if required.AnyOne {
		found := a.search(ctx, digest, signatures, want)
		if good, ok := found.(Verified); ok {
			return []Evidence{good.Evidence}, nil
		}
		return nil, found
	}
	var accepted []Evidence
	var refusal Verdict = Rejected{Reason: NoSignature, Detail: attestationMessage}
	for _, s := range signatures {
		verdict := a.search(ctx, digest, []Signature{s}, want)
		good, ok := verdict.(Verified)
		switch {
		case !ok:
			refusal = further(refusal, verdict)
		case slices.ContainsFunc(accepted, func(e Evidence) bool { return bytes.Equal(e.statement, good.Evidence.statement) }):
		case len(accepted) == maxAccepted:
			return nil, Rejected{Reason: LimitExceeded, Detail: fmt.Sprintf("the image has more than %d different ones that are good: replace them, and do not add to them", maxAccepted)}
		default:
			accepted = append(accepted, good.Evidence)
		}
	}
	if _, unjudged := refusal.(Unavailable); unjudged || len(accepted) == 0 {
		return nil, refusal
	}
	return accepted, nil
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
