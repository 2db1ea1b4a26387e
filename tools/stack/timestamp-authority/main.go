// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Command timestamp-authority serves RFC 3161 timestamps on a loopback address:
// the API server of sigstore's timestamp-authority with a key from a file. That
// project's own command also serves metrics, at a port that cannot be chosen and
// that rekor-server takes as well, so that only one of them would run.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 3000, "port to listen on")
	key := flag.String("key", "", "file of the private key (PEM)")
	chain := flag.String("chain", "", "file of the certificate chain, from the signer's to the root's (PEM)")
	flag.Parse()

	// The names and defaults of timestamp-server's flags; its API reads them from viper.
	for name, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     *key,
		"certificate-chain-path":   *chain,
		"enforce-intermediate-eku": true,
		"max-request-body-size":    1 << 20,
		"default-policy-oid":       "1.3.6.1.4.1.57264.2",
		"accepted-policy-oids":     []string{"1.3.6.1.4.1.57264.2"},
	} {
		viper.Set(name, value)
	}
	tsa := server.NewRestAPIServer(*host, *port, []string{"http"}, false, time.Minute, time.Minute)
	log.Fatal(tsa.Serve())
}
