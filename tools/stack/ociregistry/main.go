// Command ociregistry serves an in-memory OCI registry with a correct
// referrers API on a loopback address.
package main

import (
	"flag"
	"log"
	"net/http"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5000", "address to listen on")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*addr, ociserver.New(ocimem.New(), nil)))
}
