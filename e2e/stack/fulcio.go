// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Fulcio issues certificates to identities.
type Fulcio struct {
	*Process

	URL   string
	CA    *CA
	CTLog *CTLog
}

// StartFulcio starts a Fulcio that issues in the name of ca, and logs what it
// issues in ct. It believes the API server and the issuers of the stack. The name
// names its log file.
func (s *Stack) StartFulcio(ctx context.Context, name string, ca *CA, ct *CTLog) (*Fulcio, error) {
	return s.startFulcio(ctx, name, s.Keyless.OIDC, ca, ct)
}

func (s *Stack) startFulcio(ctx context.Context, name string, oidc *OIDC, ca *CA, ct *CTLog) (*Fulcio, error) {
	config, err := s.fulcioConfig(ctx, name, oidc)
	if err != nil {
		return nil, err
	}
	dir, err := s.run.outside("fulcio") // because a socket's path must be short
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "grpc")
	var port [3]int
	for i := range port {
		if port[i], err = s.ports.next(); err != nil {
			return nil, err
		}
	}
	f := &Fulcio{URL: loopbackURL(port[0]), CA: ca, CTLog: ct}
	f.Process, err = s.start(ctx, command{
		name: name,
		path: s.run.tool("fulcio"),
		args: []string{
			"serve",
			"--host=127.0.0.1",
			fmt.Sprintf("--port=%d", port[0]),
			"--grpc-host=127.0.0.1",
			fmt.Sprintf("--grpc-port=%d", port[1]),
			"--legacy-unix-domain-socket=" + socket,
			fmt.Sprintf("--metrics-port=%d", port[2]),
			"--config-path=" + config,
			"--ca=fileca",
			"--fileca-cert=" + ca.File,
			"--fileca-key=" + ca.key,
			"--fileca-key-passwd=", // it is not encrypted, which has to be said
			"--fileca-watch=false",
			"--ct-log-url=" + ct.URL,
			"--ct-log-public-key-path=" + ct.PublicKeyFile,
			"--log_type=prod",
		},
		before: func() error { return os.RemoveAll(socket) }, // a killed one leaves it behind
		ready:  httpReady(http.DefaultClient, f.URL+"/api/v2/trustBundle"),
	})
	return f, err
}

// fulcioConfig is Fulcio's own configuration, so that what CI systems claim
// becomes the same extensions as in public, with the stack's issuers in it.
func (s *Stack) fulcioConfig(ctx context.Context, name string, oidc *OIDC) (string, error) {
	file, err := s.moduleFile(ctx, "github.com/sigstore/fulcio", "config/identity/config.yaml")
	if err != nil {
		return "", err
	}
	config, err := readYAML(file)
	if err != nil {
		return "", err
	}
	providers, ok := config["ci-issuer-metadata"].(map[string]any)
	if !ok {
		return "", fmt.Errorf("%s describes no CI system", file)
	}
	// Fulcio's own configuration does not know Azure DevOps; our documentation has it.
	azure, err := readYAML(filepath.Join(s.root, "docs", "ci", "fulcio-azure-devops.yaml"))
	if err != nil {
		return "", err
	}
	more, ok := azure["ci-issuer-metadata"].(map[string]any)
	if !ok {
		return "", errors.New("docs/ci/fulcio-azure-devops.yaml describes no CI system")
	}
	maps.Copy(providers, more)
	issuers := map[string]any{
		s.ControlPlane.URL: map[string]any{
			"issuer-url": s.ControlPlane.URL, "client-id": clientID, "type": "kubernetes", "ca-cert": string(s.ControlPlane.CA),
		},
	}
	email := oidc.issuer(EmailIssuer)
	issuers[email] = map[string]any{"issuer-url": email, "client-id": clientID, "type": "email"}
	for provider := range providers {
		url := oidc.issuer(provider)
		issuers[url] = map[string]any{
			"issuer-url": url, "client-id": clientID, "type": "ci-provider", "ci-provider": provider,
		}
	}
	own, err := yaml.Marshal(map[string]any{"oidc-issuers": issuers, "ci-issuer-metadata": providers})
	if err != nil {
		return "", err
	}
	return s.run.write(name+".yaml", own)
}

func readYAML(file string) (map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return content, nil
}
