// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
)

// CTLog is a certificate transparency log (RFC 6962) on a tree of its own.
type CTLog struct {
	*Process

	URL           string // with the log's prefix, without /ct/v1
	PublicKey     []byte // PEM
	PublicKeyFile string
	Signer        crypto.Signer // the log's own private key
}

// ctPrefix is the log's name in its URL.
const ctPrefix = "ctfe"

// StartCTLog starts a log, with a new key, that takes the certificates of the
// given authorities. The name names its log file.
func (s *Stack) StartCTLog(ctx context.Context, name string, accept ...*CA) (*CTLog, error) {
	tree, err := s.createTree(ctx, s.Trillian)
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
	l := &CTLog{URL: loopbackURL(port) + "/" + ctPrefix, Signer: key}
	if l.PublicKey, err = publicPEM(key.Public()); err != nil {
		return nil, err
	}
	if l.PublicKeyFile, err = s.run.write("keys/"+name+".pub", l.PublicKey); err != nil {
		return nil, err
	}
	config, err := ctConfig(tree, key, accept)
	if err != nil {
		return nil, err
	}
	configFile, err := s.run.write(name+".cfg", config)
	if err != nil {
		return nil, err
	}
	l.Process, err = s.start(ctx, command{
		name: name,
		path: s.run.tool("ct_server"),
		args: []string{
			"--log_config=" + configFile,
			"--log_rpc_server=" + loopback(s.Trillian.port),
			"--http_endpoint=" + loopback(port),
			"--logtostderr",
		},
		ready: httpReady(http.DefaultClient, l.URL+"/ct/v1/get-sth"),
	})
	return l, err
}

// ctConfig is a configpb.LogConfigSet as text. The key is in it: from a file, the
// server takes only one that is encrypted in the way of RFC 1423.
func ctConfig(tree string, key *ecdsa.PrivateKey, accept []*CA) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	var roots strings.Builder
	for _, ca := range accept {
		fmt.Fprintf(&roots, "  roots_pem_file: %q\n", ca.Root)
	}
	return fmt.Appendf(nil, `config {
  log_id: %s
  prefix: %q
  max_merge_delay_sec: 86400
  expected_merge_delay_sec: 1
%s  ext_key_usages: "CodeSigning"
  private_key: { [type.googleapis.com/keyspb.PrivateKey] { der: "%s" } }
}
`, tree, ctPrefix, roots.String(), octal(der)), nil
}

// octal writes bytes as protobuf's text format takes them.
func octal(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		fmt.Fprintf(&b, `\%03o`, c)
	}
	return b.String()
}
