// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentEnv makes the test binary a parent that starts a child and waits to be
// killed; its value is the run directory.
const parentEnv = "STACK_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		beParent(dir)
	}
	os.Exit(m.Run())
}

func beParent(dir string) {
	run, err := openRunDir(dir, "")
	if err != nil {
		panic(err)
	}
	p := &Process{command: command{name: "child", path: "/bin/sleep", args: []string{"600"}}, run: run, spawn: newSpawner()}
	if err := p.Start(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(p.cmd.Process.Pid)
	select {}
}

func TestAChildDiesWithItsParentHoweverThatDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"="+dir)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !runs(child) || !InUse(dir) {
		t.Fatalf("the child does not run (%t) or its directory is not locked", runs(child))
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for deadline := time.Now().Add(5 * time.Second); runs(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives its parent", child)
		}
	}
	if InUse(dir) {
		t.Error("the run directory of a dead stack is still locked")
	}
}

// runs reports whether a process runs: a zombie, which nobody may reap, does not.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, afterName, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(afterName, "Z") && !strings.HasPrefix(afterName, "X")
}

func TestProcessThatEndsBeforeItIsReadyShowsItsLog(t *testing.T) {
	t.Parallel()
	p := newTestProcess(t, command{
		name: "failing", path: "/bin/sh", args: []string{"-c", "echo no such database; exit 3"},
		ready: dialReady("unix", filepath.Join(t.TempDir(), "never")),
	})
	err := p.Start(t.Context())
	if err == nil {
		t.Fatal("it is said to be ready")
	}
	for _, want := range []string{"failing", "exit status 3", "no such database"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

func TestStopEndsGrandchildrenAndStartStartsAgain(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	p := newTestProcess(t, command{
		name: "family", path: "/bin/sh", args: []string{"-c", "sleep 600 & echo $! >>" + pids + "; wait"},
		ready: func(context.Context) error {
			if info, err := os.Stat(pids); err != nil || info.Size() == 0 {
				return errors.New("no grandchild yet")
			}
			return nil
		},
	})
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !p.Running() {
			t.Fatal("a started process does not run")
		}
		content, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		grandchild, err := strconv.Atoi(strings.TrimSpace(string(content)))
		if err != nil {
			t.Fatal(err)
		}
		p.Stop()
		if p.Running() {
			t.Error("a stopped process runs")
		}
		for deadline := time.Now().Add(5 * time.Second); runs(grandchild); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("grandchild %d is left behind", grandchild)
			}
		}
		if err := os.Remove(pids); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPortsAreFreeAndNeverGivenTwice(t *testing.T) {
	t.Parallel()
	var one, other ports // as of two stacks
	t.Cleanup(one.close)
	t.Cleanup(other.close)
	seen := map[int]bool{}
	for range 100 {
		for _, from := range []*ports{&one, &other} {
			port, err := from.next()
			if err != nil {
				t.Fatal(err)
			}
			if seen[port] {
				t.Fatalf("port %d is given twice", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp", loopback(port))
			if err != nil {
				t.Fatalf("a free port cannot be bound: %v", err)
			}
			_ = l.Close()
		}
	}
}

func newTestProcess(t *testing.T, c command) *Process {
	t.Helper()
	run, err := openRunDir(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.close)
	spawn := newSpawner()
	t.Cleanup(spawn.close)
	p := &Process{command: c, run: run, spawn: spawn}
	t.Cleanup(p.Kill)
	return p
}

// The signal that a stack's end relies on must not be one that a child can ignore.
func TestKillNeedsNoCooperation(t *testing.T) {
	t.Parallel()
	p := newTestProcess(t, command{name: "stubborn", path: "/bin/sh", args: []string{"-c", "trap '' TERM INT; while :; do sleep 1; done"}})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if err := syscall.Kill(p.cmd.Process.Pid, 0); err == nil {
		t.Error("a killed process is still there")
	}
}
