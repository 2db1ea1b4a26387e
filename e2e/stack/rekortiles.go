// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"time"
)

// RekorTiles is a Rekor v2 server. It only takes entries: the log is read as the
// files that it writes, from whatever serves those.
type RekorTiles struct {
	*Process

	URL           string // where entries are written
	ReadURL       string // where a file server of the harness shows Storage
	Storage       string // the directory of checkpoint and tiles
	Hostname      string // the checkpoint's origin and the name of its key
	PublicKey     []byte // PEM
	PublicKeyFile string
	Signer        crypto.Signer // the log's own private key
}

// RekorTilesOptions say how a Rekor v2 log differs from the stack's own.
type RekorTilesOptions struct {
	Hostname      string        // the name of the log; default NAME.countersign.test
	Key           crypto.Signer // P-256 or Ed25519; default: a new Ed25519 key
	WitnessPolicy string        // C2SP tlog-policy, with a URL for each witness that it asks
}

// StartRekorTiles starts a Rekor v2 log. With another one's name and key it is another
// history of that log.
func (s *Stack) StartRekorTiles(ctx context.Context, name string, o RekorTilesOptions) (*RekorTiles, error) {
	r := &RekorTiles{Hostname: o.Hostname, Signer: o.Key, Storage: s.run.file(name)}
	if r.Hostname == "" {
		r.Hostname = name + ".countersign.test"
	}
	if r.Signer == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		r.Signer = key
	}
	signer, public, err := s.writeLogKey(name, r.Signer)
	if err != nil {
		return nil, err
	}
	r.PublicKeyFile = public
	if r.PublicKey, err = publicPEM(r.Signer.Public()); err != nil {
		return nil, err
	}
	var port [4]int
	for i := range port {
		if port[i], err = s.ports.next(); err != nil {
			return nil, err
		}
	}
	r.URL, r.ReadURL = loopbackURL(port[0]), loopbackURL(port[3])
	if err := os.MkdirAll(r.Storage, 0o700); err != nil {
		return nil, err
	}
	if err := s.serveFiles(ctx, loopback(port[3]), r.Storage); err != nil {
		return nil, err
	}
	args := []string{
		"serve",
		"--hostname=" + r.Hostname,
		"--storage-dir=" + r.Storage,
		"--signer-filepath=" + signer,
		"--checkpoint-interval=1s",
		"--batch-max-age=100ms",
		fmt.Sprintf("--http-port=%d", port[0]),
		fmt.Sprintf("--grpc-port=%d", port[1]),
		fmt.Sprintf("--http-metrics-port=%d", port[2]),
	}
	if o.WitnessPolicy != "" {
		policy, err := s.run.write(name+"-witnesses", []byte(o.WitnessPolicy))
		if err != nil {
			return nil, err
		}
		args = append(args, "--witness-policy-path="+policy)
	}
	r.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("rekor-tiles"),
		args:  args,
		ready: allReady(httpReady(http.DefaultClient, r.URL+"/healthz"), httpReady(http.DefaultClient, r.ReadURL+"/checkpoint")),
	})
	return r, err
}

// serveFiles serves a directory until the stack ends.
func (s *Stack) serveFiles(ctx context.Context, addr, dir string) error {
	listener, err := listen(ctx, addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	s.onClose(func() { _ = server.Close() })
	go server.Serve(listener) //nolint:errcheck // ends with Close
	return nil
}
