// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Ports are taken below Linux's range for outgoing connections (32768 and up),
// so that no connection can take one between our choice and the server's bind.
const (
	firstPort = 20000
	lastPort  = 31999
)

// ports hands out free loopback ports. A port is held until close by a lock on a
// file that all stacks of this user share, because a port that was reserved but
// is not bound yet looks free to another run.
type ports struct {
	mu    sync.Mutex
	locks []*os.File
}

func (p *ports) next() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("countersign-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if lock := tryLock(filepath.Join(dir, strconv.Itoa(port))); lock != nil {
			if free(port) {
				p.locks = append(p.locks, lock)
				return port, nil
			}
			_ = lock.Close()
		}
	}
	return 0, errors.New("no free loopback port")
}

// listen binds a port that was handed out. It may have been bound a moment ago, by what used
// it before, and a process that is just being started may still hold that.
func listen(ctx context.Context, host string) (net.Listener, error) {
	var config net.ListenConfig
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		listener, err := config.Listen(ctx, "tcp", host)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return listener, err
		}
	}
}

// close gives all ports back.
func (p *ports) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lock := range p.locks {
		// The file stays: to remove it would let one run lock the old file and
		// another the new one.
		_ = lock.Close()
	}
	p.locks = nil
}

// tryLock locks the file at path, or returns nil when another process, or another
// open file of this one, has it.
func tryLock(path string) *os.File {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = file.Close()
		return nil
	}
	return file
}

// free reports whether the port can be bound on loopback and on all addresses. No process is
// started meanwhile: until it executes its program it would hold what is bound here.
func free(port int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))) //nolint:noctx // bound for an instant
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
