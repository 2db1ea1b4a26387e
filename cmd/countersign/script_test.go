// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"countersign": func() { os.Exit(run()) },
	})
}

// TestScripts runs each file in testdata/script: the real command against a
// registry and a log that speak HTTP on loopback, see newWorld.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode,
			"envsubst": substitute,
			"thelog":   theLog,
		},
		Setup: func(env *testscript.Env) error {
			w := newWorld(env.T().(testing.TB))
			env.Defer(w.close)
			env.Values[worldKey{}] = w
			for name, content := range w.files() {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			// To make the files adds entries to the log, of which variables tell the size.
			for name, value := range w.variables() {
				env.Setenv(name, value)
			}
			return nil
		},
	})
}

// exitCode is the script command "exitcode N command…": it runs the command, whose
// output stdout and stderr then match, and fails unless it exits with N.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N command...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// substitute is the script command "envsubst FILE…": it puts the values of the
// script's variables in the place of ${NAME}.
func substitute(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
