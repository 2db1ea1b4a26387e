// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	// MaxExplained is how many refusals of one object are explained. The response
	// of a webhook ends up in a person's terminal; others get a line.
	MaxExplained = 20
	// maxNamed bounds, in bytes, the lines about the others. All images of an
	// object, of ordinary length, fit in.
	maxNamed = 64 << 10
)

// NoMatch says what happens to an image that no policy covers.
type NoMatch string

// What can happen to an image that no policy covers.
const (
	NoMatchAllow NoMatch = "allow"
	NoMatchWarn  NoMatch = "warn"
	NoMatchDeny  NoMatch = "deny"
)

// ParseNoMatch returns the setting that s names.
func ParseNoMatch(s string) (NoMatch, error) {
	switch n := NoMatch(s); n {
	case NoMatchAllow, NoMatchWarn, NoMatchDeny:
		return n, nil
	default:
		return "", fmt.Errorf("%q is none of allow, warn, deny", s)
	}
}

// mode is the mode of a policy that would say the same of an image that no other
// covers. What is not known to be allowed or to be warned of is refused.
func (n NoMatch) mode() v1alpha1.Mode {
	switch n {
	case NoMatchAllow:
		return ""
	case NoMatchWarn:
		return v1alpha1.ModeWarn
	default:
		return v1alpha1.ModeEnforce
	}
}

// Refusal is why an image is not accepted: a reason, and its text for a person.
type Refusal struct {
	Reason Reason
	Text   string
}

// Brief is the refusal on one line: which image, by whom, and the reason.
func (r Refusal) Brief() string {
	head, _, _ := strings.Cut(r.Text, "\n")
	return head + ": " + string(r.Reason)
}

// Refusals returns why the policies with that mode do not accept the image, one
// refusal for each, or that no policy covers it where noMatch says as much. A
// policy that covers the image only if it has a certain digest is none to rely on
// while that is not known to be what will run.
func (d Decision) Refusals(mode v1alpha1.Mode, noMatch NoMatch) []Refusal {
	var refusals []Refusal
	for _, r := range d.Failing(mode) {
		_, reason, _ := Outcome(r.Verdict)
		refusals = append(refusals, Refusal{Reason: reason, Text: d.Explain(r)})
	}
	if noMatch.mode() == mode && !d.SurelyCovered() && len(refusals)+len(d.Failing(v1alpha1.ModeEnforce)) == 0 {
		refusals = append(refusals, Refusal{Reason: verify.NoMatchingPolicy, Text: d.explainUncovered(mode)})
	}
	return refusals
}

// Denial is the text of a refusal, and "" when there is none: one block for each
// image and enforcing policy that does not accept it.
//
//	image registry.corp.example/payments/api:1.4 (sha256:9f61…c29e) denied by ClusterImagePolicy "payments"
//	  authority "release-key": NotLogged: a valid signature was found, but its entry is not in log "corp"
//	  → sign with …
//
// Of more than MaxExplained of them, the others are named in a line each.
func Denial(decisions []Decision, noMatch NoMatch) string {
	var b strings.Builder
	written, left, room := 0, 0, maxNamed
	for _, d := range decisions {
		for _, refusal := range d.Refusals(v1alpha1.ModeEnforce, noMatch) {
			text := refusal.Text
			if written >= MaxExplained {
				text = refusal.Brief()
				room -= len(text) + 1
			}
			if room < 0 {
				left++
				continue
			}
			if written > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(text)
			written++
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n… and %d more", left)
	}
	return b.String()
}

// Explain is the block of a denial about one of the decision's failing results:
// what was refused by which policy, what each authority found, and what to do.
func (d Decision) Explain(r PolicyResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s by %v", d.subject(), verb(r.Mode), r.Policy)
	if r.Threshold > 1 && len(r.Authorities) > 0 {
		fmt.Fprintf(&b, " (%d of %d required authorities accept it)", r.accepting(), r.Threshold)
	}
	for _, a := range r.Authorities {
		fmt.Fprintf(&b, "\n  authority %q: %s", a.Name, Found(a.Verdict))
	}
	if len(r.Authorities) == 0 {
		fmt.Fprintf(&b, "\n  %s", Found(r.Verdict))
	}
	_, reason, _ := Outcome(r.Verdict)
	fmt.Fprintf(&b, "\n  → %s", Advice(reason))
	if r.exceptable() {
		b.WriteString("; or ask for an ImagePolicyException")
	}
	return b.String()
}

// explainUncovered is the block about an image that no policy covers, or none for
// sure.
func (d Decision) explainUncovered(mode v1alpha1.Mode) string {
	found := "no policy covers this image"
	switch {
	case len(d.unsure) > 0:
		found = "no policy is sure to cover this image, since the labels that it asks for could not be read"
	case slices.ContainsFunc(d.Policies, func(r PolicyResult) bool { return r.Policy.Namespace == "" }):
		found = "no policy is sure to cover this image, since nobody knows the digest that will run"
	case d.Covered():
		found = "no policy of the cluster covers this image; one of the namespace does not count"
	}
	return fmt.Sprintf("%s %s\n  %s: %s\n  → %s", d.subject(), verb(mode), verify.NoMatchingPolicy, found, Advice(verify.NoMatchingPolicy))
}

func verb(mode v1alpha1.Mode) string {
	if mode == v1alpha1.ModeEnforce {
		return "denied"
	}
	return "would be denied"
}

// subject names the image as people do: by repository and tag, with the digest in
// short. Programs find the whole digest in the audit annotations.
func (d Decision) subject() string {
	subject := "image " + printable(strings.TrimSuffix(d.Image, "@"+d.Digest), maxReference)
	if d.Digest != "" {
		subject += " (" + shortDigest(d.Digest) + ")"
	}
	return subject
}

func (r PolicyResult) accepting() int {
	n := 0
	for _, a := range r.Authorities {
		if accepted(a.Verdict) {
			n++
		}
	}
	return n
}

// Found says what one verdict is about, on one line: the reason and what was
// found, or the evidence.
func Found(v verify.Verdict) string {
	good, ok := v.(verify.Verified)
	if !ok {
		_, reason, detail := Outcome(v)
		return fmt.Sprintf("%s: %s", reason, detail)
	}
	if good.Evidence.Format == formatStatic {
		return "accepts it without looking"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "accepts it: signed by %s (%s)", good.Evidence.Signer, good.Evidence.Format)
	for _, proof := range good.Evidence.Proofs {
		fmt.Fprintf(&b, ", in %v", proof)
	}
	if Unlogged(v) {
		b.WriteString(", in no log (insecureIgnoreTlog)")
	}
	return b.String()
}

// Leniencies are the texts of what was accepted although it could not be verified in full,
// by policies with that mode: one block each.
func (d Decision) Leniencies(mode v1alpha1.Mode) []string {
	var texts []string
	for _, r := range d.Policies {
		if r.Mode == mode && r.Leniency() != nil {
			texts = append(texts, d.explainLeniency(r, *r.Leniency()))
		}
	}
	return texts
}

func (d Decision) explainLeniency(r PolicyResult, l Leniency) string {
	text := fmt.Sprintf("%s accepted by %v without full verification (onUnavailable: %s)", d.subject(), r.Policy, l.Rule)
	if l.VerifiedAt != nil {
		text += ", as it was verified at " + l.VerifiedAt.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s\n  %s: %s", text, l.Cause, l.Detail)
}

// ExplainVerified is the block about one of the decision's results that accepts
// the image, in the form of Explain.
func (d Decision) ExplainVerified(r PolicyResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s verified by %v", d.subject(), r.Policy)
	for _, a := range r.Authorities {
		fmt.Fprintf(&b, "\n  authority %q: %s", a.Name, Found(a.Verdict))
	}
	if l := r.Leniency(); l != nil {
		fmt.Fprintf(&b, "\n  not verified in full (onUnavailable: %s): %s: %s", l.Rule, l.Cause, l.Detail)
	}
	return b.String()
}
