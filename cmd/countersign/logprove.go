// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// proveOptions say which entry is to be proven.
type proveOptions struct {
	logOptions
	entry, bundle string
	index         int64
}

func newLogProve() *cobra.Command {
	var o proveOptions
	c := &cobra.Command{
		Use:   "prove [NAME]",
		Short: "Show that an entry is in the log, with the proof",
		Long: `Fetch an entry's inclusion proof, or take it from a sigstore bundle, verify it down to
a checkpoint that the log has signed, hold that against what the status of the object
has seen, and print all of it.

The entry is named by --entry (the UUID or entry ID of Rekor v1, or a leaf hash, in
hexadecimal), by --index (over all shards of a Rekor v1), or by --bundle. Rekor v2
knows entries by index alone: --entry then says which leaf hash must be there.

What the entry is about is not looked at: "verify image" and "verify bundle" do that.`,
		Example: `  countersign log prove corp --entry 108e9186e8c5677a…
  countersign log prove corp --index 48213
  countersign log prove --trust log.yaml --bundle app.sigstore.json -o json`,
		Args: cobra.MaximumNArgs(1),
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
			obj, err := source.choose(args)
			if err != nil {
				return err
			}
			prover, err := source.prover(obj)
			if err != nil {
				return err
			}
			located, err := o.locate(ctx, prover)
			if exit := (exitError{}); errors.As(err, &exit) || errors.Is(err, errUnnamed) {
				return err
			}
			report := &proofReport{Log: obj.Name}
			if err != nil {
				report.Problem = findingOf(err)
				err = logExit(err)
			} else {
				report.add(located)
			}
			if showErr := show(c.OutOrStdout(), report); showErr != nil {
				return exitError{code: exitUnavailable, err: showErr}
			}
			return err
		},
	}
	o.register(c)
	o.registerTimeout(c.Flags())
	f := c.Flags()
	f.StringVar(&o.entry, "entry", "", "UUID, entry ID or leaf hash, in hexadecimal")
	f.Int64Var(&o.index, "index", -1, "index of the entry, over all shards")
	f.StringVar(&o.bundle, bundleFlag, "", "sigstore bundle whose entries in this log are to be proven")
	c.MarkFlagsOneRequired("entry", "index", bundleFlag)
	c.MarkFlagsMutuallyExclusive("entry", bundleFlag)
	c.MarkFlagsMutuallyExclusive("index", bundleFlag)
	return c
}

// errUnnamed: the flags do not name an entry.
var errUnnamed = errors.New("no entry is named")

// locate finds the entry that the flags name. An error that is neither an exitError nor
// wraps errUnnamed is the log's.
func (o *proveOptions) locate(ctx context.Context, prover *tlog.Prover) ([]tlog.Located, error) {
	if o.bundle != "" {
		return o.locateBundle(ctx, prover)
	}
	var located tlog.Located
	var err error
	if o.entry == "" {
		if o.index < 0 {
			return nil, fmt.Errorf("%w: --index %d is negative", errUnnamed, o.index)
		}
		located, err = prover.LocateIndex(ctx, o.index)
	} else {
		var leaf [32]byte
		if leaf, err = parseEntryID(o.entry); err != nil {
			return nil, err
		}
		if prover.Log().Version() == tlog.RekorV2 && o.index < 0 {
			return nil, fmt.Errorf("%w: a Rekor v2 log cannot be searched for --entry, --index must say where it is", errUnnamed)
		}
		located, err = prover.LocateLeaf(ctx, leaf, o.index)
		if err == nil && o.index >= 0 && located.Entry.LogIndex != o.index {
			err = fmt.Errorf("%w: the entry has index %d, not %d", tlog.ErrEntryMismatch, located.Entry.LogIndex, o.index)
		}
	}
	if err != nil {
		return nil, err
	}
	return []tlog.Located{located}, nil
}

// locateBundle proves every entry of the bundle that names this log. There must be one.
func (o *proveOptions) locateBundle(ctx context.Context, prover *tlog.Prover) ([]tlog.Located, error) {
	text, err := readInput(o.bundle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnnamed, err)
	}
	entries, err := verify.BundleEntries(text)
	if err != nil {
		return nil, err
	}
	var all []tlog.Located
	for _, entry := range entries {
		located, err := prover.Locate(ctx, entry)
		if errors.Is(err, tlog.ErrUnknownLog) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, located)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: none of the bundle's %d entries is in log %q", tlog.ErrUnknownLog, len(entries), prover.Log().Name())
	}
	return all, nil
}

// Lengths of what names an entry, in hexadecimal digits: its leaf hash, with the ID of its
// tree before it.
const (
	leafDigits    = 64
	entryIDDigits = 80
)

func parseEntryID(text string) (leaf [32]byte, err error) {
	digits := text
	if len(digits) == entryIDDigits {
		digits = digits[entryIDDigits-leafDigits:]
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil || len(digits) != leafDigits {
		return leaf, fmt.Errorf("%w: --entry %.100q is neither 64 hexadecimal digits nor the 80 of an entry ID", errUnnamed, text)
	}
	return [32]byte(decoded), nil
}

// proofReport is what `log prove` says.
type proofReport struct {
	Log     string        `json:"log"`
	Entries []entryReport `json:"entries,omitempty"`
	Problem *finding      `json:"problem,omitempty"`
}

// entryReport is one entry with its proof. Body, hashes and note are all that is needed to
// verify it elsewhere.
type entryReport struct {
	LeafHash string `json:"leafHash"`
	// LogIndex counts over all shards, Index in the tree of the checkpoint.
	LogIndex       int64            `json:"logIndex"`
	Index          int64            `json:"index"`
	IntegratedTime *time.Time       `json:"integratedTime,omitempty"`
	Body           []byte           `json:"body,omitempty"`
	Hashes         []string         `json:"hashes"`
	Checkpoint     checkpointRecord `json:"checkpoint"`
}

func (r *proofReport) add(all []tlog.Located) {
	for _, located := range all {
		entry := entryReport{
			LeafHash: hex.EncodeToString(located.Leaf[:]), LogIndex: located.Entry.LogIndex, Index: located.Entry.Inclusion.Index,
			Body: located.Entry.Body, Hashes: []string{}, Checkpoint: recordOf(located.Checkpoint),
		}
		if len(located.Entry.SignedEntryTimestamp) > 0 {
			at := time.Unix(located.Entry.IntegratedTime, 0).UTC()
			entry.IntegratedTime = &at
		}
		for _, hash := range located.Entry.Inclusion.Hashes {
			entry.Hashes = append(entry.Hashes, hex.EncodeToString(hash))
		}
		r.Entries = append(r.Entries, entry)
	}
}

// String is the report for a person.
func (r *proofReport) String() string {
	if r.Problem != nil {
		return fmt.Sprintf("log %q: %v", r.Log, r.Problem)
	}
	var b strings.Builder
	for _, entry := range r.Entries {
		fmt.Fprintf(&b, "entry %s is in log %q at index %d of %v\n", entry.LeafHash, r.Log, entry.Index, entry.Checkpoint)
		if entry.IntegratedTime != nil {
			fmt.Fprintf(&b, "  logged %s, index %d over all shards\n", entry.IntegratedTime.Format(time.RFC3339), entry.LogIndex)
		}
		for i, hash := range entry.Hashes {
			fmt.Fprintf(&b, "  audit path %2d: %s\n", i, hash)
		}
		fmt.Fprintf(&b, "  checkpoint, signed by the log:\n%s", quoted(entry.Checkpoint.Note))
	}
	return b.String()
}
