// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

func newLogStatus() *cobra.Command {
	var o logOptions
	var ask bool
	c := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show what the cluster has seen of its logs",
		Long: `Show what the status of one TransparencyLog, or of all, holds: the last verified
checkpoint of each tree and since when it stands, conditions, witnesses, and the
evidence if a log was caught. Each note is verified anew under the key in the object.
With --ask, every replica of the log is asked what it shows now, too.

Exit code: 1 when a log was caught, or a note does not verify; 3 when a log is not
ready for another reason, or nothing has been seen of it.`,
		Example: "  countersign log status corp\n  kubectl get transparencylogs -o yaml | countersign log status --trust - -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			show, err := printerFor(o.output)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			source, err := o.load(ctx, c)
			if err != nil {
				return err
			}
			chosen := source.objects
			if len(args) > 0 {
				one, err := source.choose(args)
				if err != nil {
					return err
				}
				chosen = []v1alpha1.TransparencyLog{*one}
			}
			report := logsReport{Logs: []*logReport{}}
			for i := range chosen {
				report.Logs = append(report.Logs, source.report(ctx, &chosen[i], ask))
			}
			if err := show(c.OutOrStdout(), report); err != nil {
				return exitError{code: exitUnavailable, err: err}
			}
			return report.exit()
		},
	}
	o.register(c)
	o.registerTimeout(c.Flags())
	c.Flags().BoolVar(&ask, "ask", false, "ask every replica of the log what it shows now")
	return c
}

// logsReport is what `log status` says.
type logsReport struct {
	Logs []*logReport `json:"logs"`
}

// logReport is the status of one log, and what is to be said of it.
type logReport struct {
	Name   string           `json:"name"`
	Type   v1alpha1.LogType `json:"type"`
	Origin string           `json:"origin"`
	// Checkpoints are the last verified ones, the active tree's first.
	Checkpoints   []v1alpha1.LogCheckpoint   `json:"checkpoints"`
	Conditions    []metav1.Condition         `json:"conditions"`
	Inconsistency *v1alpha1.LogInconsistency `json:"inconsistency,omitempty"`
	LastReset     *v1alpha1.LogResetRecord   `json:"lastReset,omitempty"`
	// Replicas are what the log shows now, if it was asked.
	Replicas []replicaReport `json:"replicas,omitempty"`
	// Problems are what does not verify in the object itself.
	Problems []string `json:"problems,omitempty"`

	witnesses []string
}

// replicaReport is what one replica shows.
type replicaReport struct {
	URL         string             `json:"url"`
	Checkpoints []checkpointRecord `json:"checkpoints,omitempty"`
	Problem     *finding           `json:"problem,omitempty"`

	wrong bool
}

// report looks at one log.
func (s *logSource) report(ctx context.Context, obj *v1alpha1.TransparencyLog, ask bool) *logReport {
	r := &logReport{
		Name: obj.Name, Type: obj.Spec.Type, Origin: obj.Spec.Origin,
		Checkpoints: []v1alpha1.LogCheckpoint{}, Conditions: obj.Status.Conditions, Inconsistency: obj.Status.Inconsistency, LastReset: obj.Status.LastReset,
	}
	r.Checkpoints = append(r.Checkpoints, storedIn(obj)...)
	prover, err := s.prover(obj)
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		return r
	}
	for _, stored := range r.Checkpoints {
		r.check(prover.Log(), stored)
	}
	if r.Inconsistency != nil {
		for _, note := range r.Inconsistency.Notes {
			if _, err := prover.Log().VerifyCheckpoint([]byte(note)); err != nil {
				r.problem("evidence", err)
			}
		}
	}
	if ask {
		for _, seen := range prover.Look(ctx) {
			r.Replicas = append(r.Replicas, replicaReportOf(seen))
		}
	}
	return r
}

// check verifies a note of the status under the log's key, and that what stands beside
// it is what it says.
func (r *logReport) check(log *tlog.Log, stored v1alpha1.LogCheckpoint) {
	signed, err := log.VerifyCheckpoint([]byte(stored.Note))
	if err != nil {
		r.problem("status of "+stored.Origin, err)
		return
	}
	if said := recordOf(signed); said.Origin != stored.Origin || said.RootHash != stored.RootHash || int64(said.Size) != stored.Size { //nolint:gosec // a size that is too large differs
		r.problem("status of "+stored.Origin, fmt.Errorf("its note is of %v", said))
	}
	if said := signed.Witnesses(); said != "" {
		r.witnesses = append(r.witnesses, fmt.Sprintf("size %d is %s", signed.Size(), said))
	}
}

func (r *logReport) problem(where string, err error) {
	r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", where, err))
}

func replicaReportOf(seen tlog.Sighting) replicaReport {
	r := replicaReport{URL: seen.Replica}
	for _, checkpoint := range seen.Checkpoints {
		r.Checkpoints = append(r.Checkpoints, recordOf(checkpoint))
	}
	if seen.Err != nil {
		r.Problem, r.wrong = findingOf(seen.Err), logExit(seen.Err).code == exitRejected
	}
	return r
}

// exit is the exit code of the worst log.
func (r logsReport) exit() error {
	code := exitVerified
	for _, log := range r.Logs {
		switch log.code() {
		case exitRejected:
			return exitError{code: exitRejected}
		case exitUnavailable:
			code = exitUnavailable
		}
	}
	if code == exitVerified {
		return nil
	}
	return exitError{code: code}
}

func (r *logReport) code() int {
	switch {
	case r.Inconsistency != nil, len(r.Problems) > 0, r.showsWrong(), meta.IsStatusConditionFalse(r.Conditions, v1alpha1.ConditionConsistent):
		return exitRejected
	case len(r.Checkpoints) == 0, meta.IsStatusConditionFalse(r.Conditions, v1alpha1.ConditionReady):
		return exitUnavailable
	default:
		return exitVerified
	}
}

// showsWrong reports whether a replica that was asked answered with what is no checkpoint
// of the log. That one did not answer says nothing of what the cluster has seen.
func (r *logReport) showsWrong() bool {
	return slices.ContainsFunc(r.Replicas, func(replica replicaReport) bool { return replica.wrong })
}

// String is the report for a person.
func (r logsReport) String() string {
	var b strings.Builder
	for _, log := range r.Logs {
		log.write(&b)
	}
	if len(r.Logs) == 0 {
		b.WriteString("there is no TransparencyLog\n")
	}
	return b.String()
}

func (r *logReport) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s (%s, origin %s)\n", r.Name, r.Type, r.Origin)
	for _, stored := range r.Checkpoints {
		fmt.Fprintf(b, "  %s at %d:%s, verified %s%s\n", stored.Origin, stored.Size, stored.RootHash, moment(stored.VerifiedAt), contact(stored.FirstContact))
	}
	if len(r.Checkpoints) == 0 {
		b.WriteString("  nothing has been seen of it yet\n")
	}
	for _, said := range r.witnesses {
		fmt.Fprintf(b, "  witnesses: %s\n", said)
	}
	for _, condition := range r.Conditions {
		fmt.Fprintf(b, "  %-10s %-7s %s: %q\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	if r.LastReset != nil {
		fmt.Fprintf(b, "  reset %s: %s\n", moment(r.LastReset.At), trust.DescribeReset(&r.LastReset.Reset))
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(b, "  problem: %s\n", problem)
	}
	if r.Inconsistency != nil {
		fmt.Fprintf(b, "  INCONSISTENT since %s: nothing is believed of this log\n", moment(r.Inconsistency.FoundAt))
		writeEvidence(b, r.Inconsistency.Notes)
	}
	for _, replica := range r.Replicas {
		for _, shown := range replica.Checkpoints {
			fmt.Fprintf(b, "  %s shows %v\n", replica.URL, shown)
		}
		if replica.Problem != nil {
			fmt.Fprintf(b, "  %s: %v", replica.URL, replica.Problem)
		}
	}
}

// contact says how the history of a tree began.
func contact(first *v1alpha1.FirstContact) string {
	if first == nil {
		return ""
	}
	return fmt.Sprintf(" (%s of size %d, %s)", first.Method, first.Size, moment(first.At))
}

func moment(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }
