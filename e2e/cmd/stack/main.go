// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Command stack runs the real components of e2e/stack for people and for make:
//
//	stack up      start everything in the background and write .cache/stack/env
//	stack down    stop it
//	stack demo    show on a small stack of its own what Countersign does; with v1, on
//	              Rekor v1 in place of Rekor v2
//
// It expects the tools in .cache/bin, where tools/build.sh puts them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		cancel()
		os.Exit(1) //nolint:gocritic // cancel has been called
	}
}

func run(ctx context.Context, args []string) error {
	root, err := stack.FindRoot()
	if err != nil {
		return err
	}
	b := background{root: root, dir: filepath.Join(root, ".cache", "stack")}
	switch command := strings.Join(args, " "); command {
	case "up":
		return b.up(ctx)
	case "down":
		return b.down(ctx)
	case "supervise": // what up runs in the background
		return b.supervise(ctx)
	case "demo", "demo v2":
		return demo(ctx, root, tlog.RekorV2)
	case "demo v1":
		return demo(ctx, root, tlog.RekorV1)
	default:
		return fmt.Errorf("unknown command %q; there are up, down, demo, demo v1 and demo v2", command)
	}
}

// printProgress is a line for each component.
func printProgress(component string, took time.Duration) {
	fmt.Printf("  %-26s ready after %4.1f s\n", component, took.Seconds())
}
