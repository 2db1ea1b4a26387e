// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Result is what a command did.
type Result struct {
	Args   []string // the command line
	Stdout string
	Stderr string
	Code   int // exit status
}

// Err is nil for exit status 0, and otherwise an error that says everything.
func (r Result) Err() error {
	if r.Code == 0 {
		return nil
	}
	return fmt.Errorf("%s: exit status %d\n%s%s", strings.Join(r.Args, " "), r.Code, r.Stdout, r.Stderr)
}

// Run runs a program to its end in the stack's environment (Env). An error means
// that it could not be run or was interrupted; how it ended is in the result.
func (s *Stack) Run(ctx context.Context, stdin io.Reader, path string, args ...string) (Result, error) {
	return s.runWith(ctx, stdin, s.environ(), path, args...)
}

func (s *Stack) runWith(ctx context.Context, stdin io.Reader, env []string, path string, args ...string) (Result, error) {
	result := Result{Args: append([]string{path}, args...)}
	if !strings.Contains(path, "/") {
		path = s.run.tool(path)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...) //nolint:noctx // await ends it with ctx, children included
	cmd.Env = env
	cmd.Dir = s.run.path
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := s.await(ctx, cmd)
	result.Stdout, result.Stderr = stdout.String(), stderr.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		result.Code = exit.ExitCode()
		return result, ctx.Err()
	}
	if err != nil {
		return result, fmt.Errorf("run %s: %w", path, err)
	}
	return result, nil
}

// runCommand runs a step of the stack's start to its end; its output is in a log.
func (s *Stack) runCommand(ctx context.Context, name string, c command) error {
	c.name = name
	p := &Process{command: c, run: s.run, spawn: s.spawn}
	logFile, err := os.Create(p.Log())
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command(c.path, c.args...) //nolint:noctx // await ends it with ctx, children included
	cmd.Env = append(s.run.environ(), c.env...)
	cmd.Dir = s.run.path
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if c.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.user}
		cmd.Dir = os.TempDir()
	}
	if err := s.await(ctx, cmd); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, p.Tail(20))
	}
	return nil
}

// await runs cmd to its end, or kills it and its children when ctx is done.
func (s *Stack) await(ctx context.Context, cmd *exec.Cmd) error {
	cmd.WaitDelay = time.Second
	if err := s.spawn.start(cmd); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	return cmd.Wait()
}

// systemProgram finds a server that Debian keeps out of the PATH of those who are not root.
func systemProgram(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed, see tools/system-packages.sh: %w", name, exec.ErrNotFound)
}
