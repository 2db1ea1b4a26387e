// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Verdict is what is known about one image, or one piece of evidence, under
// one authority. It is a sum type: Verified, Rejected or Unavailable, and
// nothing else. Callers switch on the concrete type; there is no zero value
// that means "good", and a nil Verdict is a programming error that callers must
// treat as a rejection.
type Verdict interface {
	fmt.Stringer
	verdict()
}

// Verified says that a signature over the subject verifies and that each
// required log proved its entry.
type Verified struct {
	Evidence Evidence
}

// Rejected says that what was found is not acceptable, and why. It is final for
// the bytes that were looked at: asking again does not change it.
type Rejected struct {
	Reason Reason
	// Detail is one sentence for a person: what was found. It never holds
	// unbounded or unescaped bytes from a registry or a log.
	Detail string
}

// Unavailable says that nobody could tell: something that was needed did not
// answer. It is never an acceptance.
type Unavailable struct {
	Cause  Reason
	Detail string
}

func (Verified) verdict()    {}
func (Rejected) verdict()    {}
func (Unavailable) verdict() {}

func (v Verified) String() string    { return "Verified by " + v.Evidence.Signer }
func (v Rejected) String() string    { return string(v.Reason) + ": " + v.Detail }
func (v Unavailable) String() string { return string(v.Cause) + ": " + v.Detail }

// Evidence is why a Verified verdict was reached, in the form that is shown to
// people and written to audit records.
type Evidence struct {
	// Format is "legacy" (a cosign .sig layer), "bundle" (a sigstore bundle),
	// "attestations" (a policy that asks for these alone) or "static" (one that
	// asks for nothing).
	Format string `json:"format"`
	// Signer names the key that verified: "key sha256:<hex of the SPKI>".
	Signer string `json:"signer,omitempty"`
	// Proofs holds one proof for each distinct log that was required. It is
	// empty only where the policy says insecureIgnoreTlog, or is static.
	Proofs []tlog.Proof `json:"proofs,omitempty"`
	// Attestations are those that were required beside the signature, verified: for each
	// requirement one or, unless it says AnyOne, all that were good.
	Attestations []AttestationEvidence `json:"attestations,omitempty"`
	// SignedAt is when the signature was there already, in the words of those who
	// are trusted to know: timestamp authorities, and logs in signed entry
	// timestamps. It is empty where nobody said, and nobody had to.
	SignedAt []time.Time `json:"signedAt,omitempty"`
	// VerifiedAt is when the verdict was reached.
	VerifiedAt time.Time `json:"verifiedAt"`

	// statement is what was signed, if that is a statement, and predicate what it says,
	// until the verdict on the whole image is reached.
	statement []byte
	predicate json.RawMessage
}

// WithoutContent returns the evidence without what the attestations say, for those who keep
// it: predicates are as large as registries may serve them.
func (e Evidence) WithoutContent() Evidence {
	e.Attestations = slices.Clone(e.Attestations)
	for i := range e.Attestations {
		e.Attestations[i].Predicate = nil
	}
	return e
}

// Unasked says why a log could not be asked whether what it proves here is in its history,
// and is empty when no proof lacks that. See Authority.AcceptUnasked.
func (e Evidence) Unasked() string {
	for _, proof := range e.allProofs() {
		if why := proof.Unasked(); why != "" {
			return printable(why)
		}
	}
	return ""
}

// allProofs returns the proofs of the signature and of the attestations.
func (e Evidence) allProofs() []tlog.Proof {
	proofs := slices.Clone(e.Proofs)
	for _, attestation := range e.Attestations {
		proofs = append(proofs, attestation.Proofs...)
	}
	return proofs
}
