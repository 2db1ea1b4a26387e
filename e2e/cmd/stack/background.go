// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// background is a stack that a process of its own holds, the supervisor: all
// components are its children and end with it.
type background struct {
	root string
	dir  string // the run directory
}

const (
	pidFile   = "supervisor.pid"
	pollEvery = 50 * time.Millisecond
	upWithin  = 5 * time.Minute
	downAfter = 30 * time.Second
)

func (b background) file(name string) string { return filepath.Join(b.dir, name) }

// supervise starts the stack and holds it until ctx is done.
func (b background) supervise(ctx context.Context) error {
	s, err := stack.Start(ctx, stack.Options{
		Root: b.root, Dir: b.dir, Progress: printProgress, Keyless: true,
		Race: os.Getenv("CS_RACE") == "1", Bare: os.Getenv("STACK_BARE") == "1",
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.file(pidFile), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return errors.Join(err, s.Close())
	}
	if s.Countersign != nil {
		logs := s.TransparencyLog(s.Rekor, "rekor", true) + "---\n" + s.TransparencyLog(s.RekorV2, "rekor-v2", false)
		if err := s.ApplyReady(ctx, logs); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	// Last: this file says that the stack is up.
	if _, err := s.WriteEnv(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	<-ctx.Done()
	return errors.Join(s.Close(), os.Remove(b.file(stack.EnvFile)), os.Remove(b.file(pidFile)))
}

// up starts a supervisor unless one runs, and returns when the stack can be used.
func (b background) up(ctx context.Context) error {
	if pid := b.supervisor(); pid != 0 {
		fmt.Printf("the stack is up already (process %d)\n", pid)
		return b.howTo()
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	_ = os.Remove(b.file(stack.EnvFile))
	log, err := os.Create(b.file(stack.SupervisorLog))
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "supervise") //nolint:noctx // it outlives us
	cmd.Dir = b.root
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("starting the stack")
	if err := b.awaitUp(ctx, cmd); err != nil {
		return err
	}
	return b.howTo()
}

// awaitUp shows the supervisor's log until the stack is up, and ends it if we are
// interrupted before.
func (b background) awaitUp(ctx context.Context, cmd *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	shown, err := os.Open(b.file(stack.SupervisorLog))
	if err != nil {
		return err
	}
	defer shown.Close()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, _ = io.Copy(os.Stdout, shown) // what has been added
		if _, err := os.Stat(b.file(stack.EnvFile)); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			_, _ = io.Copy(os.Stdout, shown)
			return fmt.Errorf("the stack did not start: %w", err)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended //nolint:errcheck // that it was told to end is no news
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (b background) howTo() error {
	env, err := filepath.Rel(b.root, b.file(stack.EnvFile))
	if err != nil {
		return err
	}
	fmt.Printf("\nUse it:   source %s && kubectl get transparencylogs\nStop it:  make stack-down\n", env)
	return nil
}

// down ends the supervisor, and with it everything else.
func (b background) down(ctx context.Context) error {
	pid := b.supervisor()
	if pid == 0 {
		fmt.Println("no stack is up")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	deadline := time.After(downAfter)
	for stack.InUse(b.dir) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			// Its children go with it: see the parent death signal in e2e/stack.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
			deadline = nil
		case <-time.After(pollEvery):
		}
	}
	fmt.Println("the stack is down; its logs are in", b.file("log"))
	return nil
}

// supervisor is the process that holds the stack, or 0.
func (b background) supervisor() int {
	content, err := os.ReadFile(b.file(pidFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || !stack.InUse(b.dir) {
		return 0
	}
	return pid
}
