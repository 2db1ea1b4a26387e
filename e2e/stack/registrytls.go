// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"sigs.k8s.io/yaml"
)

// SecureRegistry is a registry without the referrers API behind TLS, with a
// certificate authority of its own.
type SecureRegistry struct {
	*Process
	TLSClient

	Host string // 127.0.0.1:port
	// Login is one who is let in, DockerConfig a folder with a config.json of his, and
	// users the file of all; empty if it asks for no password.
	Login               Login
	DockerConfig, users string

	front io.Closer // of what stands before it in this process; nil for nothing
}

// Stop ends it.
func (r *SecureRegistry) Stop() {
	if r.front != nil {
		_ = r.front.Close()
	}
	r.Process.Stop()
}

// StartSecureRegistry starts one. If mutual is set, it takes no request without a
// certificate of its authority's.
func (s *Stack) StartSecureRegistry(ctx context.Context, name string, mutual bool) (*SecureRegistry, error) {
	return s.startSecureRegistry(ctx, name, mutual, nil)
}

// StartPrivateRegistry starts one that takes no request without the password of one
// of the users (HTTP basic authentication). DockerConfig has that of the first.
func (s *Stack) StartPrivateRegistry(ctx context.Context, name string, users ...Login) (*SecureRegistry, error) {
	return s.startSecureRegistry(ctx, name, false, users)
}

func (s *Stack) startSecureRegistry(ctx context.Context, name string, mutual bool, users []Login) (*SecureRegistry, error) {
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	client, server, err := s.issueTLS(name, mutual)
	if err != nil {
		return nil, err
	}
	r := &SecureRegistry{Host: loopback(port), TLSClient: client}
	text := fmt.Sprintf(distributionConfig, s.run.file(name), r.Host) +
		fmt.Sprintf("  tls:\n    certificate: %q\n    key: %q\n", server.cert, server.key)
	if server.clientCA != "" {
		text += fmt.Sprintf("    clientcas: [%q]\n", server.clientCA)
	}
	login, err := r.admit(s, name, users)
	if err != nil {
		return nil, err
	}
	text += login
	config, err := s.run.write(name+".yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	r.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("registry"),
		args:  []string{"serve", config},
		env:   []string{"OTEL_TRACES_EXPORTER=none"},
		ready: answers(&http.Client{Transport: r.Transport}, "https://"+r.Host+"/v2/"),
	})
	return r, err
}

// registryConfig is the file that Countersign is told to follow.
const registryConfig = "registries.yaml"

// ConfigureRegistry puts an entry into the file that says how registries are
// reached, which Countersign follows while it runs. Its host must be new.
func (s *Stack) ConfigureRegistry(entry map[string]any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registries = append(s.registries, entry)
	return s.writeRegistryConfig()
}

func (s *Stack) writeRegistryConfig() error {
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "config.countersign.dev/v1alpha1", "kind": "RegistryConfig", "registries": s.registries,
	})
	if err != nil {
		return err
	}
	next, err := s.run.temporary(registryConfig, text)
	return errors.Join(err, os.Rename(next, s.run.file(registryConfig)))
}
