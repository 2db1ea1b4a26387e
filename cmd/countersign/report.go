// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

// located is an image, and where it was found; nowhere when it is an argument.
type located struct {
	image, source, object, path string
	origin                      policy.Origin
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
	decisions := decideAll(ctx, evaluator, images)
	r := &report{Images: []verdictOnImage{}, ObjectsWithoutImages: without, noMatch: noMatch}
	position := map[string]int{}
	for at, i := range images {
		d := decisions[at]
		n, known := position[sameVerdict(d)]
		if !known {
			n = len(r.Images)
			position[sameVerdict(d)] = n
			r.Images = append(r.Images, verdictOnImage{Decision: d, Outcome: overall(d, noMatch)})
		}
		if i.source != "" {
			r.Images[n].Places = append(r.Images[n].Places, place{i.source, i.object, i.path})
		}
	}
	return r
}

// decideAll decides about each image, those of one object together, several objects at a
// time.
func decideAll(ctx context.Context, evaluator *policy.Evaluator, images []located) []policy.Decision {
	type object struct{ source, object string }
	byObject := map[object][]int{}
	for at, i := range images {
		o := object{i.source, i.object}
		byObject[o] = append(byObject[o], at)
	}
	decisions := make([]policy.Decision, len(images))
	var group errgroup.Group
	group.SetLimit(maxObjects)
	for _, positions := range byObject {
		group.Go(func() error {
			var written []string
			for _, at := range positions {
				written = append(written, images[at].image)
			}
			found := evaluator.EvaluateAll(ctx, images[positions[0]].origin, written)
			for _, at := range positions {
				decisions[at] = found[images[at].image]
			}
			return nil
		})
	}
	_ = group.Wait() // the functions above return no error
	return decisions
}

// maxObjects is the number of objects whose images are verified at a time.
const maxObjects = 8

// sameVerdict is the same text for decisions that say the same of the same image, so that
// an image in many objects is shown once, unless other policies cover it there.
func sameVerdict(d policy.Decision) string {
	parts := []string{d.Image}
	for _, r := range d.Policies {
		outcome, reason, _ := policy.Outcome(r.Verdict)
		parts = append(parts, r.Policy.String(), outcome, string(reason))
	}
	return strings.Join(parts, "\x00")
}

// overall is the outcome of all policies together, whatever their modes: a mode
// says what admission does about a verdict, not what the verdict is.
func overall(d policy.Decision, noMatch policy.NoMatch) string {
	switch {
	case noMatch == policy.NoMatchDeny && !d.SurelyCovered():
		return outcomeRejected
	case !d.Covered():
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
