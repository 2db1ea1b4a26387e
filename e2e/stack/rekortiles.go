// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// RekorTiles is a Rekor v2 server.
type RekorTiles struct {
	*Process

	// URL serves both sides of the log: /api/v2 is the server's, everything else
	// (checkpoint, tile/…) is read from its storage directory by a file server.
	URL           string
	Hostname      string // the checkpoint's origin and the name of its key
	PublicKey     []byte // PEM, Ed25519
	PublicKeyFile string
	Signer        crypto.Signer // the log's own private key

	front *http.Server
}

// StartRekorTiles starts a Rekor v2 log; its hostname is NAME.countersign.test.
func (s *Stack) StartRekorTiles(ctx context.Context, name string) (*RekorTiles, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	r := &RekorTiles{Hostname: name + ".countersign.test", Signer: key}
	signer, publicFile, err := s.writeLogKey(name, key)
	if err != nil {
		return nil, err
	}
	r.PublicKeyFile = publicFile
	if r.PublicKey, err = publicPEM(public); err != nil {
		return nil, err
	}
	var port [4]int
	for i := range port {
		if port[i], err = s.ports.next(); err != nil {
			return nil, err
		}
	}
	storage := s.run.file(name)
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, err
	}
	if err := r.serveFront(ctx, loopback(port[3]), loopbackURL(port[0]), storage); err != nil {
		return nil, err
	}
	s.onClose(func() { _ = r.front.Close() })
	r.Process, err = s.start(ctx, command{
		name: name,
		path: s.run.tool("rekor-tiles"),
		args: []string{
			"serve",
			"--hostname=" + r.Hostname,
			"--storage-dir=" + storage,
			"--signer-filepath=" + signer,
			"--checkpoint-interval=1s",
			"--batch-max-age=100ms",
			fmt.Sprintf("--http-port=%d", port[0]),
			fmt.Sprintf("--grpc-port=%d", port[1]),
			fmt.Sprintf("--http-metrics-port=%d", port[2]),
		},
		ready: httpReady(http.DefaultClient, r.URL+"/checkpoint"),
	})
	return r, err
}

// serveFront starts the server at URL.
func (r *RekorTiles) serveFront(ctx context.Context, addr, server, storage string) error {
	target, err := url.Parse(server)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(storage)))
	mux.Handle("/api/v2/", httputil.NewSingleHostReverseProxy(target))
	r.URL = "http://" + addr
	r.front = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go r.front.Serve(listener) //nolint:errcheck // ends with Close
	return nil
}
