// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// Decisions on a request, as metrics, logs and audit annotations name them.
const (
	decisionAllow = "allow"
	decisionWarn  = "warn"
	decisionDeny  = "deny"
	decisionError = "error"
)

const (
	// maxCauses bounds the machine-readable causes of one refusal: four policies
	// for each of the images that an object may have.
	maxCauses = 4 * image.MaxOccurrences
	// maxCauseText bounds, in bytes, the messages in them. The others have a field
	// and a reason alone.
	maxCauseText = 64 << 10
)

// review is what was found about the images of one object.
type review struct {
	noMatch     policy.NoMatch
	occurrences []image.Occurrence
	decisions   map[string]policy.Decision
	// pod says that the images run as they are written.
	pod bool
}

// response is the answer to the API server, and the decision in it.
func (r *review) response() (admission.Response, string) {
	distinct := r.distinct()
	denial := policy.Denial(distinct, r.noMatch)
	decision := decisionAllow
	response := admission.Allowed("")
	response.Warnings = r.warnings(distinct)
	if len(response.Warnings) > 0 {
		decision = decisionWarn
	}
	if denial != "" {
		decision = decisionDeny
		response.Allowed = false
		response.Result = &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: denial,
			Details: &metav1.StatusDetails{Causes: r.causes()},
		}
	}
	response.AuditAnnotations = auditAnnotations(decision, distinct, r.pod)
	return response, decision
}

// distinct returns the decisions in the order in which their images first occur.
func (r *review) distinct() []policy.Decision {
	seen := map[string]bool{}
	var distinct []policy.Decision
	for _, o := range r.occurrences {
		if !seen[o.Image] {
			seen[o.Image] = true
			distinct = append(distinct, r.decisions[o.Image])
		}
	}
	return distinct
}

// causes names, for programs, each field with an image that is refused.
func (r *review) causes() []metav1.StatusCause {
	var causes []metav1.StatusCause
	room := maxCauseText
	for _, o := range r.occurrences {
		for _, refusal := range r.decisions[o.Image].Refusals(v1alpha1.ModeEnforce, r.noMatch) {
			if len(causes) == maxCauses {
				return causes
			}
			cause := metav1.StatusCause{Type: metav1.CauseType(refusal.Reason), Field: o.Path, Message: refusal.Text}
			if len(causes) >= policy.MaxExplained {
				cause.Message = refusal.Brief()
			}
			if len(cause.Message) > room {
				cause.Message = ""
			}
			room -= len(cause.Message)
			causes = append(causes, cause)
		}
	}
	return causes
}

// warnings are what whoever sent the object sees although it is admitted.
func (r *review) warnings(distinct []policy.Decision) []string {
	var texts []string
	for _, d := range distinct {
		for _, refusal := range d.Refusals(v1alpha1.ModeWarn, r.noMatch) {
			texts = append(texts, strings.Split(refusal.Text, "\n")...)
		}
		// What is accepted without full verification is to be seen by who runs it.
		for _, mode := range []v1alpha1.Mode{v1alpha1.ModeEnforce, v1alpha1.ModeWarn} {
			for _, text := range append(d.Exceptions(mode), d.Leniencies(mode)...) {
				texts = append(texts, strings.Split(text, "\n")...)
			}
		}
	}
	return asWarnings(texts)
}

// reasons are the distinct reasons of everything that was not accepted, in any
// mode, for the log.
func (r *review) reasons() []string {
	var reasons []string
	for _, d := range r.decisions {
		for _, mode := range []v1alpha1.Mode{v1alpha1.ModeEnforce, v1alpha1.ModeWarn, v1alpha1.ModeAudit} {
			for _, refusal := range d.Refusals(mode, r.noMatch) {
				reasons = append(reasons, string(refusal.Reason))
			}
		}
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}
