// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// watchOptions say how a log is followed.
type watchOptions struct {
	logOptions
	interval time.Duration
	duration time.Duration
}

func newLogWatch() *cobra.Command {
	var o watchOptions
	c := &cobra.Command{
		Use:   "watch [NAME]",
		Short: "Follow a log, and end when it contradicts itself",
		Long: `Ask every replica of a log again and again for its latest checkpoint, prove that each
one continues what was seen before, and print it when it has grown. It begins with
what the status of the object has seen. Nothing is written anywhere.

It ends with exit code 1 and the evidence when the log contradicts itself, goes back or
signs what is no checkpoint. While the log does not answer it goes on. With --for it ends after
that time: with 0, or with 3 when the log was never verified.`,
		Example: "  countersign log watch corp --interval 10s\n  countersign log watch --trust log.yaml --for 1h -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.interval < minWatchInterval {
				return fmt.Errorf("--interval: %v is less than %v", o.interval, minWatchInterval)
			}
			show, err := printerFor(o.output)
			if err != nil {
				return err
			}
			ctx := c.Context()
			if o.duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, o.duration)
				defer cancel()
			}
			source, err := o.load(ctx, c)
			if err != nil {
				return err
			}
			obj, err := source.choose(args)
			if err != nil {
				return err
			}
			prover, err := source.prover(obj)
			if err != nil {
				return err
			}
			follower := follower{prover: prover, log: obj.Name, show: func(v any) error { return show(c.OutOrStdout(), v) }}
			return follower.follow(ctx, o.interval, func(err error) { fmt.Fprintf(c.ErrOrStderr(), "countersign: %v\n", err) })
		},
	}
	o.register(c)
	c.Flags().DurationVar(&o.interval, "interval", 30*time.Second, "time between two looks at the log")
	c.Flags().DurationVar(&o.duration, "for", 0, "time after which to end; 0 is never")
	return c
}

// minWatchInterval keeps a slip of the hand from being a burden to a log.
const minWatchInterval = 100 * time.Millisecond

// follower follows one log.
type follower struct {
	prover *tlog.Prover
	log    string
	show   func(any) error
	last   tlog.Checkpoint
}

// growth is one verified state of a log.
type growth struct {
	Log        string            `json:"log"`
	At         time.Time         `json:"at"`
	Checkpoint *checkpointRecord `json:"checkpoint,omitempty"`
	Problem    *finding          `json:"problem,omitempty"`
}

func (g growth) String() string {
	at := g.At.Format(time.RFC3339)
	if g.Problem != nil {
		return fmt.Sprintf("%s log %q: %v", at, g.Log, g.Problem)
	}
	return fmt.Sprintf("%s log %q: %v\n", at, g.Log, g.Checkpoint)
}

// follow polls until ctx ends, or the log is caught. away is told of polls that failed.
func (f *follower) follow(ctx context.Context, interval time.Duration, away func(error)) error {
	seen := false
	for {
		polled, err := f.prover.Poll(ctx)
		switch {
		case ctx.Err() != nil && !errors.As(err, new(*tlog.InconsistencyError)):
			// A poll that was cut short says nothing, unless it has proof.
		case err == nil:
			seen = true
			if err := f.grew(polled.Checkpoint); err != nil {
				return err
			}
		case logExit(err).code == exitRejected:
			return f.caught(err)
		default:
			away(err)
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			if !seen {
				return exitError{code: exitUnavailable}
			}
			return nil
		}
	}
}

// grew prints a checkpoint that is not the one of before.
func (f *follower) grew(checkpoint tlog.Checkpoint) error {
	if checkpoint.Size() == 0 || checkpoint.Origin() == f.last.Origin() && checkpoint.Size() <= f.last.Size() {
		return nil
	}
	f.last = checkpoint
	record := recordOf(checkpoint)
	if err := f.show(growth{Log: f.log, At: time.Now().UTC(), Checkpoint: &record}); err != nil {
		return exitError{code: exitUnavailable, err: err}
	}
	return nil
}

// caught prints what is wrong with the log, and ends the command.
func (f *follower) caught(err error) error {
	exit := logExit(err)
	exit.err = f.show(growth{Log: f.log, At: time.Now().UTC(), Problem: findingOf(err)})
	return exit
}
