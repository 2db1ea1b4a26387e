// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// SecureRegistry is a registry without the referrers API behind TLS, with a
// certificate authority of its own.
type SecureRegistry struct {
	*Process

	Host   string // 127.0.0.1:port
	CAFile string
	// ClientCertFile and ClientKeyFile are what it asks clients for; empty if it
	// asks them for nothing.
	ClientCertFile, ClientKeyFile string
	// Transport reaches it.
	Transport http.RoundTripper
}

// StartSecureRegistry starts one. If mutual is set, it takes no request without a
// certificate of its authority's.
func (s *Stack) StartSecureRegistry(ctx context.Context, name string, mutual bool) (*SecureRegistry, error) {
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	r := &SecureRegistry{Host: loopback(port)}
	config, err := r.issue(s, name, mutual)
	if err != nil {
		return nil, err
	}
	r.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("registry"),
		args:  []string{"serve", config},
		env:   []string{"OTEL_TRACES_EXPORTER=none"},
		ready: httpReady(&http.Client{Transport: r.Transport}, "https://"+r.Host+"/v2/"),
	})
	return r, err
}

// issue makes the authority, its certificates and the configuration of the server,
// whose path it returns.
func (r *SecureRegistry) issue(s *Stack, name string, mutual bool) (string, error) {
	ca, err := newAuthority(name)
	if err != nil {
		return "", err
	}
	server, err := ca.server(name)
	if err != nil {
		return "", err
	}
	client, err := ca.client("countersign")
	if err != nil {
		return "", err
	}
	files := map[string][]byte{"ca.pem": ca.pem, "server.pem": server.cert, "server.key": server.key, "client.pem": client.cert, "client.key": client.key}
	path := map[string]string{}
	for file, content := range files {
		if path[file], err = s.run.write(filepath.Join(name+"-pki", file), content); err != nil {
			return "", err
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	settings := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	r.CAFile = path["ca.pem"]
	clients := ""
	if mutual {
		pair, err := tls.X509KeyPair(client.cert, client.key)
		if err != nil {
			return "", err
		}
		settings.Certificates = []tls.Certificate{pair}
		r.ClientCertFile, r.ClientKeyFile = path["client.pem"], path["client.key"]
		clients = fmt.Sprintf("    clientcas: [%q]\n", path["ca.pem"])
	}
	r.Transport = &http.Transport{TLSClientConfig: settings}
	text := fmt.Sprintf(distributionConfig, s.run.file(name), r.Host) +
		fmt.Sprintf("  tls:\n    certificate: %q\n    key: %q\n%s", path["server.pem"], path["server.key"], clients)
	return s.run.write(name+".yaml", []byte(text))
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
