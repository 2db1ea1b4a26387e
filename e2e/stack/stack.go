// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Options say where a stack lives and what it has.
type Options struct {
	// Root is the repository; see FindRoot.
	Root string
	// Dir is the run directory. It is emptied, and locked while the stack runs.
	Dir string
	// Race builds Countersign with the race detector.
	Race bool
	// Bare leaves Countersign out.
	Bare bool
	// Keyless adds what certificates and timestamps come from.
	Keyless bool
	// Only, if set, makes a small stack: an API server without controllers, a registry,
	// a log of this version, and Countersign.
	Only tlog.Version
	// Vault adds a key management service.
	Vault bool
	// Progress, if not nil, is told of each component that has become ready.
	Progress func(component string, took time.Duration)
}

// registryHosts is how many registries, proxies of registries included, one stack
// can have: Countersign is told their addresses when it starts.
const registryHosts = 48

// startTimeout bounds the start of the whole stack: many times what it takes.
const startTimeout = 3 * time.Minute

// Stack is a set of running components. All methods may be called concurrently.
type Stack struct {
	ControlPlane     *ControlPlane
	Registry         *Registry // with the referrers API
	RegistryFallback *Registry // without it; nil in a small stack
	Postgres         *Postgres
	Trillian         *Trillian
	Redis            *Redis
	Rekor            *Rekor       // v1, the default log; nil in a small stack with a v2
	RekorV2          *RekorTiles  // nil in a small stack with a v1
	Key              KeyPair      // the key that policies name
	Keyless          *Keyless     // nil unless Options.Keyless
	Vault            *Vault       // nil unless Options.Vault
	Countersign      *Countersign // nil in a bare stack

	root     string
	run      *runDir
	spawn    *spawner
	ports    *ports
	progress func(string, time.Duration)

	mu            sync.Mutex
	started       bool // all that is asked for has been
	closed        bool
	spareHosts    []string // addresses for registries, not in use
	registryHosts []string // all of them
	registries    []map[string]any
	processes     []*Process
	closers       []func()
}

// errClosed is what use of a closed stack fails with.
var errClosed = errors.New("the stack is closed")

// Start starts all components, side by side where they do not need one another,
// and returns when every one of them answers. When it fails, nothing is left
// running. The stack runs until Close, whatever becomes of ctx.
func Start(ctx context.Context, o Options) (*Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	run, err := openRunDir(o.Dir, filepath.Join(o.Root, ".cache", "bin"))
	if err != nil {
		return nil, err
	}
	s := &Stack{root: o.Root, run: run, spawn: newSpawner(), ports: &ports{}, progress: o.Progress}
	if s.progress == nil {
		s.progress = func(string, time.Duration) {}
	}
	if err := s.startAll(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) startAll(ctx context.Context, o Options) error {
	if err := s.reserveRegistryHosts(); err != nil {
		return err
	}
	if o.Vault {
		if err := s.configureVault(); err != nil { // before Countersign is told of it
			return err
		}
	}

	g, ctx := errgroup.WithContext(ctx)
	controlPlane, trillian := make(chan struct{}), make(chan struct{})
	g.Go(s.timed("control plane", func() (err error) {
		defer close(controlPlane)
		s.ControlPlane, err = s.startControlPlane(ctx, o.Only != 0)
		return err
	}))
	g.Go(s.timed("registry", func() (err error) {
		s.Registry, err = s.StartRegistry(ctx, "registry")
		return err
	}))
	if o.Only == 0 {
		g.Go(s.timed("registry without referrers", func() (err error) {
			s.RegistryFallback, err = s.StartFallbackRegistry(ctx, "registry-fallback")
			return err
		}))
	}
	if o.Only != tlog.RekorV2 {
		g.Go(s.timed("rekor", func() error { return s.startRekorAndBelow(ctx, trillian) }))
	}
	if o.Only != tlog.RekorV1 {
		g.Go(s.timed("rekor v2", func() (err error) {
			s.RekorV2, err = s.StartRekorTiles(ctx, "rekor-v2", RekorTilesOptions{})
			return err
		}))
	}
	g.Go(func() (err error) {
		s.Key, err = s.GenerateKey(ctx, "cosign")
		return err
	})
	if o.Keyless {
		g.Go(s.timed("keyless", func() error { return s.startKeyless(ctx, controlPlane, trillian) }))
	}
	if o.Vault {
		g.Go(s.timed("vault", func() error { return s.Vault.Start(ctx) }))
	}
	if !o.Bare {
		g.Go(s.timed("countersign", func() error {
			binary, err := s.buildCountersign(ctx, o.Race)
			if err != nil {
				return err
			}
			<-controlPlane
			if s.ControlPlane == nil {
				return nil // its own error is the one to report
			}
			s.Countersign, err = s.startCountersign(ctx, binary)
			return err
		}))
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	return nil
}

func (s *Stack) reserveRegistryHosts() error {
	for range registryHosts {
		port, err := s.ports.next()
		if err != nil {
			return err
		}
		s.registryHosts = append(s.registryHosts, loopback(port))
	}
	s.spareHosts = s.registryHosts
	return nil
}

// startRekorAndBelow starts Rekor v1 and what it stands on. It closes trillian when
// that runs, or will not.
func (s *Stack) startRekorAndBelow(ctx context.Context, trillian chan<- struct{}) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		defer close(trillian)
		s.Trillian, err = s.startTrillian(gctx)
		return err
	})
	g.Go(func() (err error) {
		s.Redis, err = s.startRedis(gctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	var err error
	s.Rekor, err = s.StartRekor(ctx, "rekor")
	return err
}

func (s *Stack) timed(component string, start func() error) func() error {
	return func() error {
		began := time.Now()
		if err := start(); err != nil {
			return fmt.Errorf("%s: %w", component, err)
		}
		s.progress(component, time.Since(began))
		return nil
	}
}

// start starts a process that ends with the stack.
func (s *Stack) start(ctx context.Context, c command) (*Process, error) {
	p, err := s.process(c)
	if err != nil {
		return nil, err
	}
	err = p.Start(ctx)
	return p, err
}

// process is one that has not been started yet, and that ends with the stack.
func (s *Stack) process(c command) (*Process, error) {
	p := &Process{command: c, run: s.run, spawn: s.spawn}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	s.processes = append(s.processes, p)
	return p, nil
}

// onClose registers what has to be closed with the stack besides processes.
func (s *Stack) onClose(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, f)
}

// Dir is the run directory; the logs are in its folder log.
func (s *Stack) Dir() string { return s.run.path }

// Close ends every process and frees the ports. The run directory stays, with its
// logs. It returns an error if Countersign did not end as it should: a data race
// that the race detector found is one.
func (s *Stack) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	processes, closers := s.processes, s.closers
	s.mu.Unlock()

	var err error
	if s.Countersign != nil {
		err = s.Countersign.ShutDown()
	}
	var wg sync.WaitGroup
	for _, p := range processes {
		wg.Go(func() {
			if p.signal != 0 {
				p.Stop() // it asks for a way of its own to end
				return
			}
			p.Kill() // none of the others has anything to save
		})
	}
	wg.Wait()
	for _, f := range closers {
		f()
	}
	s.run.close()
	s.ports.close()
	s.spawn.close()
	return err
}
