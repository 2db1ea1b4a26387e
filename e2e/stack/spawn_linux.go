// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts every child from one operating system thread, which lives as
// long as the stack does. The kernel ties the parent death signal to the thread
// that forked (prctl(2), PR_SET_PDEATHSIG): a child started from a thread that
// the Go runtime retires would be killed with it.
type spawner struct {
	jobs chan func()
	quit chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), quit: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

// start is cmd.Start with a process group of its own and a parent death signal.
func (s *spawner) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error)
	select {
	case s.jobs <- func() { result <- cmd.Start() }:
		return <-result
	case <-s.quit:
		return errClosed
	}
}

// close ends the thread, and with it whatever it started that still runs.
func (s *spawner) close() { close(s.quit) }
