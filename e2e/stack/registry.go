// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

// Registry is an OCI registry over plain HTTP.
type Registry struct {
	*Process

	Host string // 127.0.0.1:port, as in an image reference
}

// URL is the base URL of the registry.
func (r *Registry) URL() string { return "http://" + r.Host }

// StartRegistry starts a registry with the referrers API. Its content is in
// memory: it is empty after a restart.
func (s *Stack) StartRegistry(ctx context.Context, name string) (*Registry, error) {
	host, err := s.leaseRegistryHost()
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, command{
		name:  name,
		path:  s.run.tool("ociregistry"),
		args:  []string{"-addr", host},
		ready: httpReady(http.DefaultClient, "http://"+host+"/v2/"),
	})
	return &Registry{Process: p, Host: host}, err
}

// StartOlareg starts olareg, another registry with the referrers API. Its content is
// in memory.
func (s *Stack) StartOlareg(ctx context.Context, name string) (*Registry, error) {
	host, err := s.leaseRegistryHost()
	if err != nil {
		return nil, err
	}
	address, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, command{
		name:  name,
		path:  s.run.tool("olareg"),
		args:  []string{"serve", "--store-type", "mem", "--addr", address, "--port", port},
		ready: httpReady(http.DefaultClient, "http://"+host+"/v2/"),
	})
	return &Registry{Process: p, Host: host}, err
}

// StartFallbackRegistry starts a registry without the referrers API, which
// answers it with 404, so that clients use the fallback tag. Its content is in
// the run directory and survives a restart.
func (s *Stack) StartFallbackRegistry(ctx context.Context, name string) (*Registry, error) {
	host, err := s.leaseRegistryHost()
	if err != nil {
		return nil, err
	}
	config, err := s.run.write(name+".yaml", fmt.Appendf(nil, distributionConfig, s.run.file(name), host))
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, command{
		name: name,
		path: s.run.tool("registry"),
		args: []string{"serve", config},
		// Otherwise it looks for a trace collector on this machine.
		env:   []string{"OTEL_TRACES_EXPORTER=none"},
		ready: httpReady(http.DefaultClient, "http://"+host+"/v2/"),
	})
	return &Registry{Process: p, Host: host}, err
}

// StartDebianRegistry starts the registry that Debian has, the one before distribution
// v3. It has no referrers API, either.
func (s *Stack) StartDebianRegistry(ctx context.Context, name string) (*Registry, error) {
	path, err := systemProgram("docker-registry")
	if err != nil {
		return nil, err
	}
	host, err := s.leaseRegistryHost()
	if err != nil {
		return nil, err
	}
	config, err := s.run.write(name+".yaml", fmt.Appendf(nil, distributionConfig, s.run.file(name), host))
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, command{
		name:  name,
		path:  path,
		args:  []string{"serve", config},
		ready: httpReady(http.DefaultClient, "http://"+host+"/v2/"),
	})
	return &Registry{Process: p, Host: host}, err
}

const distributionConfig = `version: 0.1
log: {level: info, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
http:
  addr: %q
`

// leaseRegistryHost returns one of the addresses that Countersign was told to
// speak plain HTTP to when it started.
func (s *Stack) leaseRegistryHost() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spareHosts) == 0 {
		return "", fmt.Errorf("all %d registry addresses of this stack are in use: %w", registryHosts, os.ErrNotExist)
	}
	host := s.spareHosts[0]
	s.spareHosts = s.spareHosts[1:]
	return host, nil
}
