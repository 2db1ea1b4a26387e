// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Command countersign is the admission webhook, and the same verdict on the
// command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run runs one command and returns its exit code. The first signal asks it to
// end, the second ends it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
