// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// command says what to run and how to know that it is ready.
type command struct {
	name   string // names the log file
	path   string
	args   []string
	env    []string // besides PATH, HOME and TMPDIR
	user   *syscall.Credential
	before func() error                // called before each start; may be nil
	ready  func(context.Context) error // probed until nil; nil itself: ready at once
	signal syscall.Signal              // what Stop sends; zero is SIGTERM
}

// Process is one server of the stack. It can be stopped and started again with
// the same arguments, and so at the same address.
type Process struct {
	command

	run   *runDir
	spawn *spawner

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	exit error
}

// stopGrace is how long Stop waits before it kills.
const stopGrace = 10 * time.Second

// probeInterval is the pause between two readiness probes.
const probeInterval = 50 * time.Millisecond

// Start starts the process and waits until it is ready, has ended, or ctx is
// done, which bounds only the wait. An error carries the end of the log.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil
	}
	if p.before != nil {
		if err := p.before(); err != nil {
			return err
		}
	}
	logFile, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()

	// The process outlives ctx: its end comes with Stop, or with ours.
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // see above
	cmd.Env = append(p.run.environ(), p.env...)
	cmd.Dir = p.run.path
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.WaitDelay = time.Second
	if p.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
		cmd.Dir = os.TempDir() // which any user may enter
	}
	if err := p.spawn.start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		p.exit = cmd.Wait()
		close(done)
	}(p.done)
	return p.awaitReady(ctx)
}

func (p *Process) awaitReady(ctx context.Context) error {
	if p.ready == nil {
		return nil
	}
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, p.exitError(), p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (last probe: %w)\n%s", p.name, ctx.Err(), err, p.Tail(20))
		case <-tick.C:
		}
	}
}

func (p *Process) exitError() error {
	if p.exit == nil {
		return errors.New("exit status 0")
	}
	return p.exit
}

// Stop ends the process, by force after a grace period, and returns when it and
// its children are gone. Stopping a stopped process does nothing.
func (p *Process) Stop() { p.end(stopGrace) }

// Kill ends the process and its children at once, as a crash would.
func (p *Process) Kill() { p.end(0) }

func (p *Process) end(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return
	}
	if grace > 0 {
		sig := p.signal
		if sig == 0 {
			sig = syscall.SIGTERM
		}
		_ = p.cmd.Process.Signal(sig)
		select {
		case <-p.done:
		case <-time.After(grace):
		}
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the whole group
	<-p.done
}

// Running reports whether the process has been started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

func (p *Process) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log is the path of the file that has all output of the process.
func (p *Process) Log() string { return p.run.file("log", p.name+".log") }

// Tail returns the last lines of the log.
func (p *Process) Tail(lines int) string {
	content, err := os.ReadFile(p.Log())
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(content, "\n"), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return fmt.Sprintf("the end of %s:\n%s", p.Log(), bytes.Join(all, []byte("\n")))
}
