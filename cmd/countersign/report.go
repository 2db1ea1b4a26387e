// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

// located is an image, and where it was found; nowhere when it is an argument.
type located struct {
	image, source, object, path string
}

// place is where an image stands, in the report.
type place struct {
	Source string `json:"source"`
	Object string `json:"object"`
	Path   string `json:"path"`
}

// verdictOnImage is one image of a report.
type verdictOnImage struct {
	policy.Decision
	// Outcome is Verified, Rejected or Unavailable.
	Outcome string  `json:"outcome"`
	Places  []place `json:"places,omitempty"`
}

// report is what a command found about all images.
type report struct {
	Images []verdictOnImage `json:"images"`
	// ObjectsWithoutImages counts the objects of kinds that bring in no image.
	ObjectsWithoutImages int `json:"objectsWithoutImages,omitempty"`

	noMatch policy.NoMatch
}

func newReport(ctx context.Context, evaluator *policy.Evaluator, images []located, without int, noMatch policy.NoMatch) *report {
	written := make([]string, 0, len(images))
	for _, i := range images {
		written = append(written, i.image)
	}
	decisions := evaluator.EvaluateAll(ctx, policy.Origin{}, written)
	r := &report{Images: []verdictOnImage{}, ObjectsWithoutImages: without, noMatch: noMatch}
	position := map[string]int{}
	for _, i := range images {
		n, known := position[i.image]
		if !known {
			n = len(r.Images)
			position[i.image] = n
			r.Images = append(r.Images, verdictOnImage{Decision: decisions[i.image], Outcome: overall(decisions[i.image], noMatch)})
		}
		if i.source != "" {
			r.Images[n].Places = append(r.Images[n].Places, place{i.source, i.object, i.path})
		}
	}
	return r
}

// overall is the outcome of all policies together, whatever their modes: a mode
// says what admission does about a verdict, not what the verdict is.
func overall(d policy.Decision, noMatch policy.NoMatch) string {
	if !d.Covered() {
		if noMatch == policy.NoMatchDeny {
			return outcomeRejected
		}
		return outcomeUncovered
	}
	outcome := outcomeVerified
	for _, r := range d.Policies {
		switch got, _, _ := policy.Outcome(r.Verdict); got {
		case outcomeVerified:
		case outcomeUnavailable:
			if outcome == outcomeVerified {
				outcome = outcomeUnavailable
			}
		default:
			outcome = outcomeRejected
		}
	}
	return outcome
}

// Outcomes of package policy, and that of an image that nothing was asked of.
const (
	outcomeVerified    = "Verified"
	outcomeRejected    = "Rejected"
	outcomeUnavailable = "Unavailable"
	outcomeUncovered   = "NotCovered"
)

// exitCode is that of the worst verdict.
func (r *report) exitCode() int {
	code := exitVerified
	for _, i := range r.Images {
		switch i.Outcome {
		case outcomeVerified, outcomeUncovered:
		case outcomeUnavailable:
			if code == exitVerified {
				code = exitUnavailable
			}
		default:
			code = exitRejected
		}
	}
	return code
}

// printerFor returns the function that writes a report, or anything that is shown
// in the same formats, in the format that is named.
func printerFor(format string) (func(io.Writer, any) error, error) {
	switch format {
	case "text":
		return func(w io.Writer, v any) error {
			_, err := fmt.Fprint(w, v)
			return err
		}, nil
	case "json":
		return func(w io.Writer, v any) error {
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", "  ")
			return encoder.Encode(v)
		}, nil
	case "yaml":
		return func(w io.Writer, v any) error {
			text, err := yaml.Marshal(v)
			if err != nil {
				return err
			}
			_, err = w.Write(text)
			return err
		}, nil
	default:
		return nil, fmt.Errorf("--output: %q is none of text, json, yaml", format)
	}
}

// String is the report for a person.
func (r *report) String() string {
	var b strings.Builder
	for _, i := range r.Images {
		r.writeImage(&b, i)
	}
	if r.ObjectsWithoutImages > 0 {
		fmt.Fprintf(&b, "%d objects of kinds that bring in no image were not looked at\n", r.ObjectsWithoutImages)
	}
	return b.String()
}

func (r *report) writeImage(b *strings.Builder, i verdictOnImage) {
	for _, result := range i.Policies {
		if _, ok := result.Verdict.(verify.Verified); ok {
			b.WriteString(i.ExplainVerified(result) + "\n")
		}
	}
	for _, mode := range []v1alpha1.Mode{v1alpha1.ModeEnforce, v1alpha1.ModeWarn, v1alpha1.ModeAudit} {
		for _, refusal := range i.Refusals(mode, r.noMatch) {
			b.WriteString(refusal.Text + "\n")
		}
	}
	if i.Outcome == outcomeUncovered && r.noMatch == policy.NoMatchAllow {
		fmt.Fprintf(b, "image %s is covered by no policy\n", i.Image)
	}
	for _, p := range i.Places {
		fmt.Fprintf(b, "  in %s, %s, %s\n", p.Source, p.Object, p.Path)
	}
}
