// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/policy/files"
)

func newLint() *cobra.Command {
	var namespace string
	var sigstore sigstoreOptions
	lint := &cobra.Command{
		Use:   "lint FILE|DIR|-...",
		Short: "Find what the API would reject, and what is legal but dangerous",
		Long: `Read ClusterImagePolicy, ImagePolicy, ImagePolicyException, TransparencyLog and TrustRoot objects, and the Secrets
that they name, and report every field that the API would reject (exit code 1), and what is
legal but dangerous (a warning). That there is none of them is an error of usage. Objects of
policy.sigstore.dev are read, too, and what is different here is a warning.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := sigstore.options(namespace)
			if err != nil {
				return err
			}
			objects, err := files.Read(args, c.InOrStdin())
			if err != nil {
				return err
			}
			loaded := files.Load(objects, options)
			for _, warning := range loaded.Warnings {
				fmt.Fprintf(c.OutOrStdout(), "warning: %s\n", warning)
			}
			for _, problem := range loaded.Problems {
				fmt.Fprintf(c.OutOrStdout(), "error: %v\n", problem)
			}
			if len(loaded.Problems) > 0 {
				return exitError{code: exitRejected}
			}
			if len(loaded.Policies)+len(loaded.Own)+len(loaded.Exceptions)+len(loaded.Logs)+len(loaded.Roots) == 0 {
				return errors.New("there is neither a policy nor what one refers to")
			}
			fmt.Fprintf(c.OutOrStdout(), "%d policies, %d logs and %d trust roots are valid\n", len(loaded.Policies)+len(loaded.Own), len(loaded.Logs), len(loaded.Roots))
			return nil
		},
	}
	lint.Flags().StringVar(&namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
	sigstore.register(lint.Flags())
	return lint
}
