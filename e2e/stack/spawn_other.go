// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package stack

import (
	"os/exec"
	"syscall"
)

// spawner starts children in process groups of their own. Without Linux's
// parent death signal they outlive a parent that is killed with SIGKILL.
type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	return cmd.Start()
}

func (*spawner) close() {}
