// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

func newLogPin() *cobra.Command {
	var o logOptions
	var write bool
	c := &cobra.Command{
		Use:   "pin [NAME]",
		Short: "Print what the log shows now as the pin of its spec",
		Long: `Ask the log for the latest checkpoint of each of its trees, verify them under the
configured key, hold them against what the status of the object has seen, and print
the part of the spec that pins them: spec.pin, or spec.shards with the pins of a
Rekor v1 log. Whoever applies that elsewhere begins with this history, and trusts
nothing on first use. Naming shards means that trees which are not named do not count.

--write puts it into the object of the cluster.`,
		Example: "  countersign log pin corp\n  countersign log pin corp --write",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			show, err := printerFor(o.output)
			if err != nil {
				return err
			}
			if write && len(o.trust) > 0 {
				return errors.New("--write is for the objects of a cluster, and --trust names files")
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			source, err := o.load(ctx, c)
			if err != nil {
				return err
			}
			obj, err := source.choose(args)
			if err != nil {
				return err
			}
			pinned, err := source.pin(ctx, obj)
			if err != nil {
				return err
			}
			if err := show(c.OutOrStdout(), pinned); err != nil {
				return exitError{code: exitUnavailable, err: err}
			}
			if !write {
				return nil
			}
			return source.writePin(ctx, obj, pinned)
		},
	}
	o.register(c)
	o.registerTimeout(c.Flags())
	c.Flags().BoolVar(&write, "write", false, "write it into the object of the cluster")
	return c
}

// pinnedSpec is the part of the spec of a TransparencyLog that pins its trees.
type pinnedSpec struct {
	Pin    *v1alpha1.LogPin    `json:"pin,omitempty"`
	Shards []v1alpha1.LogShard `json:"shards,omitempty"`
}

// String is that part in the form in which it is applied.
func (p pinnedSpec) String() string {
	text, err := yaml.Marshal(map[string]pinnedSpec{"spec": p})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// pin asks the log of obj for what is to be pinned.
func (s *logSource) pin(ctx context.Context, obj *v1alpha1.TransparencyLog) (pinnedSpec, error) {
	prover, err := s.prover(obj)
	if err != nil {
		return pinnedSpec{}, err
	}
	// The poll asks every replica, so that a fork that only one of them shows is found.
	if _, err := prover.Poll(ctx); err != nil {
		return pinnedSpec{}, rejectedLog(err)
	}
	trees, err := prover.Trees(ctx)
	if err != nil {
		return pinnedSpec{}, rejectedLog(err)
	}
	if len(trees) == 0 {
		return pinnedSpec{}, exitError{code: exitUnavailable, err: errors.New("the log is empty: there is nothing to pin")}
	}
	var pinned pinnedSpec
	for _, tree := range trees {
		pin, err := pinFor(tree)
		if err != nil {
			return pinnedSpec{}, err
		}
		if obj.Spec.Type == v1alpha1.LogTypeRekorV2 {
			return pinnedSpec{Pin: pin}, nil
		}
		pinned.Shards = append(pinned.Shards, v1alpha1.LogShard{TreeID: strings.TrimPrefix(tree.Origin(), obj.Spec.Origin+" - "), Pin: pin})
	}
	return pinned, nil
}

func pinFor(tree tlog.Checkpoint) (*v1alpha1.LogPin, error) {
	if tree.Size() > math.MaxInt64 {
		return nil, exitError{code: exitRejected, err: fmt.Errorf("%v has more entries than a pin can say", tree)}
	}
	return &v1alpha1.LogPin{Size: int64(tree.Size()), RootHash: recordOf(tree).RootHash}, nil //nolint:gosec // it is not larger, see above
}

// rejectedLog ends a command with what is wrong with a log.
func rejectedLog(err error) error {
	exit := logExit(err)
	exit.err = errors.New(strings.TrimSpace(findingOf(err).String()))
	return exit
}

// writePin puts the pins into the object, on condition that nobody changed it meanwhile.
// Trees that the object names and the log does not list keep what is said of them.
func (s *logSource) writePin(ctx context.Context, obj *v1alpha1.TransparencyLog, pinned pinnedSpec) error {
	changed := obj.DeepCopy()
	changed.Spec.Pin = pinned.Pin
	shards := pinned.Shards
	for _, named := range obj.Spec.Shards {
		if !containsTree(shards, named.TreeID) {
			shards = append(shards, named)
		}
	}
	changed.Spec.Shards = shards
	patch := client.MergeFromWithOptions(obj, client.MergeFromWithOptimisticLock{})
	if err := s.cluster.Patch(ctx, changed, patch); err != nil {
		return exitError{code: exitUnavailable, err: fmt.Errorf("writing TransparencyLog %q: %w", obj.Name, err)}
	}
	return nil
}

func containsTree(shards []v1alpha1.LogShard, treeID string) bool {
	for _, shard := range shards {
		if shard.TreeID == treeID {
			return true
		}
	}
	return false
}
