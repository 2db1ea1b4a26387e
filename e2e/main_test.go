// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e holds the scenarios: what a person who attacks, signs or deploys
// does, against the real components of e2e/stack and a real Countersign.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// shared is the one stack of this test binary; scenarios reach it through S.
var shared *stack.Stack

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // what scenarios' clients would say is in their errors
	code, err := runWithStack(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// runWithStack runs all tests on one stack. An interrupt ends the stack at once,
// and the tests with it.
func runWithStack(m *testing.M) (code int, err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	root, err := stack.FindRoot()
	if err != nil {
		return 1, err
	}
	dir, err := stack.NewRunDir(filepath.Join(root, ".cache", "run"), "e2e")
	if err != nil {
		return 1, err
	}
	began := time.Now()
	shared, err = stack.Start(ctx, stack.Options{
		Root: root, Dir: dir, Keyless: true, Vault: true,
		Race: os.Getenv("CS_RACE") == "1", Bare: os.Getenv("STACK_BARE") == "1",
	})
	if err != nil {
		return 1, err
	}
	fmt.Printf("e2e: the stack was ready after %.1f s; logs are in %s\n", time.Since(began).Seconds(), dir)
	stopped := context.AfterFunc(ctx, func() {
		_ = shared.Close()
		os.Exit(130)
	})
	defer func() {
		if stopped() { // or else it is being closed already
			err = errors.Join(err, shared.Close())
		}
	}()
	if shared.Countersign != nil {
		if err := shared.ApplyReady(ctx, shared.TransparencyLog(shared.Rekor, "rekor", true)); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}
