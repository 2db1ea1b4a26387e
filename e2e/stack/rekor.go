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
	"strings"
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

	trillian   *Trillian
	signerFile string
	port       int
	inactive   []string // the trees of earlier shards
}

// RekorOptions say what is special about a Rekor. None: it has a new, empty tree on the
// stack's own Trillian, a new key, and the hostname NAME.countersign.test.
type RekorOptions struct {
	// ReplicaOf is the Rekor whose log this one serves, too: its tree, name and key.
	ReplicaOf *Rekor
	// Trillian has the tree.
	Trillian *Trillian
}

// StartRekor starts a rekor-server on a new, empty tree with a new key. The name
// names its log file, and its hostname is NAME.countersign.test.
func (s *Stack) StartRekor(ctx context.Context, name string) (*Rekor, error) {
	return s.StartRekorWith(ctx, name, RekorOptions{})
}

// StartRekorWith starts a rekor-server. The name names its log file.
func (s *Stack) StartRekorWith(ctx context.Context, name string, o RekorOptions) (r *Rekor, err error) {
	r = &Rekor{trillian: o.Trillian}
	if r.trillian == nil {
		r.trillian = s.Trillian
	}
	if of := o.ReplicaOf; of != nil {
		r.Hostname, r.TreeID, r.inactive = of.Hostname, of.TreeID, of.inactive
		r.Signer, r.PublicKey, r.PublicKeyFile, r.signerFile = of.Signer, of.PublicKey, of.PublicKeyFile, of.signerFile
	} else if err := s.newLog(ctx, name, r); err != nil {
		return nil, err
	}
	if r.port, err = s.ports.next(); err != nil {
		return nil, err
	}
	r.URL = loopbackURL(r.port)
	args, err := r.args(s)
	if err != nil {
		return nil, err
	}
	r.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("rekor-server"),
		args:  args,
		ready: httpReady(http.DefaultClient, r.URL+"/api/v1/log"),
	})
	return r, err
}

// newLog gives a Rekor a new tree, key and name.
func (s *Stack) newLog(ctx context.Context, name string, r *Rekor) (err error) {
	if r.TreeID, err = s.createTree(ctx, r.trillian); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	r.Hostname, r.Signer = name+".countersign.test", key
	if r.signerFile, r.PublicKeyFile, err = s.writeLogKey(name, key); err != nil {
		return err
	}
	r.PublicKey, err = publicPEM(key.Public())
	return err
}

func (r *Rekor) args(s *Stack) ([]string, error) {
	args := []string{
		"serve",
		"--host=127.0.0.1",
		fmt.Sprintf("--port=%d", r.port),
		"--rekor_server.hostname=" + r.Hostname,
		"--rekor_server.signer=" + r.signerFile,
		"--trillian_log_server.address=127.0.0.1",
		fmt.Sprintf("--trillian_log_server.port=%d", r.trillian.port),
		"--trillian_log_server.tlog_id=" + r.TreeID,
		"--redis_server.address=127.0.0.1",
		fmt.Sprintf("--redis_server.port=%d", s.Redis.port),
		"--enable_attestation_storage",
		"--attestation_storage_bucket=mem://",
		"--log_type=prod",
	}
	if len(r.inactive) == 0 {
		return args, nil
	}
	shards, err := s.run.temporary("shards.yaml", []byte("- treeID: "+strings.Join(r.inactive, "\n- treeID: ")+"\n"))
	return append(args, "--trillian_log_server.sharding_config="+shards), err
}

// StartShard starts the Rekor anew with a new, empty tree, as a log's owner does who
// closes the one before: that is served as an inactive shard from now on.
func (s *Stack) StartShard(ctx context.Context, r *Rekor) error {
	tree, err := s.createTree(ctx, r.trillian)
	if err != nil {
		return err
	}
	r.inactive, r.TreeID = append(r.inactive, r.TreeID), tree
	args, err := r.args(s)
	if err != nil {
		return err
	}
	r.Stop()
	r.command.args = args
	return r.Start(ctx)
}

// Host is its address, as host:port.
func (r *Rekor) Host() string { return loopback(r.port) }

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
