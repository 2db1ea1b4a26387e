// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// resetOptions name the two histories.
type resetOptions struct {
	logOptions
	stored, accepted, reason string
	dryRun                   bool
}

func newLogReset() *cobra.Command {
	var o resetOptions
	c := &cobra.Command{
		Use:   "reset NAME",
		Short: "Give up what the cluster has seen of a log, for another history of it",
		Long: `Write into the TransparencyLog that what its status holds of a tree is given up, and
which history counts instead; and wait until countersign has carried that out. It is the only
way back after a log was caught, or was restored from a backup. See "log status --ask" for
what is stored and what the log shows now, as SIZE:ROOT.

It is refused when anything else is stored than --stored, when the log cannot show that
what it shows now continues --accepted, or when somebody changes the object meanwhile. Who
asked for it, why, and what was given up stand in status.lastReset and in an Event.

--dry-run prints what would be written, for whoever keeps manifests in a repository.`,
		Example: "  countersign log reset corp --stored 48213:9f3c… --accepted 48100:77ab… --reason 'restored from the backup of 3 May, INC-4711'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			stored, accepted, err := o.pins()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			cluster, err := o.connect()
			if err != nil {
				return err
			}
			obj, err := getLog(ctx, cluster, args[0])
			if err != nil {
				return err
			}
			reset, err := o.reset(ctx, cluster, obj, stored, accepted)
			if err != nil {
				return err
			}
			if o.dryRun {
				text, err := yaml.Marshal(map[string]any{"spec": map[string]any{"reset": reset}})
				if err != nil {
					return err
				}
				_, err = c.OutOrStdout().Write(text)
				return err
			}
			said, err := carryOut(ctx, cluster, obj, reset)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), said)
			return nil
		},
	}
	f := c.Flags()
	o.registerCluster(f)
	o.registerTimeout(f)
	f.StringVar(&o.stored, "stored", "", "what the status holds, and is given up: SIZE:ROOT")
	f.StringVar(&o.accepted, "accepted", "", "a checkpoint of the history that counts from now on: SIZE:ROOT")
	f.StringVar(&o.reason, "reason", "", "why, for whoever asks later")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be written")
	for _, flag := range []string{"stored", "accepted", "reason"} {
		if err := c.MarkFlagRequired(flag); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return c
}

func (o *resetOptions) pins() (stored, accepted v1alpha1.LogPin, err error) {
	if stored, err = trust.ParsePin(o.stored); err != nil {
		return stored, accepted, fmt.Errorf("--stored: %w", err)
	}
	if accepted, err = trust.ParsePin(o.accepted); err != nil {
		return stored, accepted, fmt.Errorf("--accepted: %w", err)
	}
	if o.reason == "" {
		return stored, accepted, errors.New("--reason: it is empty")
	}
	return stored, accepted, nil
}

func getLog(ctx context.Context, cluster client.Client, name string) (*v1alpha1.TransparencyLog, error) {
	var obj v1alpha1.TransparencyLog
	err := cluster.Get(ctx, types.NamespacedName{Name: name}, &obj)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %q", trust.ErrLogNotFound, name)
	case err != nil:
		return nil, exitError{code: exitUnavailable, err: fmt.Errorf("reading TransparencyLog %q: %w", name, err)}
	}
	return &obj, nil
}

// reset is what is to be written, if what is stored is what the flags name.
func (o *resetOptions) reset(ctx context.Context, cluster client.Client, obj *v1alpha1.TransparencyLog, stored, accepted v1alpha1.LogPin) (*v1alpha1.LogReset, error) {
	reset := &v1alpha1.LogReset{Stored: stored, Accepted: accepted, Reason: o.reason}
	for _, known := range storedIn(obj) {
		if known.Size == stored.Size && known.RootHash == stored.RootHash {
			reset.Origin = known.Origin
		}
	}
	if reset.Origin == "" {
		refusal := fmt.Errorf("%w: no tree of TransparencyLog %q is stored at %s", trust.ErrResetRefused, obj.Name, o.stored)
		for _, known := range storedIn(obj) {
			refusal = fmt.Errorf("%w; stored is %s at %d:%s", refusal, known.Origin, known.Size, known.RootHash)
		}
		return nil, exitError{code: exitRejected, err: refusal}
	}
	if evidence := obj.Status.Inconsistency; evidence != nil {
		reset.InconsistencyFoundAt = &evidence.FoundAt
	}
	if err := trust.CheckReset(obj, reset); err != nil {
		return nil, exitError{code: exitRejected, err: err}
	}
	review := authenticationv1.SelfSubjectReview{}
	if err := cluster.Create(ctx, &review); err != nil {
		return nil, exitError{code: exitUnavailable, err: fmt.Errorf("asking the cluster who you are: %w", err)}
	}
	reset.RequestedBy = review.Status.UserInfo.Username
	return reset, nil
}

// storedIn is what the status holds of each tree.
func storedIn(obj *v1alpha1.TransparencyLog) []v1alpha1.LogCheckpoint {
	if obj.Status.Checkpoint == nil {
		return obj.Status.Shards
	}
	return append([]v1alpha1.LogCheckpoint{*obj.Status.Checkpoint}, obj.Status.Shards...)
}

// resetPoll is how often it is looked whether a reset was carried out.
const resetPoll = 200 * time.Millisecond

// carryOut writes the reset, on condition that nobody changed the object since it was read,
// and waits until countersign says what became of it.
func carryOut(ctx context.Context, cluster client.Client, obj *v1alpha1.TransparencyLog, reset *v1alpha1.LogReset) (string, error) {
	changed := obj.DeepCopy()
	changed.Spec.Reset = reset
	err := cluster.Patch(ctx, changed, client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return "", exitError{code: exitRejected, err: fmt.Errorf("%w: somebody changed TransparencyLog %q meanwhile: look again", trust.ErrResetRefused, obj.Name)}
	case apierrors.IsInvalid(err):
		return "", exitError{code: exitRejected, err: err}
	case err != nil:
		return "", exitError{code: exitUnavailable, err: fmt.Errorf("writing TransparencyLog %q: %w", obj.Name, err)}
	}
	waiting := errors.New("countersign has not looked at it yet")
	for {
		select {
		case <-ctx.Done():
			return "", exitError{code: exitUnavailable, err: fmt.Errorf("the reset is written, and not carried out yet: %w", waiting)}
		case <-time.After(resetPoll):
		}
		now, err := getLog(ctx, cluster, obj.Name)
		if err != nil {
			waiting = err
			continue
		}
		if trust.ResetDone(now) {
			return trust.DescribeReset(reset), nil
		}
		said := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReset)
		if said == nil || said.ObservedGeneration < changed.Generation || said.Status != metav1.ConditionFalse {
			continue
		}
		if said.Reason == v1alpha1.ReasonResetRefused {
			return "", exitError{code: exitRejected, err: fmt.Errorf("%s: %s", said.Reason, said.Message)}
		}
		waiting = errors.New(said.Message)
	}
}
