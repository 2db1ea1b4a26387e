// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
)

// Rekor is a Rekor v1 server on a tree of its own.
type Rekor struct {
	*Process

	URL           string
	Hostname      string // names the checkpoint's key; its origin is "Hostname - TreeID"
	TreeID        string // decimal
	PublicKey     []byte // PEM
	PublicKeyFile string

	// Signer is the log's own private key: with it, a scenario makes the
	// checkpoints that a log operator who lies would make.
	Signer crypto.Signer
}

// StartRekor starts a rekor-server on a new, empty tree with a new key. The name
// names its log file, and its hostname is NAME.countersign.test.
func (s *Stack) StartRekor(ctx context.Context, name string) (*Rekor, error) {
	tree, err := s.createTree(ctx)
	if err != nil {
		return nil, err
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	r := &Rekor{URL: loopbackURL(port), Hostname: name + ".countersign.test", TreeID: tree, Signer: key}
	signer, public, err := s.writeLogKey(name, key)
	if err != nil {
		return nil, err
	}
	r.PublicKeyFile = public
	if r.PublicKey, err = publicPEM(key.Public()); err != nil {
		return nil, err
	}
	r.Process, err = s.start(ctx, command{
		name: name,
		path: s.run.tool("rekor-server"),
		args: []string{
			"serve",
			"--host=127.0.0.1",
			fmt.Sprintf("--port=%d", port),
			"--rekor_server.hostname=" + r.Hostname,
			"--rekor_server.signer=" + signer,
			"--trillian_log_server.address=127.0.0.1",
			fmt.Sprintf("--trillian_log_server.port=%d", s.Trillian.port),
			"--trillian_log_server.tlog_id=" + tree,
			"--redis_server.address=127.0.0.1",
			fmt.Sprintf("--redis_server.port=%d", s.Redis.port),
			"--enable_attestation_storage",
			"--attestation_storage_bucket=mem://",
			"--log_type=prod",
		},
		ready: httpReady(http.DefaultClient, r.URL+"/api/v1/log"),
	})
	return r, err
}

// writeLogKey writes a log's key pair and returns the paths.
func (s *Stack) writeLogKey(name string, key crypto.Signer) (signer, public string, err error) {
	private, err := privatePEM(key)
	if err != nil {
		return "", "", err
	}
	if signer, err = s.run.write("keys/"+name+".pem", private); err != nil {
		return "", "", err
	}
	pub, err := publicPEM(key.Public())
	if err != nil {
		return "", "", err
	}
	public, err = s.run.write("keys/"+name+".pub", pub)
	return signer, public, err
}
