// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes. They are part of the interface.
const (
	exitVerified    = 0
	exitRejected    = 1
	exitUsage       = 2
	exitUnavailable = 3
)

// exitError ends a command with a code. With no error of its own, everything
// that is to be said has been printed.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// execute runs the command that args name and returns its exit code. Results go
// to stdout, errors to stderr.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot() //nolint:contextcheck // commands take the context of ExecuteContext
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitVerified
	}
	// What is no exitError was wrong before anything was looked at: a flag, an
	// argument, a file.
	exit := exitError{code: exitUsage, err: err}
	errors.As(err, &exit)
	if exit.err != nil {
		fmt.Fprintf(stderr, "countersign: %v\n", exit.err)
	}
	return exit.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "Admit only images whose signature is proven to be in your transparency log",
		Long: `Countersign admits an image only when a signature over its digest verifies and is
proven to be in a transparency log that you configured.

Exit codes: 0 verified, 1 rejected (malformed evidence included), 2 usage, 3 unavailable.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	bundle := newVerifyBundle("verify-bundle")
	bundle.Hidden = true // the name that the conformance suite uses
	root.AddCommand(newServe(), newVerify(), newPolicy(), newLog(), newVersion(), bundle)
	return root
}

func newVerify() *cobra.Command {
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Reach the verdict of admission on the command line",
		Args:  cobra.NoArgs,
		RunE:  needCommand,
	}
	verify.AddCommand(newVerifyImage(), newVerifyManifest(), newVerifyBundle("bundle"))
	return verify
}

func newPolicy() *cobra.Command {
	policy := &cobra.Command{Use: "policy", Short: "Work on policies", Args: cobra.NoArgs, RunE: needCommand}
	policy.AddCommand(newLint(), newConvert())
	return policy
}

func needCommand(c *cobra.Command, _ []string) error {
	return fmt.Errorf("%s needs a command; see `%s --help`", c.CommandPath(), c.CommandPath())
}
