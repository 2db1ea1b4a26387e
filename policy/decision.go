// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"slices"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// Decision is what was found about one image under every policy that covers it.
// The policies are all required; a Decision without any says that no policy
// covers the image.
type Decision struct {
	// Image is the reference as the object writes it.
	Image string `json:"image"`
	// Digest is what was judged: "sha256:<hex>", or "" when the image could not
	// be resolved or no policy needed it.
	Digest string `json:"digest,omitempty"`
	// Pinned is set when Image itself names Digest.
	Pinned bool `json:"pinned"`
	// Policies holds one result for each covering policy, by name.
	Policies []PolicyResult `json:"policies"`

	// conditional holds, for each policy of which a digest that Image does not
	// name decides whether it covers the image, its refusal for want of one.
	conditional []PolicyResult
	// unsure names the policies of which nobody can tell whether they reach the object.
	unsure []ID
	// unpinned is set by RequireDigest: what runs need not have Digest.
	unpinned bool
}

// PolicyResult is what was found under one policy.
type PolicyResult struct {
	Policy     ID
	Generation int64
	Mode       v1alpha1.Mode
	// Threshold is the number of authorities that must accept.
	Threshold int
	// Authorities are those that were asked, in their order. It is empty when
	// the verdict does not come from them.
	Authorities []AuthorityResult
	// Verdict is the policy's own: never nil.
	Verdict verify.Verdict

	// Exception is what sets aside that the policy does not accept the image; nil where
	// nothing does, or it does accept it.
	Exception *ExceptionUse

	leniency   *Leniency
	exceptions bool
}

// AuthorityResult is what was found under one authority.
type AuthorityResult struct {
	Name    string
	Verdict verify.Verdict
}

// Covered reports whether any policy covers the image.
func (d Decision) Covered() bool { return len(d.Policies) > 0 }

// Failing returns the results of the policies with that mode that do not accept
// the image, Rejected or Unavailable, and that no exception sets aside.
func (d Decision) Failing(mode v1alpha1.Mode) []PolicyResult {
	var failing []PolicyResult
	for _, r := range d.Policies {
		if r.Mode == mode && !accepted(r.Verdict) && r.Exception == nil {
			failing = append(failing, r)
		}
	}
	return failing
}

// Outcome sums up a verdict, in the words that are used in metrics and reports:
// "Verified", "Rejected" or "Unavailable", the reason, and the detail. A verdict
// of no known kind is a rejection.
func Outcome(v verify.Verdict) (outcome string, reason Reason, detail string) {
	switch v := v.(type) {
	case verify.Verified:
		return "Verified", "", ""
	case verify.Rejected:
		return "Rejected", v.Reason, v.Detail
	case verify.Unavailable:
		return "Unavailable", v.Cause, v.Detail
	default:
		return "Rejected", verify.PolicyNotReady, "no verdict was reached"
	}
}

// Unlogged reports whether v accepts a signature that no log was asked about:
// the policy says insecureIgnoreTlog. Each use of that is to be seen.
func Unlogged(v verify.Verdict) bool {
	good, ok := v.(verify.Verified)
	if !ok || good.Evidence.Format == formatStatic {
		return false
	}
	// Where attestations are asked for alone, the proofs are theirs.
	attested := good.Evidence.Attestations
	return len(good.Evidence.Proofs) == 0 && len(attested) == 0 ||
		slices.ContainsFunc(attested, func(a verify.AttestationEvidence) bool { return len(a.Proofs) == 0 })
}

// Reason names why an image was not accepted: the closed set of package verify.
type Reason = verify.Reason

// VerdictReport is the form in which a verdict is shown to programs: the outcome
// in the words of Outcome, and why.
type VerdictReport struct {
	Outcome  string           `json:"outcome"`
	Reason   Reason           `json:"reason,omitempty"`
	Detail   string           `json:"detail,omitempty"`
	Evidence *verify.Evidence `json:"evidence,omitempty"`
}

// ReportOf returns the report of a verdict.
func ReportOf(v verify.Verdict) VerdictReport {
	outcome, reason, detail := Outcome(v)
	out := VerdictReport{Outcome: outcome, Reason: reason, Detail: detail}
	if good, ok := v.(verify.Verified); ok {
		out.Evidence = &good.Evidence
	}
	return out
}

// MarshalJSON writes the verdict as outcome, reason, detail and evidence.
func (r AuthorityResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string `json:"name"`
		VerdictReport
	}{r.Name, ReportOf(r.Verdict)})
}

// MarshalJSON writes the policy, its verdict and those of its authorities.
func (r PolicyResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Policy     ID            `json:"policy"`
		Generation int64         `json:"generation,omitempty"`
		Mode       v1alpha1.Mode `json:"mode"`
		Threshold  int           `json:"threshold"`
		VerdictReport
		Leniency    *Leniency         `json:"leniency,omitempty"`
		Exception   *ExceptionUse     `json:"exception,omitempty"`
		Authorities []AuthorityResult `json:"authorities,omitempty"`
	}{r.Policy, r.Generation, r.Mode, r.Threshold, ReportOf(r.Verdict), r.Leniency(), r.Exception, r.Authorities})
}
