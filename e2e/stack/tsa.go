// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
)

// TSA is a timestamp authority (RFC 3161).
type TSA struct {
	*Process

	URL       string // where requests are posted
	Chain     []byte // PEM, from its own certificate to the root's
	ChainFile string
}

// StartTSA starts a timestamp authority with a new key, certified by an authority
// of its own. The name names its log file.
func (s *Stack) StartTSA(ctx context.Context, name string) (*TSA, error) {
	root, err := newAuthority(name + " root")
	if err != nil {
		return nil, err
	}
	issuing, err := root.intermediate(name+" issuing", x509.ExtKeyUsageTimeStamping)
	if err != nil {
		return nil, err
	}
	signer, err := issuing.stamper(name)
	if err != nil {
		return nil, err
	}
	t := &TSA{Chain: append(signer.cert, issuing.pem...)}
	if t.ChainFile, err = s.run.write("pki/"+name+"-chain.pem", t.Chain); err != nil {
		return nil, err
	}
	key, err := s.run.write("pki/"+name+".key", signer.key)
	if err != nil {
		return nil, err
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	t.URL = loopbackURL(port) + "/api/v1/timestamp"
	t.Process, err = s.start(ctx, command{
		name:  name,
		path:  s.run.tool("timestamp-authority"),
		args:  []string{fmt.Sprintf("-port=%d", port), "-key=" + key, "-chain=" + t.ChainFile},
		ready: httpReady(http.DefaultClient, t.URL+"/certchain"),
	})
	return t, err
}
