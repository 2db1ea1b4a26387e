// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net/http"
)

// startEtcd starts a single etcd and returns it with its client URL.
func (s *Stack) startEtcd(ctx context.Context) (*Process, string, error) {
	client, err := s.ports.next()
	if err != nil {
		return nil, "", err
	}
	peer, err := s.ports.next()
	if err != nil {
		return nil, "", err
	}
	clientURL, peerURL := loopbackURL(client), loopbackURL(peer)
	p, err := s.start(ctx, command{
		name: "etcd",
		path: s.run.tool("etcd"),
		args: []string{
			"--name=stack",
			"--data-dir=" + s.run.file("etcd"),
			"--listen-client-urls=" + clientURL,
			"--advertise-client-urls=" + clientURL,
			"--listen-peer-urls=" + peerURL,
			"--initial-advertise-peer-urls=" + peerURL,
			"--initial-cluster=stack=" + peerURL,
			"--unsafe-no-fsync",
			"--log-level=warn",
		},
		ready: httpReady(http.DefaultClient, clientURL+"/health"),
	})
	return p, clientURL, err
}

// loopbackURL is the plain HTTP URL of a port on 127.0.0.1.
func loopbackURL(port int) string { return "http://" + loopback(port) }

// loopback is host:port of a port on 127.0.0.1.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
