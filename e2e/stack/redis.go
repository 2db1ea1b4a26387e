// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os/exec"
)

// Redis is Rekor v1's search index.
type Redis struct {
	*Process

	port int
}

func (s *Stack) startRedis(ctx context.Context) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis is not installed, see tools/system-packages.sh: %w", err)
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, command{
		name: "redis",
		path: path,
		args: []string{
			"--bind", "127.0.0.1", "--port", fmt.Sprint(port),
			"--save", "", "--appendonly", "no", "--dir", s.run.file("tmp"),
		},
		ready: dialReady("tcp", loopback(port)),
	})
	return &Redis{Process: p, port: port}, err
}
