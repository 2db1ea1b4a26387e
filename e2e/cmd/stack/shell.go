// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"regexp"
	"strings"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// show prints a shell command, runs it, and prints what it prints.
func (d *demonstration) show(ctx context.Context, line string) (stack.Result, error) {
	d.command(line)
	result, err := d.run(ctx, line)
	if err != nil {
		return result, err
	}
	d.output(result.Stdout)
	d.output(withoutNotices(line, result))
	return result, nil
}

// all shows commands each of which has to succeed.
func (d *demonstration) all(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		result, err := d.show(ctx, line)
		if err != nil {
			return err
		}
		if result.Code != 0 {
			return d.unexpected("this command should have succeeded")
		}
	}
	return nil
}

// capture runs a command that has to succeed, unseen, and returns its output.
func (d *demonstration) capture(ctx context.Context, line string) (string, error) {
	result, err := d.run(ctx, line)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(result.Stdout), result.Err()
}

func (d *demonstration) run(ctx context.Context, line string) (stack.Result, error) {
	return d.stack.Run(ctx, nil, "/bin/sh", "-c", ". \"$1\" && cd \"$2\" && eval \"$3\"", "sh", d.env, d.dir, line)
}

// notable are the lines of cosign and crane that say what happened. The rest is
// legal notices, progress and advice, and would bury it.
var notable = regexp.MustCompile(`tlog entry created|Pushing signature|[Ee]rror`)

// withoutNotices leaves out what cosign and crane print whatever they do. A command
// that fails is shown in full.
func withoutNotices(line string, result stack.Result) string {
	if result.Code != 0 || strings.HasPrefix(line, "kubectl ") {
		return result.Stderr
	}
	var kept []string
	for line := range strings.Lines(result.Stderr) {
		if notable.MatchString(line) {
			kept = append(kept, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(kept, "\n")
}
