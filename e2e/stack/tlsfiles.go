// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
)

// TLSClient is what it takes to reach a server that has a certificate authority of
// its own. It is empty where the server speaks plain HTTP.
type TLSClient struct {
	CAFile string
	// ClientCertFile and ClientKeyFile are what the server asks clients for; empty
	// if it asks them for nothing.
	ClientCertFile, ClientKeyFile string
	// Transport reaches it.
	Transport http.RoundTripper
}

// tlsServer are the files of the server.
type tlsServer struct {
	cert, key string
	clientCA  string // "" if it asks clients for nothing
}

// issueTLS makes a certificate authority, and certificates for a server on loopback
// and its clients. If mutual is set, clients need one.
func (s *Stack) issueTLS(name string, mutual bool) (client TLSClient, server tlsServer, err error) {
	ca, err := newAuthority(name)
	if err != nil {
		return client, server, err
	}
	serving, err := ca.server(name)
	if err != nil {
		return client, server, err
	}
	asking, err := ca.client("countersign")
	if err != nil {
		return client, server, err
	}
	files := map[string][]byte{"ca.pem": ca.pem, "server.pem": serving.cert, "server.key": serving.key, "client.pem": asking.cert, "client.key": asking.key}
	path := map[string]string{}
	for file, content := range files {
		if path[file], err = s.run.write(filepath.Join(name+"-pki", file), content); err != nil {
			return client, server, err
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	settings := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client.CAFile = path["ca.pem"]
	server = tlsServer{cert: path["server.pem"], key: path["server.key"]}
	if mutual {
		pair, err := tls.X509KeyPair(asking.cert, asking.key)
		if err != nil {
			return client, server, err
		}
		settings.Certificates = []tls.Certificate{pair}
		client.ClientCertFile, client.ClientKeyFile = path["client.pem"], path["client.key"]
		server.clientCA = path["ca.pem"]
	}
	client.Transport = &http.Transport{TLSClientConfig: settings}
	return client, server, nil
}
